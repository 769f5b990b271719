/** Deep checks: every value and scale once, in chunks of about a megabyte. Clauses G-4. */
import { contentScanner } from '@weightspec/codecs';
import { type Checkpoint, type Diagnostic, type ValidateOptions, type ValidateResult } from '@weightspec/core';
import { ggmlQwenDiagnostic } from './codes.js';

const CHUNK_BYTES = 1 << 20;

export async function validate(checkpoint: Checkpoint, { deep, progress, signal }: ValidateOptions = {}): Promise<ValidateResult> {
  const checked = ['header and its rules', `name, shape, type, padding and bounds of ${checkpoint.tensors.length} tensors`];
  const semantics = 'whether w1 and w2, or q, k and v, are in the right places: run the model';
  if (!deep) return { diagnostics: [], checked, notChecked: ['tensor values (NaN, infinities, zeroed tails): use --deep', semantics] };

  const diagnostics: Diagnostic[] = [];
  const total = checkpoint.tensors.reduce((sum, tensor) => sum + tensor.location.length, 0);
  let done = 0;
  let roundingSeen = false;
  let zeroTail: { name: string; offset: number; count: number } | undefined;
  for (const { name, dtype, location } of checkpoint.tensors) {
    const scanner = contentScanner(dtype)!;
    const chunkBytes = Math.floor(CHUNK_BYTES / dtype.bytesPerBlock) * dtype.bytesPerBlock;
    for (let position = 0; position < location.length; position += chunkBytes) {
      signal?.throwIfAborted();
      const chunk = await location.source.read(location.offset + position, Math.min(chunkBytes, location.length - position));
      scanner.push(chunk);
      progress?.((done += chunk.length), total);
    }
    const findings = scanner.findings();
    const source = location.source.name;
    const pointer = `/tensors/${name}`;
    if (findings.firstNonFiniteByte !== undefined) {
      const start = location.offset + findings.firstNonFiniteByte;
      const what = dtype.blockSize > 1 ? 'blocks have a NaN or infinite scale' : 'values are NaN or infinite';
      diagnostics.push(ggmlQwenDiagnostic('GGML_QWEN_WEIGHT_NOT_FINITE', source, { pointer, byteRange: [start, start + dtype.bytesPerBlock], message: `${findings.nonFiniteCount} of ${location.length / dtype.bytesPerBlock} ${what} in ${name}` }));
    }
    if (findings.zeroBlocks && !roundingSeen) {
      roundingSeen = true;
      const start = location.offset + findings.zeroBlocks.byteOffset;
      diagnostics.push(ggmlQwenDiagnostic('GGML_QWEN_ROUNDING', source, { pointer, byteRange: [start, start + dtype.bytesPerBlock], message: `a block of zeros in ${name} is written as ${findings.zeroBlocks.rounding === 'ggml' ? 'ggml quantizes' : 'qwen.cpp\'s convert.py (torch) quantizes'}` }));
    }
    zeroTail = findings.allZeroBytes ? { name: zeroTail?.name ?? name, offset: zeroTail?.offset ?? location.offset, count: (zeroTail?.count ?? 0) + 1 } : undefined;
  }
  if (zeroTail) {
    const { source } = checkpoint.tensors.at(-1)!.location;
    diagnostics.push(ggmlQwenDiagnostic('GGML_QWEN_ZEROED_TAIL', source.name, { pointer: `/tensors/${zeroTail.name}`, byteRange: [zeroTail.offset, source.size], message: `the last ${zeroTail.count} tensors, from ${zeroTail.name} on (${source.size - zeroTail.offset} bytes), are all zero bytes` }));
  }
  return { diagnostics, checked: [...checked, `every value and scale of ${checkpoint.tensors.length} tensors`], notChecked: [semantics] };
}
