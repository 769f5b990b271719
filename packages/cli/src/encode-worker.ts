/** A worker thread that encodes what it is sent. Findings about the values go back as data; any other fault ends the worker. */
import { parentPort } from 'node:worker_threads';
import { encodeChunk, type EncodeRequest } from '@weightspec/convert/encoding';
import { DiagnosticError, type Diagnostic } from '@weightspec/core';

export type EncodeReply = { readonly bytes: Uint8Array<ArrayBuffer> } | { readonly diagnostics: readonly Diagnostic[] };

parentPort?.on('message', (request: EncodeRequest) => {
  try {
    const encoded = encodeChunk(request);
    // Transferred whole: a part of a larger buffer is copied out first.
    const bytes = encoded.byteLength === encoded.buffer.byteLength ? (encoded as Uint8Array<ArrayBuffer>) : encoded.slice();
    parentPort?.postMessage({ bytes } satisfies EncodeReply, [bytes.buffer]);
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    parentPort?.postMessage({ diagnostics: error.diagnostics } satisfies EncodeReply, []);
  }
});
