import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Encoder, EncodeRequest } from '@weightspec/convert';
import { DiagnosticError } from '@weightspec/core';
import type { EncodeReply } from './encode-worker.js';

/** Two workers keep a disk busy; more of them wait for it. */
const MOST_WORKERS = 2;

export interface EncoderPool extends Encoder {
  close(): Promise<void>;
}

interface Waiting {
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** Worker threads that encode, one request after the other each. Undefined where the worker is not built, as in tests of the sources. */
export function encoderPool(workerUrl: URL = new URL('./encode-worker.js', import.meta.url)): EncoderPool | undefined {
  if (!existsSync(fileURLToPath(workerUrl))) return undefined;
  // Without this process's own flags, some of which (--eval's --input-type) no file can have.
  const members = Array.from({ length: Math.min(MOST_WORKERS, availableParallelism()) }, () => member(new Worker(workerUrl, { execArgv: [], resourceLimits: { maxYoungGenerationSizeMb: 4 } })));
  return {
    parallel: 2 * members.length,
    encode: (request) => members.toSorted((a, b) => a.load() - b.load())[0]!.encode(request),
    async close() {
      await Promise.all(members.map(({ close }) => close()));
    },
  };
}

/** Replies come in the order of the requests. */
function member(worker: Worker) {
  const waiting: Waiting[] = [];
  let failure: Error | undefined;
  const fail = (error: Error): void => {
    failure = error;
    for (const { reject } of waiting.splice(0)) reject(error);
  };
  worker.on('message', (reply: EncodeReply) => {
    const next = waiting.shift();
    if ('bytes' in reply) next?.resolve(reply.bytes);
    else next?.reject(new DiagnosticError(reply.diagnostics));
  });
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('the encoding thread has ended')));
  return {
    load: () => waiting.length,
    encode: (request: EncodeRequest): Promise<Uint8Array> => new Promise((resolve, reject) => {
      if (failure) return reject(failure);
      waiting.push({ resolve, reject });
      // What a source returns belongs to its reader, so that it can be given away; a part of a larger buffer would take that along.
      const bytes = request.bytes.byteLength === request.bytes.buffer.byteLength ? (request.bytes as Uint8Array<ArrayBuffer>) : request.bytes.slice();
      worker.postMessage({ ...request, bytes }, [bytes.buffer]);
    }),
    close: async () => void (await worker.terminate()),
  };
}
