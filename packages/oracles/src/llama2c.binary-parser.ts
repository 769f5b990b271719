/**
 * Reads llama2.c files with binary-parser for the fixed structures, and the formulas of specs/llama2c/README.md in exact
 * integers for the rest. Independent of the production reader and of the .ksy files.
 */
// The main entry of binary-parser leads an ES module to no types; its CommonJS file does.
import { Parser } from 'binary-parser/dist/binary_parser.js';
import { chooseInt8Layout, type Int8Layout } from './llama2c.int8-layout.js';
import type { Llama2cHeader, Llama2cReading, Llama2cVariant, TensorPlace } from './reading.js';
import { openBytes, type SyncBytes } from './sync-bytes.js';

const MAGIC = 0x616b3432;
const fields = ['dim', 'hidden_dim', 'n_layers', 'n_heads', 'n_kv_heads', 'vocab_size', 'max_seq_len'] as const;
type Dimensions = Readonly<Record<(typeof fields)[number], number>>;
type Ak42Header = Dimensions & { readonly version: number; readonly shared_classifier: number; readonly group_size: number };

const little = () => Parser.start().endianness('little');
const dimensions = fields.reduce((parser, field) => parser.int32(field), little());
const magic = little().uint32('magic');
const ak42Header = little().uint32('magic', { assert: MAGIC }).int32('version', { assert: (version) => version === 1 || version === 2 })
  .nest({ type: dimensions }).uint8('shared_classifier').int32('group_size');
const groupSizeField = little().uint32('group_size');

/** Carries the clause that a file breaks. */
class Refused extends Error {}

function demand(holds: boolean, clause: string): void {
  if (!holds) throw new Refused(clause);
}

/** Reads an array or the file at a path, in the layout that C-5 says it has. */
export function readWithBinaryParser(input: Uint8Array | string): Llama2cReading {
  const source = openBytes(input);
  let variant: Llama2cVariant | undefined;
  try {
    const reading = readFile(source, (guess) => (variant = guess));
    return { accepted: true, variant: variant!, ...reading };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { accepted: false, variant, reason: error.message };
  } finally {
    source.close();
  }
}

interface Parsed {
  readonly header: Llama2cHeader;
  readonly directory: readonly TensorPlace[];
}

function readFile(source: SyncBytes, isVariant: (variant: Llama2cVariant) => void): Parsed {
  const parse = (parser: Parser, offset: number, length: number): unknown => {
    demand(offset + length <= source.size, `the file ends inside [${offset}, ${offset + length})`);
    return parser.parse(source.read(offset, length));
  };
  if (source.size < 4 || (parse(magic, 0, 4) as { magic: number }).magic !== MAGIC) {
    isVariant('v0');
    const stored = parse(dimensions, 0, 28) as Dimensions;
    demand(stored.vocab_size !== 0 && stored.vocab_size !== -(2 ** 31), 'C-2.2');
    const header = { ...stored, vocab_size: Math.abs(stored.vocab_size), shared_classifier: stored.vocab_size > 0, header_bytes: 28 };
    return { header, directory: plainDirectory(source, header, v0Order(header)) };
  }

  isVariant('v1-fp32');
  let stored: Ak42Header;
  try {
    stored = parse(ak42Header, 0, 41) as Ak42Header;
  } catch (error) {
    // binary-parser reports a failed assert as a plain Error.
    throw new Refused(error instanceof Error ? error.message : String(error), { cause: error });
  }
  const { group_size: groupSize, shared_classifier: sharedFlag, version } = stored;
  demand(stored.vocab_size >= 1, 'C-3.3');
  const header: Llama2cHeader = { version, ...dimensionsOf(stored), shared_classifier: sharedFlag !== 0, header_bytes: 256 };

  if (version === 1 && groupSize === 0) {
    checkDimensions(header);
    const order = [...normOrder(header), ...matrixOrder(header)];
    if (source.size >= 256 && 256n + 4n * elementsOf(order) === BigInt(source.size)) return { header, directory: plainDirectory(source, header, order) };
    for (const headerBytes of sharedFlag === 1 ? [256, 128] : []) {
      const experimental = { ...header, header_bytes: headerBytes };
      const directory = experimentalDirectory(source, experimental, (offset) => (parse(groupSizeField, offset, 4) as { group_size: number }).group_size);
      if (directory) {
        isVariant('v1-experimental');
        return { header: experimental, directory };
      }
    }
    throw new Refused('C-1.3, C-4.3');
  }

  isVariant(version === 1 ? 'v1-int8' : 'v2');
  demand(source.size >= 256, 'C-3');
  demand(groupSize >= 1, 'C-6.2');
  demand(version !== 1 || sharedFlag !== 0, 'C-4.4');
  const grouped = { ...header, group_size: groupSize };
  checkDimensions(grouped);
  const layout = int8LayoutOf(source, grouped);
  demand(layout !== 'neither', 'C-5.5');
  demand(version !== 1 || layout !== 'interleaved', 'C-5.6');
  const contiguous = version === 1 || layout === 'contiguous';
  if (version === 2 && contiguous) isVariant('v2-contiguous');
  return { header: grouped, directory: int8Directory(grouped, contiguous) };
}

