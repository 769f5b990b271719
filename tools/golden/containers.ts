/**
 * Writes small models in every container: qwen.cpp's, safetensors, PyTorch's zip and llama2.c's "ak42" files.
 * Sources: the README of each folder of specs; clauses are named where they are followed. Little-endian. Shares no code with the writers under test.
 */
import { blockTypes, encodeAs, toInt8Groups, type BlockTypeName } from './block-types.js';
import type { DecoderConfig, Weights } from './decoder.js';
import { concatenate } from './llama2c-files.js';
import type { Row } from './ops.js';

/** One tensor as a container holds it. */
export interface StoredTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: BlockTypeName;
  readonly values: Row;
}

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
function integers(size: 2 | 4 | 8, values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(size * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    if (size === 2) view.setUint16(2 * i, value, true);
    else if (size === 4) view.setInt32(4 * i, value, true);
    else view.setBigUint64(8 * i, BigInt(value), true);
  });
  return bytes;
}

export interface QwenHeader {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly layers: number;
  /** Of the MLP; the file's field counts w1 and w2 together (G-2.5). */
  readonly ffnWidth: number;
  readonly maxLength: number;
  /** eos, pad, im_start, im_end. */
  readonly tokenIds: readonly [number, number, number, number];
}

/** qwen.cpp's container: 52 bytes of header, then records with data at multiples of 16. `tensors` in file order. */
export function ggmlQwenFile(type: BlockTypeName, header: QwenHeader, tensors: readonly StoredTensor[]): Uint8Array {
  const numberOf = (name: BlockTypeName): number => (blockTypes[name] as { readonly ggmlType?: number }).ggmlType ?? -1;
  const { vocabSize, hiddenSize, heads, layers, ffnWidth, maxLength, tokenIds } = header;
  let file = concatenate([ascii('ggml'), integers(4, [numberOf(type), vocabSize, hiddenSize, heads, heads, layers, 2 * ffnWidth, maxLength, ...tokenIds])]);
  for (const { name, shape, type: own, values } of tensors) {
    const record = concatenate([file, integers(4, [name.length]), ascii(name), integers(4, [shape.length, ...shape, numberOf(own)])]);
    file = concatenate([record, new Uint8Array((16 - (record.length % 16)) % 16), encodeAs(own, values)]);
  }
  return file;
}

/** safetensors: u64 header length, JSON padded with spaces to a multiple of 8, data in the order of the header. */
export function safetensorsFile(tensors: readonly StoredTensor[], metadata?: Readonly<Record<string, string>>): Uint8Array {
  const data = tensors.map(({ type, values }) => encodeAs(type, values));
  let end = 0;
  const entries = tensors.map(({ name, shape, type }, i) => {
    const begin = end;
    end += data[i]!.length;
    return [name, { dtype: type.toUpperCase(), shape, data_offsets: [begin, end] }] as const;
  });
  const json = JSON.stringify({ ...(metadata && { __metadata__: metadata }), ...Object.fromEntries(entries) });
  const header = ascii(json.padEnd(Math.ceil(json.length / 8) * 8));
  return concatenate([integers(8, [header.length]), header, ...data]);
}

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

