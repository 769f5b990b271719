/**
 * A deflated zip member as a ByteSource of its inflated bytes, by the web-standard DecompressionStream. Reading forward goes on
 * where the last read ended; reading backward starts over. Memory: one chunk of input and what it inflates to.
 * Raw deflate, RFC 1951. Clause Z-2.7: a member that inflates to another size than it claims is a finding.
 */
import { DiagnosticError, assertRange, readChunks, type ByteSource } from '@weightspec/core';
import { torchDiagnostic } from './codes.js';
import type { PlacedMember } from './zip.js';

/** Deflate expands at most 1032-fold: 16 KiB of input make at most 16 MiB, which is what the runtime may queue. */
const INPUT_BYTES = 2 ** 14;

export function inflatedMember(source: ByteSource, member: PlacedMember): ByteSource {
  const name = `${source.name}!${member.name}`;
  const size = member.byteLength;
  const damaged = (message: string): DiagnosticError =>
    new DiagnosticError([torchDiagnostic('TORCH_ZIP_BOMB', source.name, { byteRange: [member.dataOffset, member.dataOffset + Math.max(1, member.compressedBytes)], message })]);

  let stream: ReadableStreamDefaultReader<Uint8Array> | undefined;
  let position = 0;
  let pending = new Uint8Array(0);

  const restart = async (): Promise<void> => {
    await stop();
    const chunks = readChunks(source, member.dataOffset, member.compressedBytes, INPUT_BYTES);
    const input = new ReadableStream<Uint8Array<ArrayBuffer>>({
      async pull(controller) {
        const next = await chunks.next();
        if (next.done) controller.close();
        else controller.enqueue(new Uint8Array(next.value));
      },
    }, { highWaterMark: 1 });
    stream = input.pipeThrough(new DecompressionStream('deflate-raw')).getReader();
    position = 0;
    pending = new Uint8Array(0);
  };
  const stop = async (): Promise<void> => {
    const old = stream;
    stream = undefined;
    await old?.cancel().catch(() => undefined);
  };
  const next = async (): Promise<Uint8Array | undefined> => {
    let result;
    try {
      result = await stream!.read();
    } catch (cause) {
      await stop();
      if (cause instanceof RangeError) throw cause;
      throw damaged(`${member.name} is no valid deflate stream behind its byte ${position}`);
    }
    return result.done ? undefined : result.value;
  };
  /** Fills pending with at least one byte; throws when the stream ends before `size`. */
  const fill = async (): Promise<void> => {
    while (pending.length === 0) {
      const chunk = await next();
      if (!chunk) {
        await stop();
        throw damaged(`${member.name} inflates to ${position} bytes instead of ${size}`);
      }
      pending = new Uint8Array(chunk);
    }
  };
  const readNow = async (offset: number, length: number): Promise<Uint8Array> => {
    if (!stream || offset < position) await restart();
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length || position < offset) {
      await fill();
      const skipped = Math.min(pending.length, Math.max(0, offset - position));
      position += skipped;
      pending = pending.subarray(skipped);
      const taken = pending.subarray(0, Math.min(pending.length, position < offset ? 0 : length - done));
      bytes.set(taken, done);
      done += taken.length;
      position += taken.length;
      pending = pending.subarray(taken.length);
    }
    if (position === size) {
      // The last byte was asked for: nothing may be left.
      let rest: Uint8Array | undefined = pending;
      while (rest && rest.length === 0) rest = await next();
      await stop();
      if (rest) throw damaged(`${member.name} inflates to more than the ${size} bytes that it claims`);
    }
    return bytes;
  };
  let queue: Promise<unknown> = Promise.resolve();
  return {
    name,
    size,
    read(offset, length) {
      try {
        assertRange(name, size, offset, length);
      } catch (error) {
        return Promise.reject(error);
      }
      const result = queue.then(() => readNow(offset, length));
      queue = result.catch(() => undefined);
      return result;
    },
    close: stop,
  };
}
