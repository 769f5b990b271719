/**
 * Reads the header and derives the tensor directory of any llama2.c weight file.
 * No tensor bytes are read, but for samples of scales that tell the two int8 layouts apart
 * and the per-tensor group sizes of v1-experimental. Clauses C-1 to C-5.
 */
import { DiagnosticError, dtype, type ByteSource, type Checkpoint, type Diagnostic, type PackedTensor, type Producer, type ReadResult } from '@weightspec/core';
import { llama2cDiagnostic } from './codes.js';
import { fittingChanges } from './fit.js';
import { AK42_HEADER_BYTES, EXPERIMENTAL_SHORT_HEADER_BYTES, V0_HEADER_BYTES, checkAk42, checkFields, fieldRange, magicOf, parseAk42Header, parseV0Header, type Ak42Header, type Header } from './header.js';
import { derivedSize, int8Variants, layout, matrixTensors, quantizedElementCounts, scalesName, type Region, type Variant } from './layout.js';
import { decideLayout, testLayout } from './plausible.js';

/** What `read` learned about a file's layout before it is turned into a checkpoint. */
interface Resolution {
  readonly header: Header;
  readonly variant: Variant;
  readonly regions: readonly Region[];
  /** One size for all of T, or one a tensor (v1-experimental). */
  readonly groupSizes: number | readonly number[];
  readonly producer: Producer;
  readonly diagnostics: readonly Diagnostic[];
}

/** Reads any llama2.c weight file. Bad bytes come back as diagnostics; only I/O faults throw. */
export async function read(source: ByteSource): Promise<ReadResult> {
  const head = await source.read(0, Math.min(AK42_HEADER_BYTES, source.size));
  let variant: string | undefined;
  try {
    const resolution = await resolve(source, head, (guess) => (variant = guess));
    return { checkpoint: toCheckpoint(source, resolution), variant: resolution.variant, diagnostics: resolution.diagnostics };
  } catch (error) {
    if (!(error instanceof DiagnosticError)) throw error;
    return { variant, diagnostics: error.diagnostics };
  }
}

