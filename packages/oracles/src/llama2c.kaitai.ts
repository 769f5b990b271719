/**
 * Reads llama2.c files with the parsers generated from specs/llama2c/*.ksy. The rules are in those files; here are only
 * the names of the tensors (C-1.9) and the choice of a layout (C-5). Imports nothing from packages/llama2c.
 */
import type { Llama2cAk42Header } from '../generated/Llama2cAk42Header.js';
import type { Llama2cTypes } from '../generated/Llama2cTypes.js';
import type { Llama2cV0 } from '../generated/Llama2cV0.js';
import type { Llama2cV1Experimental } from '../generated/Llama2cV1Experimental.js';
import type { Llama2cV1Fp32 } from '../generated/Llama2cV1Fp32.js';
import type { Llama2cV1Int8 } from '../generated/Llama2cV1Int8.js';
import type { Llama2cV2 } from '../generated/Llama2cV2.js';
import type { Llama2cV2Contiguous } from '../generated/Llama2cV2Contiguous.js';
import { loadGenerated } from './generated.js';
import { chooseInt8Layout, type Int8Layout } from './llama2c.int8-layout.js';
import { PagedKaitaiStream } from './paged-kaitai-stream.js';
import type { Llama2cHeader, Llama2cReading, Llama2cVariant, TensorPlace } from './reading.js';
import { openBytes, type SyncBytes } from './sync-bytes.js';

const parsers = loadGenerated('Llama2cV0', 'Llama2cV1Fp32', 'Llama2cV1Int8', 'Llama2cV1Experimental', 'Llama2cV2', 'Llama2cV2Contiguous') as {
  Llama2cV0: typeof Llama2cV0;
  Llama2cV1Fp32: typeof Llama2cV1Fp32;
  Llama2cV1Int8: typeof Llama2cV1Int8;
  Llama2cV1Experimental: typeof Llama2cV1Experimental;
  Llama2cV2: typeof Llama2cV2;
  Llama2cV2Contiguous: typeof Llama2cV2Contiguous;
};

const MAGIC = 0x616b3432;
const matrixNames = {
  wq: 'attention.wq', wk: 'attention.wk', wv: 'attention.wv', wo: 'attention.wo',
  w1: 'feed_forward.w1', w2: 'feed_forward.w2', w3: 'feed_forward.w3',
} as const;
type MatrixKey = keyof typeof matrixNames;

