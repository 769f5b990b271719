/** Files, servers and disks that fail. */
import type { RequestListener } from 'node:http';
import { fixture } from './contents.js';
import type { Situation } from './situation.js';

const model = { 'model.bin': fixture('llama2c/valid/v0-gqa.bin') };
type Server = NonNullable<Situation['serve']>;
const whole: Server = { about: 'a server that sends 1000 bytes whatever is asked for', answer: (_, response) => void response.end('0'.repeat(1000)) };
const status = (code: number): Server => ({ about: `a server that answers ${code}`, answer: (_, response) => void response.writeHead(code).end() });
const otherRange: Server = { about: 'a server that answers with Content-Range: bytes 1-1000/5000', answer: (_, response) => void response.writeHead(206, { 'content-range': 'bytes 1-1000/5000' }).end('0'.repeat(1000)) };
const silent: Server = { about: 'a server that does not answer', answer: () => undefined };
const url = 'http://127.0.0.1:8000/model.bin';

/** What the operating system answers in such a case, put in the place of a real write. */
const onDisk = (code: string, errno: string): Situation => ({ code, program: `
import { open } from 'node:fs/promises';
import { atomicFileSink } from '@weightspec/io/node';
const handle = await open('any', 'w');
const methods = Object.getPrototypeOf(handle);
const { write } = methods;
methods.write = async () => { throw Object.assign(new Error('${errno}, write'), { code: '${errno.split(':')[0]}' }); };
try {
  const sink = await atomicFileSink('model.bin');
  await sink.write(new Uint8Array(2 ** 20));
} finally {
  methods.write = write;
  await handle.close();
}` });

/** A server whose second answer is of another file. */
function changing(): Server {
  let requests = 0;
  const answer: RequestListener = (request, response) => {
    const [, first = '0', last = '0'] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
    const end = Math.min(Number(last), 199_999);
    response.writeHead(206, { etag: `"${(requests += 1)}"`, 'content-range': `bytes ${first}-${end}/200000` }).end(new Uint8Array(end - Number(first) + 1));
  };
  return { about: 'a server whose file is replaced after the first answer', answer };
}

export const io: readonly Situation[] = [
  { code: 'IO_NOT_FOUND', command: 'validate model.bin' },
  { code: 'IO_NOT_A_FILE', files: { 'folder/readme.txt': 'x' }, command: 'repair folder out.bin' },
  { code: 'IO_PERMISSION', serve: status(403), command: `validate ${url}` },
  { code: 'IO_READ_FAILED', program: `
import { blobSource } from '@weightspec/io';
// In a browser: the file was deleted after it was dropped on the page.
const file = new Blob(['weights']);
file.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException('The requested file could not be read', 'NotReadableError')) });
await blobSource(file).read(0, 4);` },
  { code: 'IO_SHORT_READ', files: model, program: `
import { truncate } from 'node:fs/promises';
import { fileSource } from '@weightspec/io/node';
const source = await fileSource('model.bin');
await truncate('model.bin', 40);
try {
  await source.read(30, 20);
} finally {
  await source.close();
}` },
  { code: 'IO_CHANGED', serve: changing(), program: `
import { httpSource } from '@weightspec/io';
const source = await httpSource('${url}');
await source.read(100_000, 4);` },
  { code: 'IO_CLOSED', files: model, program: `
import { fileSource } from '@weightspec/io/node';
const source = await fileSource('model.bin');
await source.close();
await source.read(0, 4);` },
  { code: 'IO_INTERRUPTED', program: `
import { atomicFileSink } from '@weightspec/io/node';
// A program that has a listener of its own goes on after Ctrl-C.
const goOn = () => {};
process.on('SIGHUP', goOn);
const sink = await atomicFileSink('model.bin');
try {
  process.emit('SIGHUP', 'SIGHUP');
  await sink.write(new Uint8Array(2 ** 20));
} finally {
  setTimeout(() => process.off('SIGHUP', goOn), 100);
}` },
  onDisk('IO_WRITE_FAILED', 'EIO: i/o error'),
  onDisk('IO_DISK_FULL', 'ENOSPC: no space left on device'),
  onDisk('IO_FILE_TOO_LARGE', 'EFBIG: file too large'),
  { code: 'IO_SAME_FILE', files: model, command: 'convert model.bin model.bin --to llama2c-v2' },
  { code: 'IO_UNSUPPORTED_URL', command: 'validate ftp://example.org/model.bin' },
  { code: 'IO_NETWORK', command: 'validate http://127.0.0.1:1/model.bin' },
  { code: 'IO_TIMEOUT', serve: silent, program: `
import { httpSource } from '@weightspec/io';
await httpSource('${url}', { timeoutMs: 50 });` },
  { code: 'IO_HTTP_STATUS', serve: status(503), command: `validate ${url}` },
  { code: 'IO_HTTP_BAD_RANGE', serve: otherRange, command: `validate ${url}` },
  { code: 'IO_NO_RANGE_SUPPORT', serve: whole, command: `validate ${url}` },
  { code: 'IO_DOWNLOAD_TOO_LARGE', serve: whole, program: `
import { httpSource } from '@weightspec/io';
await httpSource('${url}', { download: true, maxDownloadBytes: 999 });` },
  { code: 'IO_STREAM_TOO_LARGE', program: `
import { spooledSource } from '@weightspec/io/node';
async function* endless() {
  for (;;) yield new Uint8Array(1000);
}
await spooledSource('stdin', endless(), { maxBytes: 9999 });` },
];
