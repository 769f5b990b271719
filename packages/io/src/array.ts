/** One call never asks a file or blob for more: Node reads at most 2^31 - 1 bytes at once, Chromium 2 GiB. */
const MAX_PIECE_BYTES = 2 ** 30;

/** `byteLength` zeroed bytes. Throws RangeError when that is more than one array holds here (4 GiB in Node 20). */
export function allocate(name: string, byteLength: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(byteLength);
  } catch (cause) {
    throw new RangeError(`${name}: ${byteLength} bytes are more than one array holds; read them in chunks`, { cause });
  }
}

/** One new array with all of `parts`, in order. */
export function concat(name: string, parts: readonly Uint8Array[]): Uint8Array {
  const all = allocate(name, parts.reduce((total, part) => total + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}

/**
 * A new array of `byteLength` bytes, filled front to back by `readInto(target, done)`, which puts at least one byte
 * at the start of `target` (at most 1 GiB, the bytes from `done` on) and returns how many it put there.
 */
export async function fillArray(name: string, byteLength: number, readInto: (target: Uint8Array, done: number) => Promise<number>): Promise<Uint8Array> {
  const filled = allocate(name, byteLength);
  for (let done = 0; done < byteLength; ) {
    done += await readInto(filled.subarray(done, Math.min(byteLength, done + MAX_PIECE_BYTES)), done);
  }
  return filled;
}
