/**
 * A worker thread that encodes what it is sent, with the native quantizers where the addon is built: the bytes are the same.
 * Findings about the values go back as data; any other fault ends the worker.
 */
import { parentPort } from 'node:worker_threads';
import { nativeQuantizers, withQuantizer, type Quantizer } from '@weightspec/backend-native';
import { codecOf, type Codec } from '@weightspec/codecs';
import { encodeChunk, type EncodeRequest } from '@weightspec/convert/encoding';
import { DiagnosticError, type Diagnostic, type DType } from '@weightspec/core';

export type EncodeReply = { readonly bytes: Uint8Array<ArrayBuffer> } | { readonly diagnostics: readonly Diagnostic[] };

const natives: Readonly<Record<string, Quantizer>> = nativeQuantizers() ?? {};
const codecFor = (type: DType): Codec => {
  const quantizer = natives[type.name.toLowerCase()];
  return quantizer ? withQuantizer(codecOf(type), quantizer) : codecOf(type);
};

parentPort?.on('message', (request: EncodeRequest) => {
  try {
    const encoded = encodeChunk(request, codecFor);
    // Transferred whole: a part of a larger buffer is copied out first.
    const bytes = encoded.byteLength === encoded.buffer.byteLength ? (encoded as Uint8Array<ArrayBuffer>) : encoded.slice();
    parentPort?.postMessage({ bytes } satisfies EncodeReply, [bytes.buffer]);
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    parentPort?.postMessage({ diagnostics: error.diagnostics } satisfies EncodeReply, []);
  }
});
