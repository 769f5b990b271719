/** The only thread that may reach the network (see headers.ts). It gets addresses that a person pasted, and no files. */
import { expose, transfer } from 'comlink';
import { httpSource, type HttpSource } from '@weightspec/io';
import { withFaults } from './faults.js';
import type { Network, RemoteFiles } from './protocol.js';

/** Configurations and vocabularies, which may come whole, have less. */
const MOST_WHOLE_BYTES = 2 ** 26;

const sources = new Map<number, HttpSource>();
let nextId = 1;

function sourceOf(id: number): HttpSource {
  const source = sources.get(id);
  if (!source) throw new RangeError(`no remote file has the number ${id}`);
  return source;
}

const files: RemoteFiles = {
  async open(url, whole) {
    const source = await httpSource(url, whole ? { download: true, maxDownloadBytes: MOST_WHOLE_BYTES } : {});
    const id = nextId++;
    sources.set(id, source);
    return { id, name: source.name, size: source.size };
  },
  async read(id, offset, length) {
    const bytes = await sourceOf(id).read(offset, length);
    return transfer(bytes, [bytes.buffer]);
  },
  async close(id) {
    await sources.get(id)?.close();
    sources.delete(id);
  },
};

const network: Network = { serve: (port) => expose(withFaults(files), port) };
expose(network);
