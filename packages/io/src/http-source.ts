/**
 * Random access to a file behind HTTP by range requests.
 * Source: RFC 9110, 14 (Range, Content-Range), 15.3.7 (206), 15.5.17 (416).
 * Caveats: every request goes to the URL given, never to where it redirected before: redirects are often signed and
 * expire, and `fetch` drops Authorization on the way to another origin, as it must. In a browser a server of another
 * origin has to expose Content-Range.
 */
import { assertRange, type ByteSource } from '@weightspec/core';
import { allocate, concat } from './array.js';
import { closedError, IoError, reasonOf } from './errors.js';
import { memorySource } from './memory-source.js';
import { windowCache } from './window-cache.js';

export interface HttpSourceOptions {
  /** Sent with every request, e.g. `{ authorization: 'Bearer …' }`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How long the server may be silent, before and within a body. Default 30,000. */
  readonly timeoutMs?: number;
  /** Ends the source: reads under way and later ones reject with its reason. */
  readonly signal?: AbortSignal;
  /** When the server cannot send ranges: hold the whole file in memory, or let a function store it, instead of failing. Default false. */
  readonly download?: boolean | StoreBody;
  /** The most that `download` may hold in memory. Default 1 GiB. */
  readonly maxDownloadBytes?: number;
  /** Granularity of small reads. Default 64 KiB. */
  readonly windowBytes?: number;
  /** Bytes of windows kept in memory; reads of more than a quarter of it pass by the cache. Default 4 MiB. */
  readonly cacheBytes?: number;
  /** Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch;
}

/** Keeps a body that comes once, front to back, where it can be read at any offset. */
export type StoreBody = (name: string, chunks: AsyncIterable<Uint8Array>) => Promise<ByteSource>;

export interface HttpSource extends ByteSource {
  /** Requests sent (a chain of redirects counts once) and body bytes received so far. */
  stats(): { readonly requestCount: number; readonly receivedBytes: number };
  close(): Promise<void>;
}

/** What must stay the same from one response to the next. */
interface Revision {
  readonly size: number;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

interface Answer {
  readonly response: Response;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * Opens a URL with one request for its first window.
 * The source's name is the URL without query and fragment, because those often hold secrets.
 * Throws IoError; aborting `options.signal` throws its reason.
 */
export async function httpSource(url: string | URL, options: HttpSourceOptions = {}): Promise<HttpSource> {
  const address = parseAddress(url);
  const name = `${address.origin}${address.pathname}`;
  const { windowBytes = 2 ** 16, cacheBytes = 2 ** 22 } = options;
  const client = httpClient(address, name, options);
  try {
    const opened = await client.get(0, windowBytes - 1, (answer) => open(name, answer, windowBytes, options));
    return 'whole' in opened ? wholeSource(name, opened.whole, client) : rangedSource(name, opened.revision, opened.head, client, windowBytes, cacheBytes);
  } catch (error) {
    await client.close();
    throw error;
  }
}

function parseAddress(url: string | URL): URL {
  const address = URL.canParse(String(url)) ? new URL(url) : undefined;
  if (!address || !/^https?:$/.test(address.protocol)) throw new IoError('IO_UNSUPPORTED_URL', `${String(url)} is not an http(s) URL`);
  if (address.username !== '' || address.password !== '') {
    throw new IoError('IO_UNSUPPORTED_URL', `${address.origin}${address.pathname}: the URL contains a user name or password`);
  }
  return address;
}

type Client = ReturnType<typeof httpClient>;

/** Sends GETs one by one, counts, and turns silence, refusal and closing into errors. */
function httpClient(address: URL, name: string, { headers, timeoutMs = 30_000, signal, fetch = globalThis.fetch }: HttpSourceOptions) {
  const closing = new AbortController();
  // A set, not listeners on the signal: Node warns of a leak from the eleventh concurrent read on.
  const underWay = new Set<AbortController>();
  const end = (reason: unknown) => {
    closing.abort(reason);
    for (const request of underWay) request.abort(closing.signal.reason);
  };
  const endByCaller = () => end(signal?.reason);
  if (signal?.aborted) endByCaller();
  signal?.addEventListener('abort', endByCaller, { once: true });
  let requestCount = 0;
  let receivedBytes = 0;

  async function* countedChunks(response: Response, onProgress: () => void): AsyncGenerator<Uint8Array> {
    const reader = response.body?.getReader();
    for (let next = await reader?.read(); next?.value !== undefined; next = await reader?.read()) {
      receivedBytes += next.value.byteLength;
      onProgress();
      yield next.value;
    }
  }

  return {
    closing: closing.signal,
    stats: () => ({ requestCount, receivedBytes }),
    /** Asks for bytes first to last, both included, and lets `consume` read as much of the answer as it wants. */
    async get<T>(first: number, last: number, consume: (answer: Answer) => Promise<T>): Promise<T> {
      closing.signal.throwIfAborted();
      const request = new AbortController();
      underWay.add(request);
      const giveUp = () => request.abort(new IoError('IO_TIMEOUT', `${name}: no answer for ${timeoutMs} ms (bytes ${first} to ${last})`));
      let timer = setTimeout(giveUp, timeoutMs);
      const onProgress = () => {
        clearTimeout(timer);
        timer = setTimeout(giveUp, timeoutMs);
      };
      try {
        requestCount += 1;
        // Not stored, because browsers' caches of partial bodies mix revisions; the window cache is enough.
        const init = { headers: { ...headers, range: `bytes=${first}-${last}` }, signal: request.signal, cache: 'no-store' } as const;
        const response = await fetch(address, init).catch((error: unknown) => {
          throw networkError(name, error);
        });
        onProgress();
        return await consume({ response, chunks: countedChunks(response, onProgress) });
      } catch (error) {
        throw request.signal.aborted ? request.signal.reason : error;
      } finally {
        clearTimeout(timer);
        underWay.delete(request);
        // Drops the connection when the body was not read to its end.
        request.abort();
      }
    },
    async close(): Promise<void> {
      signal?.removeEventListener('abort', endByCaller);
      end(closedError(name));
    },
  };
}

/** Makes of the first answer either a revision and the first window, or the whole file. */
async function open(
  name: string,
  { response, chunks }: Answer,
  windowBytes: number,
  { download = false, maxDownloadBytes = 2 ** 30 }: HttpSourceOptions,
): Promise<{ revision: Revision; head: Uint8Array } | { whole: ByteSource }> {
  const contentRange = response.headers.get('content-range') ?? '';
  if (response.status === 416 && /^bytes \*\/0$/i.test(contentRange)) return { whole: memorySource(new Uint8Array(0), name) };
  if (response.status === 206) {
    const revision = revisionOf(name, response);
    const length = Math.min(windowBytes, revision.size);
    checkRange(name, response, 0, length);
    return { revision, head: await readBody(name, chunks, 0, length) };
  }
  if (response.status !== 200) throw statusError(name, response);
  checkNotEncoded(name, response);
  const length = response.headers.get('content-length');
  if (length === '0') return { whole: memorySource(new Uint8Array(0), name) };
  if (!download) throw new IoError('IO_NO_RANGE_SUPPORT', `${name}: the server sends the whole file${length === null ? '' : ` (${length} bytes)`} instead of a range`);
  const announced = length === null ? undefined : Number(length);
  if (download === true) return { whole: memorySource(await readAll(name, chunks, announced, maxDownloadBytes), name) };
  const stored = await download(name, untilBroken(name, chunks));
  if (announced === undefined || stored.size === announced) return { whole: stored };
  await stored.close?.();
  throw new IoError('IO_SHORT_READ', `${name}: ${stored.size} of ${announced} bytes came`);
}

function wholeSource(name: string, stored: ByteSource, client: Client): HttpSource {
  return {
    name,
    size: stored.size,
    stats: () => client.stats(),
    async read(offset, length) {
      client.closing.throwIfAborted();
      return stored.read(offset, length);
    },
    async close() {
      await client.close();
      await stored.close?.();
    },
  };
}

function rangedSource(name: string, revision: Revision, head: Uint8Array, client: Client, windowBytes: number, cacheBytes: number): HttpSource {
  const fetchRange = (offset: number, length: number) =>
    client.get(offset, offset + length - 1, async ({ response, chunks }) => {
      if (response.status === 200) throw new IoError('IO_NO_RANGE_SUPPORT', `${name}: the server stopped sending ranges`);
      if (response.status === 416) throw new IoError('IO_CHANGED', `${name}: bytes ${offset} to ${offset + length - 1} are no longer there`);
      if (response.status !== 206) throw statusError(name, response);
      checkUnchanged(name, revision, revisionOf(name, response));
      checkRange(name, response, offset, length);
      return readBody(name, chunks, offset, length);
    });
  const cache = windowCache({ size: revision.size, windowBytes, cacheBytes, fetchRange });
  cache.prime(head);
  return {
    name,
    size: revision.size,
    stats: () => client.stats(),
    async read(offset, length) {
      client.closing.throwIfAborted();
      assertRange(name, revision.size, offset, length);
      if (length === 0) return new Uint8Array(0);
      return length > cacheBytes / 4 ? fetchRange(offset, length) : cache.read(offset, length);
    },
    async close() {
      cache.clear();
      await client.close();
    },
  };
}

/** `bytes first-last/size`; the numbers may be any digits, so they are checked before they are used. */
function parseContentRange(name: string, response: Response): { first: number; last: number; size: number } {
  const text = response.headers.get('content-range');
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/i.exec(text?.trim() ?? '');
  const [first, last, size] = match?.slice(1).map(Number) ?? [];
  if (first === undefined || last === undefined || size === undefined || ![first, last, size].every(Number.isSafeInteger)) {
    throw new IoError('IO_HTTP_BAD_RANGE', `${name}: 206 with ${text === null ? 'no readable Content-Range' : `Content-Range ${JSON.stringify(text)}`}`);
  }
  return { first, last, size };
}

function revisionOf(name: string, response: Response): Revision {
  const { size } = parseContentRange(name, response);
  return { size, etag: response.headers.get('etag'), lastModified: response.headers.get('last-modified') };
}

function checkRange(name: string, response: Response, offset: number, length: number): void {
  checkNotEncoded(name, response);
  const { first, last } = parseContentRange(name, response);
  if (first !== offset || last !== offset + length - 1) {
    throw new IoError('IO_HTTP_BAD_RANGE', `${name}: asked for bytes ${offset} to ${offset + length - 1}, got ${first} to ${last}`);
  }
}

function checkNotEncoded(name: string, response: Response): void {
  const encoding = response.headers.get('content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity') throw new IoError('IO_HTTP_BAD_RANGE', `${name}: the server compressed the bytes (${encoding})`);
}

/** An ETag decides where both have one; Last-Modified only without it, because it counts in seconds. */
function checkUnchanged(name: string, before: Revision, now: Revision): void {
  const differs = (a: string | null, b: string | null) => a !== null && b !== null && a !== b;
  const changed = (what: string, from: unknown, to: unknown) => new IoError('IO_CHANGED', `${name}: ${what} was ${String(from)} and is now ${String(to)}`);
  if (now.size !== before.size) throw changed('the size', before.size, now.size);
  if (differs(before.etag, now.etag)) throw changed('the ETag', before.etag, now.etag);
  if ((before.etag === null || now.etag === null) && differs(before.lastModified, now.lastModified)) throw changed('Last-Modified', before.lastModified, now.lastModified);
}

/** `fetch` says only "fetch failed"; the cause says why. */
function networkError(name: string, error: unknown): IoError {
  const cause = error instanceof Error && error.cause !== undefined ? `: ${reasonOf(error.cause)}` : '';
  return new IoError('IO_NETWORK', `${name}: ${reasonOf(error)}${cause}`, { cause: error });
}

function statusError(name: string, { status, statusText }: Response): IoError {
  const message = `${name}: HTTP ${status} ${statusText}`.trimEnd();
  if (status === 404 || status === 410) return new IoError('IO_NOT_FOUND', message);
  if (status === 401 || status === 403) return new IoError('IO_PERMISSION', message);
  return new IoError('IO_HTTP_STATUS', message);
}

/** Passes on `chunks`; a connection that breaks within a body becomes IO_SHORT_READ. */
async function* untilBroken(name: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (cause) {
    throw new IoError('IO_SHORT_READ', `${name}: the connection broke within a body: ${reasonOf(cause)}`, { cause });
  }
}

/** A body that must be the `length` bytes from `offset`, no more and no fewer. */
async function readBody(name: string, chunks: AsyncIterable<Uint8Array>, offset: number, length: number): Promise<Uint8Array> {
  const body = allocate(name, length);
  let done = 0;
  for await (const chunk of untilBroken(name, chunks)) {
    if (chunk.byteLength > length - done) throw new IoError('IO_HTTP_BAD_RANGE', `${name}: the body is longer than the ${length} bytes from ${offset} that it announces`);
    body.set(chunk, done);
    done += chunk.byteLength;
  }
  if (done < length) throw new IoError('IO_SHORT_READ', `${name}: ${done} of ${length} bytes came from offset ${offset}`);
  return body;
}

/** A whole body of at most `maxBytes`, and exactly `announced` where the server said so. */
async function readAll(name: string, chunks: AsyncIterable<Uint8Array>, announced: number | undefined, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = (byteCount: number) => new IoError('IO_DOWNLOAD_TOO_LARGE', `${name}: ${byteCount} bytes or more; at most ${maxBytes} may be held in memory`);
  if (announced !== undefined && announced > maxBytes) throw tooLarge(announced);
  if (announced !== undefined) return readBody(name, chunks, 0, announced);
  const parts: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of untilBroken(name, chunks)) {
    total += chunk.byteLength;
    if (total > maxBytes) throw tooLarge(total);
    parts.push(chunk);
  }
  return concat(name, parts);
}
