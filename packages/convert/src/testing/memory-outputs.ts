import { memorySink } from '@weightspec/io';
import type { ConversionOutputs } from '../convert.js';

export interface MemoryOutputs extends ConversionOutputs {
  /** By name, in the order in which they were opened; empty before `commit`. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Outputs for tests, in memory. */
export function memoryOutputs(): MemoryOutputs {
  const files = new Map<string, Uint8Array>();
  const sinks: (readonly [name: string, bytes: () => Uint8Array])[] = [];
  return {
    files,
    async open({ name }) {
      const sink = memorySink();
      sinks.push([name, () => sink.bytes()]);
      return sink;
    },
    async commit() {
      for (const [name, bytes] of sinks) files.set(name, bytes());
    },
    abort: async () => undefined,
  };
}

/** Throws where there is another number of files than one. */
export function onlyFileOf({ files }: MemoryOutputs): Uint8Array {
  const [bytes, ...more] = files.values();
  if (!bytes || more.length > 0) throw new Error(`${files.size} files instead of one`);
  return bytes;
}