/** Z-4.1: members stored, with flags 0x0808, sizes in a descriptor, data at multiples of 64, and zip64 end records. */
function zipOf(members: readonly (readonly [name: string, data: Uint8Array])[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let position = 0;
  const push = (...bytes: readonly Uint8Array[]): void => {
    parts.push(...bytes);
    for (const { length } of bytes) position += length;
  };
  for (const [name, data] of members) {
    const localAt = position;
    const padding = (64 - ((position + 30 + name.length + 4) % 64)) % 64;
    const sizes = integers(4, [crc32(data), data.length, data.length]);
    push(integers(4, [0x04034b50]), integers(2, [0, 0x0808, 0, 0, 0]), new Uint8Array(12), integers(2, [name.length, 4 + padding]), ascii(name), ascii('FB'), integers(2, [padding]), ascii('Z'.repeat(padding)));
    push(data, integers(4, [0x08074b50]), sizes);
    directory.push(integers(4, [0x02014b50]), integers(2, [0, 0, 0x0808, 0, 0, 0]), sizes, integers(2, [name.length, 0, 0, 0, 0]), integers(4, [0, localAt]), ascii(name));
  }
  const directoryAt = position;
  push(...directory);
  const directoryBytes = position - directoryAt;
  const end64At = position;
  push(integers(4, [0x06064b50]), integers(8, [44]), integers(2, [0x031e, 0x2d]), integers(4, [0, 0]), integers(8, [members.length, members.length, directoryBytes, directoryAt]));
  push(integers(4, [0x07064b50, 0]), integers(8, [end64At]), integers(4, [1]));
  push(integers(4, [0x06054b50]), integers(2, [0, 0, members.length, members.length]), integers(4, [directoryBytes, directoryAt]), integers(2, [0]));
  return concatenate(parts);
}

const storageTypes: Partial<Readonly<Record<BlockTypeName, string>>> = { f32: 'FloatStorage', f16: 'HalfStorage', bf16: 'BFloat16Storage' };

/** A PyTorch state dict as torch 1.13 saves it: a protocol 2 pickle of tensors, each over a storage of its own. */
export function torchFile(tensors: readonly StoredTensor[]): Uint8Array {
  const pickle: number[] = [0x80, 2, 0x7d, 0x28];
  const put = (...bytes: readonly number[]): void => void pickle.push(...bytes);
  const text = (value: string): void => put(0x58, ...integers(4, [value.length]), ...ascii(value));
  const int = (value: number): void => put(0x4a, ...integers(4, [value]));
  const tuple = (values: readonly number[]): void => {
    put(0x28);
    values.forEach(int);
    put(0x74);
  };
  const name = (module: string, item: string): void => put(0x63, ...ascii(`${module}\n${item}\n`));
  tensors.forEach(({ name: key, shape, type, values }, index) => {
    text(key);
    name('torch._utils', '_rebuild_tensor_v2');
    put(0x28, 0x28);
    text('storage');
    name('torch', storageTypes[type] ?? '');
    text(String(index));
    text('cpu');
    int(values.length);
    put(0x74, 0x51);
    int(0);
    tuple(shape);
    tuple(shape.map((_, i) => shape.slice(i + 1).reduce((product, length) => product * length, 1)));
    put(0x89);
    name('collections', 'OrderedDict');
    put(0x29, 0x52, 0x74, 0x52);
  });
  put(0x75, 0x2e);
  // P-2.1 and Z-4.2: torch 1 orders storages by their keys as text.
  const storages = tensors.map(({ type, values }, index) => [`archive/data/${index}`, encodeAs(type, values)] as const).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return zipOf([['archive/data.pkl', Uint8Array.from(pickle)], ...storages, ['archive/version', ascii('3\n')]]);
}

/** C-3: the 256-byte header of llama2.c's versions 1 and 2. */
function ak42Header(version: number, config: DecoderConfig, shared: boolean, groupSize: number): Uint8Array {
  const { dim, hiddenDim, layers, heads, kvHeads, vocabSize, maxSeqLen } = config;
  return concatenate([integers(4, [0x616b3432, version, dim, hiddenDim, layers, heads, kvHeads, vocabSize, maxSeqLen]), Uint8Array.of(shared ? 1 : 0), integers(4, [groupSize]), new Uint8Array(256 - 41)]);
}

/** Norms first, then the matrices of llama2.c's order: tok, wq of all layers, wk, wv, wo, w1, w2, w3, wcls. */
function inAk42Order(config: DecoderConfig, weights: Weights): { readonly norms: Uint8Array; readonly matrices: readonly Float32Array[] } {
  const values = (name: string): Float32Array => weights[name]?.values ?? new Float32Array();
  const eachLayer = (part: string): Float32Array[] => Array.from({ length: config.layers }, (_, layer) => values(`layers.${layer}.${part}`));
  const norms = [...eachLayer('attNorm'), ...eachLayer('ffnNorm'), values('norm')].map((norm) => encodeAs('f32', norm));
  const matrices = [values('tok'), ...['wq', 'wk', 'wv', 'wo', 'w1', 'w2', 'w3'].flatMap(eachLayer), ...(config.sharedClassifier ? [] : [values('wcls')])];
  return { norms: concatenate(norms), matrices };
}

/** export.py version 1: everything in f32, no freq tables. */
export function ak42Fp32File(config: DecoderConfig, weights: Weights): Uint8Array {
  const { norms, matrices } = inAk42Order(config, weights);
  return concatenate([ak42Header(1, config, config.sharedClassifier, 0), norms, ...matrices.map((matrix) => encodeAs('f32', matrix))]);
}

/**
 * The int8 files. `v2`: each tensor's codes, then its scales (runq.c). `v2-contiguous` and `v1-int8`: all codes, then all scales;
 * those of version 1 always share the classifier.
 */
export function ak42Int8File(variant: 'v1-int8' | 'v2-contiguous' | 'v2', config: DecoderConfig, weights: Weights, groupSize: number): Uint8Array {
  const { norms, matrices } = inAk42Order(config, weights);
  const packed = matrices.map((matrix) => {
    const { values, scales } = toInt8Groups(matrix, groupSize);
    return { codes: new Uint8Array(values.buffer), scales: encodeAs('f32', scales) };
  });
  const body = variant === 'v2' ? packed.flatMap(({ codes, scales }) => [codes, scales]) : [...packed.map(({ codes }) => codes), ...packed.map(({ scales }) => scales)];
  return concatenate([ak42Header(variant === 'v1-int8' ? 1 : 2, config, config.sharedClassifier, groupSize), norms, ...body]);
}
