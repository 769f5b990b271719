import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpSource, type HttpSource, type HttpSourceOptions } from './index.js';
import { spooledSource } from './node/spool.js';
import { byteSourceContract, contractBytes, firstDifference, slicingMismatch } from './testing/index.js';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let origin: string;
const handlers = new Map<string, Handler>();

beforeAll(async () => {
  server = createServer((request, response) => {
    const handler = handlers.get(new URL(request.url ?? '/', origin).pathname);
    if (handler) handler(request, response);
    else response.writeHead(404).end('<html>no such file</html>');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${portOf(server)}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function portOf(listening: Server): number {
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port');
  return address.port;
}

/** Serves at a new path and gives its URL. */
function serve(handler: Handler): string {
  const path = `/${handlers.size}/model.bin`;
  handlers.set(path, handler);
  return origin + path;
}

function askedRange(request: IncomingMessage): [first: number, last: number] {
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  if (!match) throw new Error(`the client sent Range: ${String(request.headers.range)}`);
  return [Number(match[1]), Number(match[2])];
}

/** A server as RFC 9110 wants it; `headers` are added. */
function ranged(bytes: Uint8Array, headers: () => Record<string, string> = () => ({})): Handler {
  return (request, response) => {
    const [first, last] = askedRange(request);
    if (first >= bytes.byteLength) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.byteLength}` }).end();
      return;
    }
    const end = Math.min(bytes.byteLength, last + 1);
    response.writeHead(206, { 'content-range': `bytes ${first}-${end - 1}/${bytes.byteLength}`, 'content-length': end - first, ...headers() });
    response.end(bytes.subarray(first, end));
  };
}

const whole =
  (bytes: Uint8Array): Handler =>
  (_, response) => {
    response.writeHead(200, { 'content-length': bytes.byteLength }).end(bytes);
  };

const redirect =
  (to: string): Handler =>
  (_, response) => {
    response.writeHead(302, { location: to }).end();
  };

byteSourceContract({ describe, it, expect }, 'httpSource', (bytes) => httpSource(serve(ranged(bytes))));
byteSourceContract({ describe, it, expect }, 'httpSource with windows of 1 kB and room for four', (bytes) =>
  httpSource(serve(ranged(bytes)), { windowBytes: 1000, cacheBytes: 4000 }),
);
byteSourceContract({ describe, it, expect }, 'httpSource behind two redirects', (bytes) => httpSource(serve(redirect(serve(redirect(serve(ranged(bytes))))))));
byteSourceContract({ describe, it, expect }, 'httpSource that downloads', (bytes) => httpSource(serve(whole(bytes)), { download: true }));
byteSourceContract({ describe, it, expect }, 'httpSource that stores what it downloads', (bytes) => httpSource(serve(whole(bytes)), { download: (name, chunks) => spooledSource(name, chunks) }));

describe('httpSource', () => {
  it('reads any slices as they are, whatever the windows', async () => {
    const bytes = contractBytes(3000);
    const url = serve(ranged(bytes));
    const anyCuts = fc.array(fc.tuple(fc.nat(3000), fc.nat(700)), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 400 }), fc.nat(2000), anyCuts, async (windowBytes, cacheBytes, cuts) => {
        const source = await httpSource(url, { windowBytes, cacheBytes });
        await Promise.all(
          cuts.map(async ([offset, length]) => {
            expect(await slicingMismatch(source, bytes, offset, length)).toBe(undefined);
          }),
        );
        await source.close();
      }),
      { numRuns: 60 },
    );
  });

  it('reads a 200 kB header of a 14 GB file in small steps with few requests and little transfer', async () => {
    const size = 14_000_000_000;
    const source = await httpSource(
      serve((request, response) => {
        const [first, last] = askedRange(request);
        response.writeHead(206, { 'content-range': `bytes ${first}-${last}/${size}` }).end(Buffer.alloc(last - first + 1, first / 65_536));
      }),
    );
    expect(source.size).toBe(size);
    for (let offset = 0; offset < 200_000; offset += 8) expect((await source.read(offset, 8)).byteLength).toBe(8);
    // The last tensor's first bytes, beyond 2^32.
    await source.read(size - 1_000_000, 64);
    const { requestCount, receivedBytes } = source.stats();
    expect(requestCount).toBeLessThanOrEqual(5);
    expect(receivedBytes).toBeLessThan(600_000);
    await source.close();
  });

  it('counts requests and bytes, and asks for nothing compressed', async () => {
    const encodings: unknown[] = [];
    const bytes = contractBytes(5000);
    const source = await httpSource(
      serve((request, response) => {
        encodings.push(request.headers['accept-encoding']);
        ranged(bytes)(request, response);
      }),
      { windowBytes: 1000 },
    );
    expect(source.stats()).toEqual({ requestCount: 1, receivedBytes: 1000 });
    await source.read(3000, 10);
    expect(source.stats()).toEqual({ requestCount: 2, receivedBytes: 2000 });
    expect(encodings).toEqual(['identity', 'identity']);
    await source.close();
  });

  it('sends the headers it is given, and shows neither query nor fragment in its name', async () => {
    const seen: unknown[] = [];
    const url = serve((request, response) => {
      seen.push(request.headers.authorization);
      ranged(contractBytes(10))(request, response);
    });
    const source = await httpSource(`${url}?token=secret#x`, { headers: { authorization: 'Bearer t' } });
    expect(seen).toEqual(['Bearer t']);
    expect(source.name).toBe(url);
    await source.close();
  });
});

/** What opening the URL, or reading byte 2000 of it, is refused with. */
async function refusal(handler: Handler, options: HttpSourceOptions = {}): Promise<unknown> {
  let source: HttpSource | undefined;
  try {
    source = await httpSource(serve(handler), { windowBytes: 1000, timeoutMs: 5000, ...options });
    await source.read(2000, 10);
    return 'accepted';
  } catch (error) {
    return error;
  } finally {
    await source?.close();
  }
}

/** Answers the first request well and lets `then` answer all others. */
function firstThen(bytes: Uint8Array, then: Handler, headers: Record<string, string> = {}): Handler {
  let count = 0;
  return (request, response) => {
    count += 1;
    if (count === 1) ranged(bytes, () => headers)(request, response);
    else then(request, response);
  };
}

const answer =
  (status: number, headers: Record<string, string | number>, body: Uint8Array | string = ''): Handler =>
  (_, response) => {
    response.writeHead(status, headers).end(body);
  };

describe('httpSource and servers that fail or lie', () => {
  const bytes = contractBytes(5000);

  it('accepts the honest server that the lies below are variations of', async () => {
    expect(await refusal(ranged(bytes))).toBe('accepted');
    expect(await refusal(firstThen(bytes, ranged(bytes, () => ({ etag: '"1"' })), { etag: '"1"' }))).toBe('accepted');
  });

  it.each<[code: string, what: string, handler: Handler, options?: HttpSourceOptions]>([
    ['IO_NO_RANGE_SUPPORT', 'the whole file instead of a range', whole(bytes)],
    ['IO_NO_RANGE_SUPPORT', 'the whole file from the second request on', firstThen(bytes, whole(bytes))],
    ['IO_NOT_FOUND', '404', answer(404, {}, 'no')],
    ['IO_PERMISSION', '403', answer(403, {}, 'no')],
    ['IO_HTTP_STATUS', '503', answer(503, {}, 'later')],
    ['IO_HTTP_STATUS', '503 from the second request on', firstThen(bytes, answer(503, {}))],
    ['IO_HTTP_STATUS', '204', answer(204, {})],
    ['IO_HTTP_BAD_RANGE', 'no Content-Range', answer(206, {}, bytes.subarray(0, 1000))],
    ['IO_HTTP_BAD_RANGE', 'an unknown size', answer(206, { 'content-range': 'bytes 0-999/*' }, bytes.subarray(0, 1000))],
    ['IO_HTTP_BAD_RANGE', 'a size beyond 2^53', answer(206, { 'content-range': 'bytes 0-999/99999999999999999999' }, bytes.subarray(0, 1000))],
    ['IO_HTTP_BAD_RANGE', 'another range', answer(206, { 'content-range': 'bytes 1-1000/5000' }, bytes.subarray(1, 1001))],
    ['IO_HTTP_BAD_RANGE', 'a shorter range', answer(206, { 'content-range': 'bytes 0-99/5000' }, bytes.subarray(0, 100))],
    ['IO_HTTP_BAD_RANGE', 'more bytes than announced', answer(206, { 'content-range': 'bytes 0-999/5000' }, bytes.subarray(0, 1001))],
    ['IO_HTTP_BAD_RANGE', 'compressed bytes', answer(206, { 'content-range': 'bytes 0-999/5000', 'content-encoding': 'gzip' }, bytes.subarray(0, 1000))],
    ['IO_HTTP_BAD_RANGE', 'the first range again', firstThen(bytes, answer(206, { 'content-range': 'bytes 0-999/5000' }, bytes.subarray(0, 1000)))],
    ['IO_SHORT_READ', 'fewer bytes than announced', answer(206, { 'content-range': 'bytes 0-999/5000' }, bytes.subarray(0, 999))],
    ['IO_CHANGED', 'another size later', firstThen(bytes, ranged(contractBytes(5001)))],
    ['IO_CHANGED', 'a shorter file later', firstThen(bytes, ranged(contractBytes(1500)))],
    ['IO_CHANGED', 'another ETag later', firstThen(bytes, ranged(bytes, () => ({ etag: '"2"' })), { etag: '"1"' })],
    [
      'IO_CHANGED',
      'another Last-Modified later',
      firstThen(bytes, ranged(bytes, () => ({ 'last-modified': 'Fri, 02 Jan 2026 00:00:00 GMT' })), { 'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT' }),
    ],
    ['IO_DOWNLOAD_TOO_LARGE', 'a download over the bound', whole(bytes), { download: true, maxDownloadBytes: 4999 }],
    [
      'IO_DOWNLOAD_TOO_LARGE',
      'a download over the bound without a Content-Length',
      (_, response) => {
        response.writeHead(200).write(bytes);
        response.end(bytes);
      },
      { download: true, maxDownloadBytes: 9999 },
    ],
  ])('%s: %s', async (code, _, handler, options) => {
    expect(await refusal(handler, options)).toMatchObject({ name: 'IoError', code });
  });

  it('names a connection that breaks within a body (IO_SHORT_READ)', async () => {
    const broken: Handler = (_, response) => {
      response.writeHead(206, { 'content-range': 'bytes 0-999/5000', 'content-length': 1000 });
      response.write(bytes.subarray(0, 500), () => response.destroy());
    };
    expect(await refusal(broken)).toMatchObject({ code: 'IO_SHORT_READ' });
  });

  it('gives up on a server that never answers, or stops within a body (IO_TIMEOUT)', async () => {
    expect(await refusal(() => undefined, { timeoutMs: 50 })).toMatchObject({ code: 'IO_TIMEOUT' });
    const stalling: Handler = (_, response) => {
      response.writeHead(206, { 'content-range': 'bytes 0-999/5000' }).write(bytes.subarray(0, 500));
    };
    expect(await refusal(stalling, { timeoutMs: 50 })).toMatchObject({ code: 'IO_TIMEOUT' });
  });

  it('is patient with a slow body: the limit is on silence', async () => {
    const slow: Handler = (request, response) => {
      const [first] = askedRange(request);
      response.writeHead(206, { 'content-range': `bytes ${first}-${first + 999}/5000` });
      let sent = 0;
      const timer = setInterval(() => {
        response.write(bytes.subarray(first + sent, first + sent + 100));
        sent += 100;
        if (sent < 1000) return;
        clearInterval(timer);
        response.end();
      }, 60);
    };
    // Each body takes 600 ms in all, and the longest silence is 60 ms.
    expect(await refusal(slow, { timeoutMs: 400 })).toBe('accepted');
  });

  it('names a server that is not there (IO_NETWORK)', async () => {
    const gone = createServer();
    gone.listen(0, '127.0.0.1');
    await once(gone, 'listening');
    const port = portOf(gone);
    gone.close();
    await once(gone, 'close');
    await expect(httpSource(`http://127.0.0.1:${port}/model.bin`)).rejects.toMatchObject({ code: 'IO_NETWORK' });
  });

  it('ends a redirect that never ends (IO_NETWORK)', async () => {
    const url = serve((_, response) => redirect(url)(_, response));
    await expect(httpSource(url)).rejects.toMatchObject({ code: 'IO_NETWORK' });
  });

  it('does not open other schemes, nonsense, or passwords in URLs (IO_UNSUPPORTED_URL)', async () => {
    for (const url of ['ftp://example.org/x', 'data:text/plain,x', 'model.bin', '', `${origin.replace('//', '//user:word@')}/x`]) {
      await expect(httpSource(url)).rejects.toMatchObject({ code: 'IO_UNSUPPORTED_URL' });
    }
    await expect(httpSource(`${origin.replace('//', '//user:word@')}/x`)).rejects.not.toThrow(/word@/);
  });

  it('still serves what it can after a failed read', async () => {
    let broken = true;
    const source = await httpSource(
      serve((request, response) => {
        if (broken && askedRange(request)[0] > 0) answer(500, {})(request, response);
        else ranged(bytes)(request, response);
      }),
      { windowBytes: 1000 },
    );
    await expect(source.read(2000, 10)).rejects.toMatchObject({ code: 'IO_HTTP_STATUS' });
    broken = false;
    expect(firstDifference(await source.read(2000, 10), bytes.subarray(2000, 2010))).toBe(undefined);
    await source.close();
  });
});

describe('ending an httpSource', () => {
  const hanging = (): Handler => firstThen(contractBytes(5000), () => undefined);

  it('rejects the reads under way when it is closed (IO_CLOSED)', async () => {
    const source = await httpSource(serve(hanging()), { windowBytes: 1000 });
    await Promise.all([expect(source.read(3000, 1)).rejects.toMatchObject({ code: 'IO_CLOSED' }), source.close()]);
  });

  it('rejects reads and opening with the reason of the signal', async () => {
    const reason = new Error('enough');
    const stop = new AbortController();
    const source = await httpSource(serve(hanging()), { windowBytes: 1000, signal: stop.signal });
    setTimeout(() => stop.abort(reason), 20);
    await expect(source.read(3000, 1)).rejects.toBe(reason);
    await expect(source.read(0, 1)).rejects.toBe(reason);
    await expect(httpSource(serve(hanging()), { signal: stop.signal })).rejects.toBe(reason);
  });
});