async function resolve(source: ByteSource, head: Uint8Array, guess: (variant: string) => void): Promise<Resolution> {
  const { name, size } = source;
  const magic = magicOf(head);
  if (magic === 'swapped') {
    throw new DiagnosticError([llama2cDiagnostic('LLAMA2C_BIG_ENDIAN', name, { byteRange: [0, 4], message: 'the file starts with the bytes 61 6B 34 32 ("ak42"): a big-endian magic' })]);
  }
  if (magic === 'damaged') {
    const seen = [...head.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join(' ');
    throw new DiagnosticError([llama2cDiagnostic('LLAMA2C_BAD_MAGIC', name, { byteRange: [0, 4], message: `the file starts with ${seen}, one byte off the magic 32 34 6B 61` })]);
  }
  if (magic === 'none') {
    guess('v0');
    if (size < V0_HEADER_BYTES) throw new DiagnosticError([headerTruncated(name, size, V0_HEADER_BYTES)]);
    return resolveV0(source, head);
  }
  if (size < EXPERIMENTAL_SHORT_HEADER_BYTES) throw new DiagnosticError([headerTruncated(name, size, AK42_HEADER_BYTES)]);
  return resolveAk42(source, head, guess);
}

const headerTruncated = (source: string, size: number, expected: number): Diagnostic =>
  llama2cDiagnostic('LLAMA2C_HEADER_TRUNCATED', source, { byteRange: [0, size], message: `the file has ${size} bytes; its header alone takes ${expected}` });

function resolveV0(source: ByteSource, head: Uint8Array): Resolution {
  const header = parseV0Header(head);
  throwIfErrors(checkFields(header, source.name));
  requireSize(source, 'v0', header, 0);
  const unshared = !header.config.shared_classifier;
  const producer: Producer = {
    name: 'unknown',
    evidence: [{ message: unshared ? 'negative vocab_size: written by export.py legacy_export or a later writer of unshared classifiers' : 'every v0 writer leaves the same bytes', byteRange: fieldRange('v0', 'vocab_size') }],
  };
  return { header, variant: 'v0', regions: layout('v0', header.config, V0_HEADER_BYTES), groupSizes: 0, producer, diagnostics: [] };
}

async function resolveAk42(source: ByteSource, head: Uint8Array, guess: (variant: string) => void): Promise<Resolution> {
  if (head.length < AK42_HEADER_BYTES) return resolveShortExperimental(source, head);
  const header = parseAk42Header(head);
  const grouped = header.groupSize !== 0 || header.version === 2;
  guess(header.version === 2 ? 'v2' : grouped ? 'v1-int8' : 'v1-fp32');
  const found = [...checkAk42(header, head, source.name), ...checkFields(header, source.name)];
  throwIfErrors(found);
  found.push(notCheckable(header, source.name));
  if (grouped) return resolveInt8(source, header, found, guess);
  if (BigInt(source.size) !== derivedSize('v1-fp32', header.config)) {
    const experimental = await resolveExperimental(source, header, head, found);
    if (experimental) return experimental;
    requireSize(source, 'v1-fp32', header, 0, found);
  }
  const producer: Producer = {
    name: 'llama2.c export.py version1_export (4df5e2e or later)',
    evidence: [{ message: 'version 1', byteRange: fieldRange('ak42', 'version') }, { message: 'group_size 0, and the size is that of f32 weights', byteRange: fieldRange('ak42', 'group_size') }],
  };
  return { header, variant: 'v1-fp32', regions: layout('v1-fp32', header.config, AK42_HEADER_BYTES), groupSizes: 0, producer, diagnostics: found };
}

async function resolveInt8(source: ByteSource, header: Ak42Header, found: Diagnostic[], guess: (variant: string) => void): Promise<Resolution> {
  const { config, groupSize, version } = header;
  found.push(...checkGroupSize(header, source.name));
  if (version === 1 && !config.shared_classifier) {
    found.push(llama2cDiagnostic('LLAMA2C_V1_INT8_UNSHARED', source.name, { byteRange: fieldRange('ak42', 'shared_classifier'), pointer: '/metadata/shared_classifier', message: 'shared_classifier is 0, but v1-int8 cannot hold a separate classifier' }));
  }
  throwIfErrors(found);
  requireSize(source, version === 1 ? 'v1-int8' : 'v2', header, groupSize, found);

  const interleaved = layout('v2', config, AK42_HEADER_BYTES, groupSize);
  const contiguous = layout('v2-contiguous', config, AK42_HEADER_BYTES, groupSize);
  const evidence = { interleaved: await testLayout(source, interleaved, groupSize), contiguous: await testLayout(source, contiguous, groupSize) };
  const decision = decideLayout(evidence.interleaved, evidence.contiguous);
  const seen = (of: 'interleaved' | 'contiguous') => `${evidence[of].plausible} of ${evidence[of].groupsTested} sampled scales are plausible when read ${of === 'interleaved' ? 'behind each tensor' : 'at the end of the file'}`;
  if (decision === 'neither') {
    found.push(llama2cDiagnostic('LLAMA2C_INT8_LAYOUT_IMPLAUSIBLE', source.name, { byteRange: evidence.interleaved.byteRange, message: `${seen('interleaved')}, ${seen('contiguous')}` }));
    throw new DiagnosticError(found);
  }
  const versionEvidence = { message: `version ${version}`, byteRange: fieldRange('ak42', 'version') };
  if (version === 1) {
    if (decision === 'interleaved') {
      found.push(llama2cDiagnostic('LLAMA2C_LAYOUT_MISMATCH', source.name, { byteRange: fieldRange('ak42', 'version'), pointer: '/metadata/version', message: `version 1 promises all scales at the end of the file; ${seen('interleaved')}, only ${evidence.contiguous.plausible} at the end` }));
      throw new DiagnosticError(found);
    }
    const producer: Producer = { name: 'llama2.c export.py at 7f551db or 4212bd6 (int8 export, August 2023)', evidence: [versionEvidence, { message: `group_size ${groupSize} in a version 1 header`, byteRange: fieldRange('ak42', 'group_size') }] };
    return { header, variant: 'v1-int8', regions: contiguous, groupSizes: groupSize, producer, diagnostics: found };
  }
  if (decision === 'both') {
    found.push(llama2cDiagnostic('LLAMA2C_V2_LAYOUT_AMBIGUOUS', source.name, { byteRange: evidence.interleaved.byteRange, message: `${seen('interleaved')}, and as many at the end of the file` }));
  }
  const variant = decision === 'contiguous' ? 'v2-contiguous' : 'v2';
  guess(variant);
  if (variant === 'v2-contiguous') {
    found.push(llama2cDiagnostic('LLAMA2C_V2_CONTIGUOUS', source.name, { byteRange: evidence.contiguous.byteRange, message: `${seen('contiguous')}, ${evidence.interleaved.plausible} behind each tensor, where today's runq.c looks` }));
  }
  const producer: Producer = {
    name: variant === 'v2' ? 'llama2.c export.py version2_export (6e52df9 or later)' : 'llama2.c export.py version2_export (4df5e2e to before 6e52df9)',
    evidence: [versionEvidence, { message: seen(variant === 'v2' ? 'interleaved' : 'contiguous'), byteRange: evidence[variant === 'v2' ? 'interleaved' : 'contiguous'].byteRange }],
  };
  return { header, variant, regions: variant === 'v2' ? interleaved : contiguous, groupSizes: groupSize, producer: decision === 'both' ? { name: 'unknown', evidence: [versionEvidence] } : producer, diagnostics: found };
}

/** C-3.7. */
const notCheckable = ({ config }: Ak42Header, source: string): Diagnostic =>
  llama2cDiagnostic('LLAMA2C_NOT_CHECKABLE', source, { byteRange: fieldRange('ak42', 'max_seq_len'), pointer: '/metadata/max_seq_len', message: `max_seq_len = ${config.max_seq_len} is not checkable: nothing else in this layout depends on it` });

/** C-6.2 and C-6.3. */
function checkGroupSize({ config, groupSize }: Ak42Header, source: string): Diagnostic[] {
  const at = { byteRange: fieldRange('ak42', 'group_size'), pointer: '/metadata/group_size' };
  if (groupSize < 1) return [llama2cDiagnostic('LLAMA2C_GROUP_SIZE_NOT_POSITIVE', source, { ...at, message: `group_size is ${groupSize}` })];
  const indivisible = quantizedElementCounts(config).find(({ count }) => count % BigInt(groupSize) !== 0n);
  if (indivisible) return [llama2cDiagnostic('LLAMA2C_GROUP_SIZE_INDIVISIBLE', source, { ...at, message: `group_size = ${groupSize} does not divide the ${indivisible.count} elements of ${indivisible.name}` })];
  const ragged = (['dim', 'hidden_dim'] as const).filter((field) => config[field] % groupSize !== 0);
  if (ragged.length === 0) return [];
  return [llama2cDiagnostic('LLAMA2C_GROUPS_RAGGED', source, { ...at, message: `group_size = ${groupSize} does not divide ${ragged.map((field) => `${field} = ${config[field]}`).join(' or ')}: groups straddle rows` })];
}

async function resolveShortExperimental(source: ByteSource, head: Uint8Array): Promise<Resolution> {
  const padded = new Uint8Array(AK42_HEADER_BYTES);
  padded.set(head);
  const header = { ...parseAk42Header(padded), headerBytes: EXPERIMENTAL_SHORT_HEADER_BYTES };
  const clean = header.version === 1 && header.groupSize === 0 && checkFields(header, source.name).length === 0;
  const found = clean ? await resolveExperimental(source, header, head, [notCheckable(header, source.name)]) : undefined;
  if (!found) throw new DiagnosticError([headerTruncated(source.name, source.size, AK42_HEADER_BYTES)]);
  return found;
}

/** v1-experimental, only when its own sizes add up to the file's (C-5.4): with the 256-byte header, else with the 128-byte one. */
async function resolveExperimental(source: ByteSource, header: Ak42Header, head: Uint8Array, found: readonly Diagnostic[]): Promise<Resolution | undefined> {
  if (header.sharedFlag !== 1) return undefined;
  for (const headerBytes of [AK42_HEADER_BYTES, EXPERIMENTAL_SHORT_HEADER_BYTES]) {
    const groupSizes = await walkExperimental(source, header, headerBytes);
    if (!groupSizes) continue;
    const info = llama2cDiagnostic('LLAMA2C_EXPERIMENTAL', source.name, { byteRange: fieldRange('ak42', 'version'), message: `the experimental v1 layout with a ${headerBytes}-byte header` });
    const producer: Producer = {
      name: `llama2.c model.py export, branch feature/int8 (${headerBytes === AK42_HEADER_BYTES ? 'e9cbe3e' : '5e2e5b2'})`,
      evidence: [{ message: 'group sizes before each tensor add up to the file size', byteRange: [headerBytes, source.size] }],
    };
    const ownHeader = { ...header, headerBytes };
    // The 128-byte header's padding ends earlier: what lies behind it is data.
    const diagnostics = headerBytes === AK42_HEADER_BYTES ? found : [...found.filter((d) => d.code !== 'LLAMA2C_HEADER_PADDING'), ...checkAk42(ownHeader, head, source.name)];
    return { header: ownHeader, variant: 'v1-experimental', regions: layout('v1-experimental', header.config, headerBytes, groupSizes), groupSizes, producer, diagnostics: [...diagnostics, info] };
  }
  return undefined;
}

/** The group size in front of each tensor of T, or undefined as soon as the walk leaves the file. 7L + 1 reads of four bytes. */
async function walkExperimental(source: ByteSource, { config }: Ak42Header, headerBytes: number): Promise<number[] | undefined> {
  // Cheap bound first: each tensor takes at least its values, so a directory is only made for files that could hold it.
  const least = BigInt(headerBytes) + (derivedSize('v1-fp32', config) - BigInt(AK42_HEADER_BYTES)) / 4n;
  if (BigInt(source.size) < least) return undefined;
  const groupSizes: number[] = [];
  let position = headerBytes + 4 * (2 * config.n_layers + 1) * config.dim;
  for (const { shape } of matrixTensors(config)) {
    if (position + 4 > source.size) return undefined;
    const bytes = await source.read(position, 4);
    const groupSize = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
    const elementCount = shape[0]! * shape[1]!;
    if (groupSize < 1 || elementCount % groupSize !== 0) return undefined;
    groupSizes.push(groupSize);
    position += 4 + elementCount + (4 * elementCount) / groupSize;
  }
  return position === source.size ? groupSizes : undefined;
}

/** Throws TRUNCATED, TRAILING_BYTES or SIZE_OVERFLOW unless the file has exactly the derived size (C-1.3). */
function requireSize(source: ByteSource, variant: Exclude<Variant, 'v1-experimental'>, header: Header, groupSize: number, found: readonly Diagnostic[] = []): void {
  const { config, headerBytes, kind } = header;
  const expected = derivedSize(variant, config, groupSize);
  if (expected === BigInt(source.size)) return;
  if (expected > BigInt(Number.MAX_SAFE_INTEGER)) {
    const start = fieldRange(kind, 'dim')[0];
    throw new DiagnosticError([...found, llama2cDiagnostic('LLAMA2C_SIZE_OVERFLOW', source.name, { byteRange: [start, start + 28], message: `the header implies ${expected} bytes` })]);
  }
  const fits = fittingChanges(variant, config, groupSize, source.size);
  const suggestion = fits.length > 0 ? ` The size would be right if ${fits.join(', or ')}.` : '';
  const missing = expected - BigInt(source.size);
  if (missing < 0n) {
    throw new DiagnosticError([...found, llama2cDiagnostic('LLAMA2C_TRAILING_BYTES', source.name, {
      byteRange: [Number(expected), source.size],
      message: `the header implies ${expected} bytes as ${variant}; ${-missing} more follow.${suggestion}`,
    })]);
  }
  const cut = firstIncomplete(variant, header, headerBytes, groupSize, source.size);
  throw new DiagnosticError([...found, llama2cDiagnostic('LLAMA2C_TRUNCATED', source.name, {
    // At a boundary between tensors nothing of the next one is there: point at the last byte.
    byteRange: [Math.max(0, Math.min(cut.offset, source.size - 1)), source.size],
    pointer: `/tensors/${cut.name}`,
    message: `the header implies ${expected} bytes as ${variant}; the file has ${source.size}: ${missing} are missing, ${cut.name} is the first incomplete tensor.${suggestion}`,
  })]);
}

/** The tensor that the end of the file cuts. Walks tensors without building the directory of a header that may lie. */
function firstIncomplete(variant: Variant, { config }: Header, headerBytes: number, groupSize: number, size: number): { name: string; offset: number } {
  const regions = layout(variant, config, headerBytes, groupSize);
  const cut = regions.find((region) => region.offset + region.length > size);
  return cut ?? { name: 'header', offset: 0 };
}

function throwIfErrors(found: readonly Diagnostic[]): void {
  if (found.some((diagnostic) => diagnostic.severity === 'error')) throw new DiagnosticError(found);
}

function toCheckpoint(source: ByteSource, { header, variant, regions, groupSizes, producer }: Resolution): Checkpoint {
  const { config } = header;
  const tensors = regions
    .filter((region) => region.dtype !== 'U32')
    .map(({ name, dtype: type, shape, offset, length }) => ({ name, dtype: dtype(type), shape, location: { source, offset, length } }));
  const packed = int8Variants.has(variant)
    ? matrixTensors(config).map(({ name, shape }, i): PackedTensor => ({
        name,
        scheme: variant === 'v1-experimental' ? 'llama2c-q8-wmax' : 'llama2c-q8',
        shape,
        parts: { values: name, scales: scalesName(name) },
        groupSize: typeof groupSizes === 'number' ? groupSizes : groupSizes[i]!,
      }))
    : undefined;
  const metadata = {
    ...(header.kind === 'ak42' ? { version: header.version } : {}),
    ...config,
    ...(header.kind === 'ak42' && header.groupSize !== 0 ? { group_size: header.groupSize } : {}),
    header_bytes: header.headerBytes,
  };
  return { format: 'llama2c', variant, producer, metadata, tensors, ...(packed ? { packed } : {}) };
}
