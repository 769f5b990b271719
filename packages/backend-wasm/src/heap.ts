import { BackendError } from '@weightspec/kernels';

const PAGE_BYTES = 65536;
/** 32-bit addresses reach 4 GiB; the last page stays unused, so that no address after the end of anything wraps to 0. */
export const LARGEST_HEAP_BYTES = 65535 * PAGE_BYTES;

/** The shared memory of one executable. Blocks are given out in order and never taken back: it all goes at once. */
export class Heap {
  readonly memory: WebAssembly.Memory;
  #end: number;

  /** Throws BackendError (BACKEND_FAILED) where the engine cannot reserve the addresses. */
  constructor(firstByte: number) {
    try {
      this.memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
    } catch (error) {
      throw new BackendError('BACKEND_FAILED', `no WebAssembly memory could be reserved: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.#end = firstByte;
  }

  get byteLength(): number {
    return this.#end;
  }

  /** Address of `byteLength` zeros, on a cache line of their own. Throws BackendError (BACKEND_FAILED) beyond 4 GiB or what the machine has; `what` says what for. */
  allocate(byteLength: number, what: string): number {
    const address = Math.ceil(this.#end / 64) * 64;
    const end = address + byteLength;
    const missing = Math.ceil((end - this.memory.buffer.byteLength) / PAGE_BYTES);
    if (end > LARGEST_HEAP_BYTES) throw new BackendError('BACKEND_FAILED', `${what} would take ${byteLength} bytes beside the ${this.#end} in use, and WebAssembly's 32-bit addresses end at 4 GiB`);
    if (missing > 0) this.#grow(missing, what);
    this.#end = end;
    return address;
  }

  #grow(pages: number, what: string): void {
    try {
      this.memory.grow(pages);
    } catch {
      throw new BackendError('BACKEND_FAILED', `there is no memory for ${what}: WebAssembly could not have ${pages * PAGE_BYTES} bytes more than the ${this.memory.buffer.byteLength} it has`);
    }
  }

  /** Views are good until the next `allocate`. */
  ints(address: number, count: number): Int32Array {
    return new Int32Array(this.memory.buffer, address, count);
  }

  floats(address: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, count);
  }

  bytes(address: number, byteLength: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, byteLength);
  }

  set(word: number, value: number): void {
    this.ints(word, 1)[0] = value;
  }

  get(word: number): number {
    return this.ints(word, 1)[0]!;
  }
}
