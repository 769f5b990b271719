/** Opens a file by its header alone: one small read, then, for a header longer than that, one read of exactly the header. */
import { DiagnosticError, type ByteSource, type Checkpoint, type MetadataValue, type ReadResult } from '@weightspec/core';
import { safetensorsDiagnostic } from './codes.js';
import { LENGTH_BYTES, METADATA_KEY, headerFindings, readHeader, type Header } from './header.js';
import { MAX_HEADER_BYTES } from './limits.js';
import { checkLayout } from './layout.js';
import { guessProducer } from './producer.js';

/** Most headers are shorter; over a network a longer first read would only cost. */
const FIRST_READ_BYTES = 1 << 16;

export const VARIANT = 'safetensors';

/** Memory: the header's bytes once, and about twice as much for its directory. Tensor bytes are not read. */
export async function read(source: ByteSource): Promise<ReadResult> {
  const findings = headerFindings(source.name);
  try {
    const bytes = await readHeaderBytes(source);
    const header = readHeader(bytes, source, findings);
    if (!header) return { variant: VARIANT, diagnostics: findings.diagnostics() };
    const tensors = checkLayout(header, bytes.length, source.size, findings);
    const diagnostics = findings.diagnostics();
    if (findings.hasErrors) return { variant: VARIANT, diagnostics };
    const checkpoint: Checkpoint = { format: 'safetensors', variant: VARIANT, producer: guessProducer(header, bytes.length - LENGTH_BYTES), metadata: metadataOf(header), tensors };
    return { checkpoint, variant: VARIANT, diagnostics };
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    return { variant: VARIANT, diagnostics: error.diagnostics };
  }
}

/** The file's first 8 + N bytes. */
async function readHeaderBytes(source: ByteSource): Promise<Uint8Array> {
  const { name, size } = source;
  const first = await source.read(0, Math.min(FIRST_READ_BYTES, size));
  if (size < LENGTH_BYTES) throw new DiagnosticError([safetensorsDiagnostic('SAFETENSORS_LENGTH_TRUNCATED', name, { byteRange: [0, size], message: `the file has ${size} bytes; the header length alone takes ${LENGTH_BYTES}` })]);
  const view = new DataView(first.buffer, first.byteOffset);
  const stored = view.getBigUint64(0, true);
  if (stored > BigInt(MAX_HEADER_BYTES)) {
    const swapped = view.getBigUint64(0, false);
    throw new DiagnosticError([
      isHeaderLength(swapped, first, size)
        ? safetensorsDiagnostic('SAFETENSORS_LENGTH_BIG_ENDIAN', name, { byteRange: [0, LENGTH_BYTES], message: `the header length reads ${stored}, and ${swapped} byte-swapped` })
        : safetensorsDiagnostic('SAFETENSORS_HEADER_TOO_LARGE', name, { byteRange: [0, LENGTH_BYTES], message: `the header length is ${stored}; the limit is ${MAX_HEADER_BYTES}` }),
    ]);
  }
  const end = LENGTH_BYTES + Number(stored);
  if (end > size) throw new DiagnosticError([safetensorsDiagnostic('SAFETENSORS_HEADER_TRUNCATED', name, { byteRange: [0, LENGTH_BYTES], message: `the header ends at ${end}; the file has ${size} bytes` })]);
  return end <= first.length ? first.subarray(0, end) : source.read(0, end);
}

/** Whether a header of `length` bytes would begin with a brace and, as far as can be seen, end in one or in padding. */
function isHeaderLength(length: bigint, first: Uint8Array, size: number): boolean {
  if (length < 2n || length > BigInt(Math.min(MAX_HEADER_BYTES, size - LENGTH_BYTES)) || first[LENGTH_BYTES] !== 0x7b) return false;
  const last = first[LENGTH_BYTES + Number(length) - 1];
  return last === undefined || last === 0x7d || last === 0x20;
}

/** `{ __metadata__: { … } }` as in the file, or {} when it has none. */
function metadataOf({ metadata }: Header): { readonly [key: string]: MetadataValue } {
  // Object.fromEntries defines own properties: a key `__proto__` stays a key.
  return metadata ? { [METADATA_KEY]: Object.fromEntries(metadata.map(({ key, value }) => [key, value])) } : {};
}