/** Reads an array or the file at a path as `variant`, or as the layout that C-5 says it has. Reads no tensor data but scales and values that C-5.5 asks for. */
export function readWithKaitai(input: Uint8Array | string, variant?: Llama2cVariant): Llama2cReading {
  const source = openBytes(input);
  let chosen = variant;
  try {
    chosen ??= resolveVariant(source);
    const reading = parse(source, chosen);
    const grouped = reading.header.group_size !== undefined;
    const layout = variant === undefined && grouped ? int8LayoutOf(source, reading) : undefined;
    if (layout === 'neither') return { accepted: false, variant: chosen, reason: 'C-5.5: scales are plausible in neither place' };
    if (layout === 'interleaved' && chosen === 'v1-int8') return { accepted: false, variant: chosen, reason: 'C-5.6: a v1-int8 header on an interleaved body' };
    return { accepted: true, variant: chosen, ...reading };
  } catch (error) {
    // Parsing throws EOFError, Validation…Error and RangeError; anything else is a defect of this file.
    if (!(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError) throw error;
    return { accepted: false, variant: chosen, reason: `${error.name}: ${error.message}` };
  } finally {
    source.close();
  }
}

/** The layout of a file by C-5, as far as it can be told; parsing as that layout says whether the file is sound. */
export function resolveVariantKaitai(input: Uint8Array | string): Llama2cVariant {
  const source = openBytes(input);
  try {
    return resolveVariant(source);
  } finally {
    source.close();
  }
}

function resolveVariant(source: SyncBytes): Llama2cVariant {
  const io = new PagedKaitaiStream(source);
  if (io.size < 4 || io.readU4le() !== MAGIC) return 'v0';
  if (io.size < 41) return 'v1-fp32';
  const version = io.readS4le();
  io.seek(37);
  const groupSize = io.readS4le();
  if (version === 1 && groupSize !== 0) return 'v1-int8';
  if (version === 1) return !parses(source, 'v1-fp32') && parses(source, 'v1-experimental') ? 'v1-experimental' : 'v1-fp32';
  return parses(source, 'v2') && int8LayoutOf(source, parse(source, 'v2')) === 'contiguous' ? 'v2-contiguous' : 'v2';
}

function parses(source: SyncBytes, variant: Llama2cVariant): boolean {
  try {
    parse(source, variant);
    return true;
  } catch (error) {
    if (error instanceof TypeError) throw error;
    return false;
  }
}

function int8LayoutOf(source: SyncBytes, { header, directory }: Parsed): Int8Layout {
  const matrices = directory.filter(({ dtype }) => dtype === 'I8');
  return chooseInt8Layout(source, header.group_size!, matrices[0]!.offset, matrices.map(({ length }) => length));
}

interface Parsed {
  readonly header: Llama2cHeader;
  readonly directory: readonly TensorPlace[];
}

/** Header and directory as the generated parser sees them. Throws where a `valid:` rule is broken. */
function parse(source: SyncBytes, variant: Llama2cVariant): Parsed {
  const io = new PagedKaitaiStream(source);
  switch (variant) {
    case 'v0': {
      const file = new parsers.Llama2cV0(io);
      const header = { ...dimensionsOf(file.config), shared_classifier: file.isShared, header_bytes: 28 };
      return { header, directory: sorted([...f32Directory(file), f32('freqs_cos', file.freqsCos), f32('freqs_sin', file.freqsSin)]) };
    }
    case 'v1-fp32': {
      const file = new parsers.Llama2cV1Fp32(io);
      return { header: ak42Header(file.header), directory: sorted(f32Directory(file)) };
    }
    case 'v1-int8': {
      const file = new parsers.Llama2cV1Int8(io);
      return { header: groupedHeader(file.header), directory: int8Directory(file, [file.tokEmbeddings], []) };
    }
    case 'v2-contiguous': {
      const file = new parsers.Llama2cV2Contiguous(io);
      return { header: groupedHeader(file.header), directory: int8Directory(file, [file.tokEmbeddings], file.output ? [file.output] : []) };
    }
    case 'v2': {
      const file = new parsers.Llama2cV2(io);
      return { header: groupedHeader(file.header), directory: int8Directory(file, file.tokEmbeddings.layers, file.output?.layers ?? []) };
    }
    default:
      return parseExperimental(source);
  }
}

/** Nothing in the file says which header length it has (C-4.7): 256 is tried first. */
function parseExperimental(source: SyncBytes): Parsed {
  const lengths = source.size < 256 ? [128] : [256, 128];
  let failure: unknown;
  for (const headerBytes of lengths) {
    try {
      const file = new parsers.Llama2cV1Experimental(new PagedKaitaiStream(source), undefined, undefined, headerBytes);
      const stacks = { wq: { layers: file.wq }, wk: { layers: file.wk }, wv: { layers: file.wv }, wo: { layers: file.wo }, w1: { layers: file.w1 }, w2: { layers: file.w2 }, w3: { layers: file.w3 } };
      const header = { version: file.version, ...dimensionsOf(file.config), shared_classifier: true, header_bytes: headerBytes };
      return { header, directory: int8Directory({ ...stacks, attentionNorm: file.attentionNorm, ffnNorm: file.ffnNorm, norm: file.norm }, [file.tokEmbeddings], []) };
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

const dimensionsOf = (config: Llama2cTypes.Config) => ({
  dim: config.dim, hidden_dim: config.hiddenDim, n_layers: config.nLayers, n_heads: config.nHeads, n_kv_heads: config.nKvHeads,
  vocab_size: config.numVocab, max_seq_len: config.maxSeqLen,
});

const ak42Header = (header: Llama2cAk42Header): Llama2cHeader =>
  ({ version: header.version, ...dimensionsOf(header.config), shared_classifier: header.isShared, header_bytes: 256 });

const groupedHeader = (header: Llama2cAk42Header): Llama2cHeader => ({ ...ak42Header(header), group_size: header.groupSize });

const f32 = (name: string, tensor: Llama2cTypes.F32Vector | Llama2cTypes.F32Matrix): TensorPlace => ({
  name, dtype: 'F32', offset: tensor.ofs, length: tensor.lenData,
  shape: 'numRows' in tensor ? [tensor.numRows, tensor.numColumns] : [tensor.numElements],
});

interface Norms {
  readonly attentionNorm: Llama2cTypes.F32Vectors;
  readonly ffnNorm: Llama2cTypes.F32Vectors;
  readonly norm: Llama2cTypes.F32Vector;
}

const normDirectory = (file: Norms): TensorPlace[] => [
  ...file.attentionNorm.layers.map((norm, layer) => f32(`layers.${layer}.attention_norm.weight`, norm)),
  ...file.ffnNorm.layers.map((norm, layer) => f32(`layers.${layer}.ffn_norm.weight`, norm)),
  f32('norm.weight', file.norm),
];

const eachLayer = <Tensor, Place>(stacks: Readonly<Record<MatrixKey, { readonly layers: readonly Tensor[] }>>, place: (name: string, tensor: Tensor) => Place): Place[] =>
  (Object.keys(matrixNames) as MatrixKey[]).flatMap((key) => stacks[key].layers.map((tensor, layer) => place(`layers.${layer}.${matrixNames[key]}.weight`, tensor)));

function f32Directory(file: Norms & Readonly<Record<MatrixKey, Llama2cTypes.F32Matrices>> & { tokEmbeddings: Llama2cTypes.F32Matrix; output: Llama2cTypes.F32Matrix | undefined }): TensorPlace[] {
  return [...normDirectory(file), f32('tok_embeddings.weight', file.tokEmbeddings), ...eachLayer(file, f32), ...(file.output ? [f32('output.weight', file.output)] : [])];
}

type Int8Matrix = Pick<Llama2cTypes.Int8Matrix, 'numRows' | 'numColumns' | 'ofsScales' | 'numScales' | 'lenScales' | 'lenValues'> & ({ readonly ofsValues: number });

const int8 = (name: string, matrix: Int8Matrix): TensorPlace[] => [
  { name, dtype: 'I8', shape: [matrix.numRows, matrix.numColumns], offset: matrix.ofsValues, length: matrix.lenValues },
  { name: `${name}.scales`, dtype: 'F32', shape: [matrix.numScales], offset: matrix.ofsScales, length: matrix.lenScales },
];

function int8Directory(file: Norms & Readonly<Record<MatrixKey, { readonly layers: readonly Int8Matrix[] }>>, embeddings: readonly Int8Matrix[], output: readonly Int8Matrix[]): TensorPlace[] {
  return sorted([
    ...normDirectory(file),
    ...embeddings.flatMap((matrix) => int8('tok_embeddings.weight', matrix)),
    ...eachLayer<Int8Matrix, TensorPlace[]>(file, int8).flat(),
    ...output.flatMap((matrix) => int8('output.weight', matrix)),
  ]);
}

const sorted = (directory: TensorPlace[]): TensorPlace[] => directory.toSorted((a, b) => a.offset - b.offset);
