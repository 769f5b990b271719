/**
 * A bounded cache of equal, aligned windows over something slow to ask. Small reads near each other cost one request;
 * reads that go on where the last fetch ended fetch ahead, twice as far each time.
 */
export interface WindowCacheOptions {
  /** Bytes in all of what lies behind the cache. */
  readonly size: number;
  readonly windowBytes: number;
  /** Bytes of windows kept; the least recently used go first. */
  readonly cacheBytes: number;
  /** Fetches exactly [offset, offset + length), which lies inside [0, size). */
  readonly fetchRange: (offset: number, length: number) => Promise<Uint8Array>;
}

/** How many windows one fetch of a sequential reader may span: bounds what is transferred in vain. */
const MAX_READ_AHEAD_WINDOWS = 8;

export function windowCache({ size, windowBytes, cacheBytes, fetchRange }: WindowCacheOptions) {
  const windows = new Map<number, Promise<Uint8Array>>();
  const capacity = Math.max(1, Math.floor(cacheBytes / windowBytes));
  const windowCount = Math.ceil(size / windowBytes);
  const maxReadAhead = Math.min(MAX_READ_AHEAD_WINDOWS, capacity);
  let nextInSequence = -1;
  let readAhead = 1;

  /** Puts `window` at the young end of the map, whose order is the order of use. */
  function keep(index: number, window: Promise<Uint8Array>): Promise<Uint8Array> {
    windows.delete(index);
    windows.set(index, window);
    for (const oldest of windows.keys()) {
      if (windows.size <= capacity) break;
      windows.delete(oldest);
    }
    return window;
  }

  /** Starts one request for windows [first, end). */
  function fetchRun(first: number, end: number): Promise<Uint8Array>[] {
    const start = first * windowBytes;
    const run = fetchRange(start, Math.min(size, end * windowBytes) - start);
    return Array.from({ length: end - first }, (_, i) => {
      // slice, not subarray: one window kept must not keep its whole run alive.
      const window = run.then((bytes) => bytes.slice(i * windowBytes, (i + 1) * windowBytes));
      window.catch(() => {
        if (windows.get(first + i) === window) windows.delete(first + i);
      });
      return keep(first + i, window);
    });
  }

  /** How far to fetch when `first` to `end` are missing. */
  function extend(first: number, end: number): number {
    readAhead = first === nextInSequence ? Math.min(readAhead * 2, maxReadAhead) : 1;
    let extended = end;
    while (extended < Math.min(windowCount, first + readAhead) && !windows.has(extended)) extended += 1;
    nextInSequence = extended;
    return extended;
  }

  /** The windows [first, end), from the cache or in as few requests as there are gaps. */
  function take(first: number, end: number): Promise<Uint8Array>[] {
    const taken: Promise<Uint8Array>[] = [];
    for (let index = first; index < end; ) {
      const cached = windows.get(index);
      if (cached) {
        taken.push(keep(index, cached));
        index += 1;
        continue;
      }
      let gapEnd = index + 1;
      while (gapEnd < end && !windows.has(gapEnd)) gapEnd += 1;
      taken.push(...fetchRun(index, extend(index, gapEnd)).slice(0, gapEnd - index));
      index = gapEnd;
    }
    return taken;
  }

  return {
    /** Puts bytes that are there already (the start of the file) into the cache; whole windows only. */
    prime(bytes: Uint8Array): void {
      const known = bytes.byteLength === size ? windowCount : Math.floor(bytes.byteLength / windowBytes);
      for (let index = 0; index < known; index += 1) void keep(index, Promise.resolve(bytes.slice(index * windowBytes, (index + 1) * windowBytes)));
      nextInSequence = known;
    },
    /** Exactly `length` > 0 bytes from `offset`, in an array of the caller's own. */
    async read(offset: number, length: number): Promise<Uint8Array> {
      const first = Math.floor(offset / windowBytes);
      const end = Math.ceil((offset + length) / windowBytes);
      const parts = await Promise.all(take(first, end));
      const result = new Uint8Array(length);
      parts.forEach((part, i) => {
        const partStart = (first + i) * windowBytes - offset;
        const wanted = part.subarray(Math.max(0, -partStart), length - partStart);
        result.set(wanted, Math.max(0, partStart));
      });
      return result;
    },
    clear(): void {
      windows.clear();
    },
  };
}