const dimensionsOf = (stored: Dimensions): Dimensions => Object.fromEntries(fields.map((field) => [field, stored[field]])) as Dimensions;

/** C-1.4 to C-1.7. */
function checkDimensions(header: Llama2cHeader): void {
  for (const field of fields) demand(header[field] >= 1, `C-1.4: ${field} = ${header[field]}`);
  demand(header.n_layers <= 4096, 'C-1.7');
  demand(header.dim % header.n_heads === 0 && header.n_heads % header.n_kv_heads === 0, 'C-1.5');
  demand((header.dim / header.n_heads) % 2 === 0, 'C-1.6');
}

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
}

const everyLayer = (header: Llama2cHeader, name: string, ...shape: number[]): Tensor[] =>
  Array.from({ length: header.n_layers }, (_, layer) => ({ name: `layers.${layer}.${name}.weight`, shape }));

/** C-4.1. */
const normOrder = (header: Llama2cHeader): Tensor[] =>
  [...everyLayer(header, 'attention_norm', header.dim), ...everyLayer(header, 'ffn_norm', header.dim), { name: 'norm.weight', shape: [header.dim] }];

const attentionOrder = (header: Llama2cHeader): Tensor[] => {
  const { dim, n_heads: heads, n_kv_heads: kvHeads } = header;
  const kv = (dim / heads) * kvHeads;
  return [...everyLayer(header, 'attention.wq', dim, dim), ...everyLayer(header, 'attention.wk', kv, dim), ...everyLayer(header, 'attention.wv', kv, dim), ...everyLayer(header, 'attention.wo', dim, dim)];
};

const feedForwardOrder = (header: Llama2cHeader): Tensor[] => {
  const { dim, hidden_dim: hidden } = header;
  return [...everyLayer(header, 'feed_forward.w1', hidden, dim), ...everyLayer(header, 'feed_forward.w2', dim, hidden), ...everyLayer(header, 'feed_forward.w3', hidden, dim)];
};

const embeddings = ({ vocab_size: vocab, dim }: Llama2cHeader): Tensor => ({ name: 'tok_embeddings.weight', shape: [vocab, dim] });
const classifier = ({ shared_classifier: shared, vocab_size: vocab, dim }: Llama2cHeader): Tensor[] => (shared ? [] : [{ name: 'output.weight', shape: [vocab, dim] }]);

/** T of C-4.2. */
const matrixOrder = (header: Llama2cHeader): Tensor[] => [embeddings(header), ...attentionOrder(header), ...feedForwardOrder(header), ...classifier(header)];

/** C-2.3. */
function v0Order(header: Llama2cHeader): Tensor[] {
  checkDimensions(header);
  const { dim, n_heads: heads, max_seq_len: positions } = header;
  const frequencies = [positions, dim / heads / 2];
  return [
    embeddings(header), ...everyLayer(header, 'attention_norm', dim), ...attentionOrder(header), ...everyLayer(header, 'ffn_norm', dim), ...feedForwardOrder(header),
    { name: 'norm.weight', shape: [dim] }, { name: 'freqs_cos', shape: frequencies }, { name: 'freqs_sin', shape: frequencies }, ...classifier(header),
  ];
}

const elements = ({ shape }: Tensor): bigint => shape.reduce((product, n) => product * BigInt(n), 1n);
const elementsOf = (tensors: readonly Tensor[]): bigint => tensors.reduce((sum, tensor) => sum + elements(tensor), 0n);

/** All f32, one behind the other, to the end of the file (C-1.3). */
function plainDirectory(source: SyncBytes, header: Llama2cHeader, order: readonly Tensor[]): TensorPlace[] {
  demand(BigInt(header.header_bytes) + 4n * elementsOf(order) === BigInt(source.size), 'C-1.3');
  return placed(header.header_bytes, order.map((tensor) => ({ ...tensor, dtype: 'F32' })));
}

/** Gives each part its offset. The file's size has been found to be the sum, so every number is exact. */
function placed(offset: number, parts: readonly (Tensor & { readonly dtype: 'F32' | 'I8' })[]): TensorPlace[] {
  let next = offset;
  return parts.map(({ name, dtype, shape }) => {
    const length = shape.reduce((product, n) => product * n, dtype === 'F32' ? 4 : 1);
    next += length;
    return { name, dtype, shape, offset: next - length, length };
  });
}

const f32 = (tensor: Tensor) => ({ ...tensor, dtype: 'F32' as const });
const values = (tensor: Tensor) => ({ ...tensor, dtype: 'I8' as const });
const scales = (tensor: Tensor, groupSize: number) => ({ name: `${tensor.name}.scales`, dtype: 'F32' as const, shape: [Number(elements(tensor)) / groupSize] });

/** Checks C-6.2 and C-1.3 on the way. */
function int8LayoutOf(source: SyncBytes, header: Llama2cHeader): Int8Layout {
  const groupSize = header.group_size!;
  const matrices = matrixOrder(header);
  for (const matrix of matrices) demand(elements(matrix) % BigInt(groupSize) === 0n, `C-6.2: ${matrix.name}`);
  const bodyOffset = 256n + 4n * elementsOf(normOrder(header));
  const weights = elementsOf(matrices);
  demand(bodyOffset + weights + (4n * weights) / BigInt(groupSize) === BigInt(source.size), 'C-1.3, C-4.4');
  return chooseInt8Layout(source, groupSize, Number(bodyOffset), matrices.map((matrix) => Number(elements(matrix))));
}

/** C-4.4 to C-4.6. */
function int8Directory(header: Llama2cHeader, contiguous: boolean): TensorPlace[] {
  const groupSize = header.group_size!;
  const matrices = matrixOrder(header);
  const norms = normOrder(header).map(f32);
  return placed(256, contiguous
    ? [...norms, ...matrices.map(values), ...matrices.map((matrix) => scales(matrix, groupSize))]
    : [...norms, ...matrices.flatMap((matrix) => [values(matrix), scales(matrix, groupSize)])]);
}

/** C-4.7 and C-5.4: undefined unless the walk over the group sizes ends exactly at the end of the file. */
function experimentalDirectory(source: SyncBytes, header: Llama2cHeader, groupSizeAt: (offset: number) => number): TensorPlace[] | undefined {
  const norms = normOrder(header);
  let offset = BigInt(header.header_bytes) + 4n * elementsOf(norms);
  const directory = placed(header.header_bytes, norms.map(f32));
  for (const matrix of matrixOrder(header)) {
    if (offset + 4n > BigInt(source.size)) return undefined;
    const groupSize = groupSizeAt(Number(offset));
    if (groupSize === 0 || elements(matrix) % BigInt(groupSize) !== 0n) return undefined;
    offset += 4n + elements(matrix) + (4n * elements(matrix)) / BigInt(groupSize);
    if (offset > BigInt(source.size)) return undefined;
    const parts = placed(0, [values(matrix), scales(matrix, groupSize)]);
    const start = Number(offset) - parts.reduce((sum, { length }) => sum + length, 0);
    directory.push(...parts.map((part) => ({ ...part, offset: start + part.offset })));
  }
  return offset === BigInt(source.size) ? directory : undefined;
}
