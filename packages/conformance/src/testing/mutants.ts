/**
 * Faults that engines, readers, writers, codecs and tokenizers have, each put into this project alone, to show that the suite notices:
 * every one must fail a named case. Some change code (by wrapping it), some change the bytes of a file and its hash.
 */
import { codecOf } from '@weightspec/codecs';
import { dtype, type Backend, type ByteSource, type Checkpoint, type Diagnostic, type Executable, type Format, type Op, type Program, type TensorInfo, type WeightHandle, type WeightMap } from '@weightspec/core';
import { formats } from '@weightspec/formats';
import { memorySink, memorySource } from '@weightspec/io';
import { referenceBackend } from '@weightspec/kernels';
import type { CaseList } from '../case.js';
import { weightspecSubject } from '../own/subject.js';
import type { EncodedBlocks, Subject } from '../subject.js';

export interface Mutant {
  readonly name: string;
  /** What the fault is in. */
  readonly place: 'backend' | 'codec' | 'reader' | 'file bytes' | 'writer' | 'tokenizer';
  /** Cases that are tried: those that have to do with the place. */
  readonly patterns: readonly string[];
  readonly subject: Subject;
  /** Files that are other than they should be. */
  readonly changedFiles?: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>>;
}

const own = weightspecSubject({ backend: referenceBackend });
/** Without what `own` may remember of a file. */
const fresh = (): Subject => weightspecSubject({ backend: referenceBackend });
const onBackend = (backend: Backend): Subject => weightspecSubject({ backend });

// Backends

const llama = 'models/llama-tiny/llama2c-v0';
const forward = ['ops', llama, 'models/qwen1-tiny/q4_0', 'models/qwen2-tiny/safetensors-bf16'];

const backendMutant = (name: string, backend: Backend, patterns: readonly string[] = forward): Mutant => ({ name, place: 'backend', patterns, subject: onBackend(backend) });

/** The reference backend, compiling another program or other weights than it is given. */
function compiling(change: (program: Program, weights: WeightMap) => Promise<readonly [Program, WeightMap]> | readonly [Program, WeightMap]): Backend {
  return {
    ...referenceBackend,
    async compile(program, weights, options) {
      const [otherProgram, otherWeights] = await change(program, weights);
      return referenceBackend.compile(otherProgram, otherWeights, options);
    },
  };
}
const withOps = (change: (op: Op, program: Program) => Op | undefined): Backend => compiling((program, weights) => [{ ...program, ops: program.ops.flatMap((op) => change(op, program) ?? []) }, weights]);

/** The reference backend, whose executables are run otherwise. `again` makes another one. */
function running(run: (inner: Executable, again: () => Promise<Executable>) => Executable['run'], room = 0): Backend {
  return {
    ...referenceBackend,
    async compile(program, weights, options) {
      const again = () => referenceBackend.compile({ ...program, maxSeqLen: program.maxSeqLen + room }, weights, options);
      const inner = await again();
      return { dispose: () => inner.dispose(), run: run(inner, again) };
    },
  };
}

interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

/** Weights whose Meta name ends in one of `endings`, as F32 and changed; where a part is packed, they stay. */
function withMatrices(endings: readonly string[], change: (matrix: Matrix, program: Program) => Float32Array): Backend {
  return compiling(async (program, weights) => {
    const changed = new Map(weights);
    for (const [name, handle] of weights) {
      const { values } = handle.parts;
      if (!values || handle.storage !== 'F32' || !endings.some((ending) => name.endsWith(ending))) continue;
      const bytes = await values.location.source.read(values.location.offset, values.location.length);
      const [rows = 1, columns = 1] = handle.shape;
      changed.set(name, f32Handle(handle, change({ rows, columns, values: codecOf(values.dtype).dequantize(bytes) }, program)));
    }
    return [program, changed];
  });
}

function f32Handle({ name, shape }: WeightHandle, values: Float32Array): WeightHandle {
  const source = memorySource(codecOf(dtype('F32')).quantize(values), name);
  return { name, shape, storage: 'F32', parts: { values: { name, dtype: dtype('F32'), shape, location: { source, offset: 0, length: source.size } } } };
}

const elementsBy = ({ columns, values }: Matrix, from: (row: number, column: number) => readonly [row: number, column: number]): Float32Array =>
  values.map((_, at) => {
    const [row, column] = from(Math.floor(at / columns), at % columns);
    return values[row * columns + column]!;
  });

const attentionOf = ({ ops }: Program): Extract<Op, { readonly op: 'attention' }> | undefined => ops.find((op) => op.op === 'attention');

/** Where a query head stands when heads are dealt out to kv heads in turn. */
function dealtOut(index: number, program: Program): number {
  const { heads, kvHeads, headDim } = attentionOf(program)!;
  const slot = Math.floor(index / headDim);
  const perKv = heads / kvHeads;
  return ((slot % perKv) * kvHeads + Math.floor(slot / perKv)) * headDim + (index % headDim);
}

/** Sees eight positions. RoPE turns by differences, so that running the last eight again from 0 is a window. */
const windowed: Backend = running((_, again) => {
  const all: number[] = [];
  return async (tokens, position, options) => {
    all.splice(position, all.length, ...tokens);
    const rows: number[] = [];
    for (let end = position + 1; end <= position + tokens.length; end += 1) {
      const executable = await again();
      rows.push(...(await executable.run(all.slice(Math.max(0, end - 8), end), 0)));
      await executable.dispose();
    }
    return Float32Array.from(options?.all ? rows : rows.slice(-rows.length / tokens.length));
  };
});

const roundToBf16 = (values: Float32Array): Float32Array => codecOf(dtype('BF16')).dequantize(codecOf(dtype('BF16')).quantize(values));

const backendMutants: readonly Mutant[] = [
  backendMutant('gate and up swapped', withOps((op) => (op.op === 'swiglu' ? { ...op, gate: op.up, up: op.gate } : op))),
  backendMutant('the other RoPE', withOps((op) => (op.op === 'rope' ? { ...op, style: op.style === 'halves' ? 'interleaved' : 'halves' } : op))),
  backendMutant('theta 1 % off', withOps((op) => (op.op === 'rope' ? { ...op, theta: op.theta * 1.01 } : op))),
  backendMutant('keys not rotated', withOps((op) => (op.op === 'rope' && op.x === 'k' ? undefined : op)), [llama]),
  backendMutant('positions off by one', running((inner) => {
    let started = false;
    return async (tokens, position, options) => {
      if (!started) await inner.run([0], 0);
      started = true;
      return inner.run(tokens, position + 1, options);
    };
  }, 1)),
  backendMutant('eps ten times too small', withOps((op) => (op.op === 'rmsnorm' ? { ...op, eps: op.eps / 10 } : op))),
  backendMutant('bias forgotten', withOps((op) => (op.op === 'matmul' ? { ...op, bias: undefined } : op))),
  backendMutant('bias of k forgotten', withOps((op) => (op.op === 'matmul' && op.out === 'k' ? { ...op, bias: undefined } : op)), ['models/qwen2-tiny', 'models/qwen1-tiny/f32']),
  backendMutant('residual connection twice instead of the branch', withOps((op) => (op.op === 'add' ? { ...op, b: op.a } : op))),
  backendMutant('keys used as values', withOps((op) => (op.op === 'attention' ? { ...op, v: op.k } : op))),
  backendMutant('no final norm', withOps((op) => (op.op === 'rmsnorm' && op.layer === undefined ? undefined : op)), [llama]),
  backendMutant('wo transposed', withMatrices(['attention.wo.weight'], (matrix) => elementsBy(matrix, (row, column) => [column, row]))),
  backendMutant('query heads dealt out to kv heads in turn', compiling(async (program, weights) => {
    const byRows = await rearranged(weights, '.wq.weight', (matrix) => elementsBy(matrix, (row, column) => [dealtOut(row, program), column]));
    return [program, await rearranged(byRows, '.wo.weight', (matrix) => elementsBy(matrix, (row, column) => [row, dealtOut(column, program)]))];
  }), [llama, 'models/recite/prompt-1']),
  backendMutant('wq and wk left in the order of halves', withMatrices(['.wq.weight', '.wk.weight'], (matrix, program) => {
    const { headDim } = attentionOf(program)!;
    return elementsBy(matrix, (row, column) => [row - (row % headDim) + (row % headDim < headDim / 2 ? 2 * (row % headDim) : 2 * (row % headDim) - headDim + 1), column]);
  }), [llama]),
  backendMutant('cache cut to eight positions', windowed, [llama]),
  backendMutant('cache forgotten after the prompt', running((inner, again) => async (tokens, position, options) => (position === 0 ? inner.run(tokens, 0, options) : (await again()).run(tokens, 0, options))), [llama, 'ops/attention']),
  backendMutant('embedding one row late', running((inner) => (tokens, position, options) => inner.run(tokens.map((token) => Math.max(0, token - 1)), position, options)), [llama, 'ops/embed']),
  backendMutant('classifier taken from the embedding', withOps((op, program) => (op.op === 'matmul' && op.layer === undefined && op.out === program.logits && program.weights.some(({ name }) => name === 'tok_embeddings.weight') ? { ...op, weight: 'tok_embeddings.weight' } : op)), [llama, 'models/recite']),
  backendMutant('layers in reverse', withOps((op, { layers }) => {
    const swap = (name: string): string => name.replace(/(?<=layers\.)\d+/, (layer) => String(layers - 1 - Number(layer)));
    return 'weight' in op ? { ...op, weight: swap(op.weight) } : op;
  }), [llama]),
  backendMutant('weights kept as bf16', withMatrices(['.weight'], ({ values }) => roundToBf16(values)), ['models/recite', llama]),
  backendMutant('logits rounded to bf16', running((inner) => async (tokens, position, options) => roundToBf16(await inner.run(tokens, position, options))), [llama]),
  backendMutant('the last row of logits for every token', running((inner) => async (tokens, position, options) => {
    const rows = await inner.run(tokens, position, options);
    const width = rows.length / tokens.length;
    return options?.all ? rows.map((_, i) => rows[rows.length - width + (i % width)]!) : rows;
  }), [llama]),
];

async function rearranged(weights: WeightMap, ending: string, change: (matrix: Matrix) => Float32Array): Promise<WeightMap> {
  const changed = new Map(weights);
  for (const [name, handle] of weights) {
    const { values } = handle.parts;
    if (!values || !name.endsWith(ending)) continue;
    const [rows = 1, columns = 1] = handle.shape;
    changed.set(name, f32Handle(handle, change({ rows, columns, values: codecOf(values.dtype).dequantize(await values.location.source.read(values.location.offset, values.location.length)) })));
  }
  return changed;
}

// Codecs

const swapNibbles = (byte: number): number => ((byte & 15) << 4) | (byte >> 4);
const decodingOther = (name: string, storages: readonly string[], change: (blocks: EncodedBlocks) => EncodedBlocks): Mutant => ({
  name,
  place: 'codec',
  patterns: ['codecs'],
  subject: { ...own, dequantize: (blocks) => own.dequantize!(storages.includes(blocks.storage) ? change(blocks) : blocks) },
});

/** Applies `change` to each whole block of `blockBytes`. */
const eachBlock = (blockBytes: number, change: (block: Uint8Array) => void) => (blocks: EncodedBlocks): EncodedBlocks => {
  const bytes = Uint8Array.from(blocks.bytes);
  for (let at = 0; at < bytes.length; at += blockBytes) change(bytes.subarray(at, at + blockBytes));
  return { ...blocks, bytes };
};
const swapHalves = (block: Uint8Array, start: number, length: number): void => {
  const first = block.slice(start, start + length / 2);
  block.copyWithin(start, start + length / 2, start + length);
  block.set(first, start + length / 2);
};

const codecMutants: readonly Mutant[] = [
  decodingOther('nibbles of q4_0 in the other order', ['Q4_0'], eachBlock(18, (block) => block.set(block.subarray(2).map(swapNibbles), 2))),
  decodingOther('scale read as bf16', ['Q8_0'], eachBlock(34, (block) => block.set(codecOf(dtype('F16')).quantize(codecOf(dtype('BF16')).dequantize(block.slice(0, 2))), 0))),
  decodingOther('fifth bits of q5_0 in the other half', ['Q5_0'], eachBlock(22, (block) => swapHalves(block, 2, 4))),
  decodingOther('minimum and scale of q4_1 swapped', ['Q4_1'], eachBlock(20, (block) => swapHalves(block, 0, 4))),
  decodingOther('minimum of q5_1 forgotten', ['Q5_1'], eachBlock(24, (block) => block.fill(0, 2, 4))),
  decodingOther('scales of int8 groups one late', ['llama2c-q8'], (blocks) => ({ ...blocks, scales: blocks.scales?.map((scale, i, all) => all[i - 1] ?? scale) })),
  { name: 'bf16 cut instead of rounded', place: 'codec', patterns: ['codecs'], subject: { ...own, quantize: async (storage, values, groupSize) => (storage === 'BF16' ? { storage, bytes: codecOf(dtype('BF16')).quantize(Float32Array.from(values, (value) => cutToBf16(value))) } : own.quantize!(storage, values, groupSize)) } },
  { name: 'int8 codes up to 128', place: 'codec', patterns: ['codecs'], subject: { ...own, quantize: async (storage, values, groupSize) => {
    const encoded = await own.quantize!(storage, values, groupSize);
    return storage === 'llama2c-q8' ? { ...encoded, scales: encoded.scales?.map((scale) => (scale * 127) / 128) } : encoded;
  } } },
  { name: 'q4_0 scaled by 7 instead of −8', place: 'codec', patterns: ['codecs'], subject: { ...own, quantize: async (storage, values, groupSize) => {
    const encoded = await own.quantize!(storage, values, groupSize);
    return storage === 'Q4_0' ? eachBlock(18, (block) => block.set(codecOf(dtype('F16')).quantize(codecOf(dtype('F16')).dequantize(block.slice(0, 2)).map((scale) => (scale * 8) / 7)), 0))(encoded) : encoded;
  } } },
];

function cutToBf16(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  view.setUint16(2, 0);
  return view.getFloat32(0);
}

// Readers, writers

const withFormat = (id: string, change: (format: Format) => Format): Subject => weightspecSubject({ backend: referenceBackend, formats: formats.map((format) => (format.id === id ? change(format) : format)) });

/** A reader whose checkpoint or findings are other. */
const reading = (id: string, change: (checkpoint: Checkpoint) => Checkpoint, changeFindings: (diagnostics: readonly Diagnostic[]) => readonly Diagnostic[] = (diagnostics) => diagnostics): Subject =>
  withFormat(id, (format) => ({
    ...format,
    async read(source) {
      const result = await format.read(source);
      return { ...result, ...(result.checkpoint && { checkpoint: change(result.checkpoint) }), diagnostics: changeFindings(result.diagnostics) };
    },
  }));
const findings = (id: string, change: (diagnostics: readonly Diagnostic[]) => readonly Diagnostic[]): Subject => reading(id, (checkpoint) => checkpoint, change);

/** Exchanges the places of pairs of tensors: `from` in a name becomes `to`, and the other way round. */
function exchanging(from: string, to: string): (checkpoint: Checkpoint) => Checkpoint {
  return (checkpoint) => {
    const byName = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
    const other = ({ name }: TensorInfo): TensorInfo | undefined => byName.get(name.includes(from) ? name.replace(from, to) : name.replace(to, from));
    return { ...checkpoint, tensors: checkpoint.tensors.map((tensor) => (tensor.name.includes(from) || tensor.name.includes(to) ? { ...tensor, location: other(tensor)?.location ?? tensor.location } : tensor)) };
  };
}
const shifted = (bytes: number, applies: (tensor: TensorInfo) => boolean) => (checkpoint: Checkpoint): Checkpoint => ({
  ...checkpoint,
  tensors: checkpoint.tensors.map((tensor) => (applies(tensor) && tensor.location.offset >= bytes ? { ...tensor, location: { ...tensor.location, offset: tensor.location.offset - bytes } } : tensor)),
});
/** Bytes of a tensor's rows turned by one, as a reader does that takes the wrong order of dimensions for a square matrix. */
function turned(applies: (tensor: TensorInfo) => boolean): (checkpoint: Checkpoint) => Checkpoint {
  return (checkpoint) => ({ ...checkpoint, tensors: checkpoint.tensors.map((tensor) => (applies(tensor) ? { ...tensor, location: { source: transposedSource(tensor), offset: 0, length: tensor.location.length } } : tensor)) });
}
function transposedSource({ name, shape: [rows = 1, columns = 1], dtype: { bytesPerBlock }, location }: TensorInfo): ByteSource {
  return {
    name,
    size: location.length,
    async read(offset, length) {
      const whole = await location.source.read(location.offset, location.length);
      const out = whole.map((_, at) => {
        const element = Math.floor(at / bytesPerBlock);
        return whole[((element % columns) * rows + Math.floor(element / columns)) * bytesPerBlock + (at % bytesPerBlock)]!;
      });
      return out.slice(offset, offset + length);
    },
  };
}
const square = ({ shape: [rows, columns], dtype: { blockSize } }: TensorInfo): boolean => rows !== undefined && rows === columns && blockSize === 1;

/** A writer whose finished bytes are other. */
const writer = (name: string, id: string, change: (bytes: Uint8Array) => Uint8Array): Mutant => ({
  name,
  place: 'writer',
  patterns: ['roundtrip'],
  subject: withFormat(id, (format) => ({
    ...format,
    async write(checkpoint, sink) {
      const whole = memorySink();
      await format.write!(checkpoint, whole);
      await sink.write(change(whole.bytes()));
    },
  })),
});

const reader = (name: string, subject: Subject, patterns: readonly string[]): Mutant => ({ name, place: 'reader', patterns, subject });
const readerMutants: readonly Mutant[] = [
  reader('llama2c: w2 and w3 in the order of their numbers in HF', reading('llama2c', exchanging('feed_forward.w1', 'feed_forward.w3')), ['models/llama-tiny/llama2c-*', 'models/recite']),
  reader('llama2c: every tensor one element early', reading('llama2c', shifted(4, ({ dtype: { name } }) => name === 'F32')), [llama, 'models/llama-tiny/llama2c-v1-fp32']),
  reader('llama2c: trailing bytes accepted', findings('llama2c', (all) => all.filter(({ code }) => code !== 'LLAMA2C_TRAILING_BYTES')), ['formats/llama2c']),
  reader('ggml-qwen: w2 taken for the up projection', reading('ggml-qwen', exchanging('mlp.w1', 'mlp.w2')), ['models/qwen1-tiny']),
  reader('ggml-qwen: findings point one byte too far', findings('ggml-qwen', (all) => all.map((one) => (one.byteRange ? { ...one, byteRange: [one.byteRange[0] + 1, one.byteRange[1] + 1] as const } : one))), ['formats/ggml-qwen']),
  reader('safetensors: offsets counted from the file instead of the data', reading('safetensors', shifted(8, () => true)), ['models/llama-tiny/safetensors-f16', 'models/qwen2-tiny']),
  reader('safetensors: square matrices transposed', reading('safetensors', turned(square)), ['models/llama-tiny/safetensors-f16']),
  reader('safetensors: holes accepted', findings('safetensors', (all) => all.filter(({ code }) => !code.includes('HOLE') && !code.includes('GAP'))), ['formats/safetensors']),
  reader('torch-checkpoint: strides forgotten', reading('torch-checkpoint', turned(square)), ['models/llama-tiny/torch-*']),
  reader('torch-checkpoint: every global allowed', findings('torch-checkpoint', (all) => all.filter(({ code }) => code !== 'TORCH_GLOBAL')), ['formats/torch-checkpoint']),
  reader('llama2c-tokenizer: information told as warnings', findings('llama2c-tokenizer', (all) => all.map((one) => (one.severity === 'info' ? { ...one, severity: 'warning' as const } : one))), ['formats/llama2c']),
  writer('safetensors: header padded with line ends', 'safetensors', (bytes) => {
    const headerEnd = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    return bytes.map((byte, at) => (byte === 32 && at < headerEnd && at >= headerEnd - 8 ? 10 : byte));
  }),
  writer('llama2c: shared_classifier not written', 'llama2c', (bytes) => (bytes[0] === 0x32 ? patched(36, 0)(bytes) : bytes)),
  writer('ggml-qwen: max_length not written', 'ggml-qwen', patched(32, 0, 0, 0, 0)),
  writer('torch-checkpoint: an archive comment announced', 'torch-checkpoint', (bytes) => patched(bytes.length - 2, 1)(bytes)),
];

// Bytes of files: what a faulty writer or converter would have left there.

/** Exchanges two ranges of the same length. */
const exchangeRanges = (a: number, b: number, length: number) => (bytes: Uint8Array): Uint8Array => {
  const out = Uint8Array.from(bytes);
  out.set(bytes.subarray(b, b + length), a);
  out.set(bytes.subarray(a, a + length), b);
  return out;
};
/** Exchanges two texts of one length wherever they stand. */
const exchangeTexts = (a: string, b: string) => (bytes: Uint8Array): Uint8Array => {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  const exchanged = text.replaceAll(new RegExp(`${a}|${b}`, 'g'), (found) => (found === a ? b : a));
  return Uint8Array.from(exchanged, (char) => char.charCodeAt(0));
};
function patched(at: number, ...values: readonly number[]): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => {
    const out = Uint8Array.from(bytes);
    out.set(values, at);
    return out;
  };
}

/** Where a matrix of a ggml-qwen file has its data (G-3.1): behind name, two dimensions and type, at a multiple of 16. */
function ggmlData(bytes: Uint8Array, name: string): number {
  const at = Buffer.from(bytes).indexOf(name, 0, 'latin1') + name.length + 16;
  return at + ((16 - (at % 16)) % 16);
}

// llama-tiny as v0: 28 bytes of header, then f32: tok 64·32, norms 2·32, wq 2·32·32, wk 2·16·32, wv, wo 2·32·32, norms 2·32, w1 2·64·32, w2, w3.
const v0 = { w1: 28 + 4 * (2048 + 64 + 2048 + 1024 + 1024 + 2048 + 64), matrix: 4 * 2 * 64 * 32 };

const fileMutants: readonly Mutant[] = ([
  { name: 'llama2c: w1 and w3 exchanged in the file', patterns: [llama], changedFiles: { 'golden/llama-tiny/v0.bin': exchangeRanges(v0.w1, v0.w1 + 2 * v0.matrix, v0.matrix) } },
  { name: 'llama2c: one bit of one weight', patterns: [llama], changedFiles: { 'golden/llama-tiny/v0.bin': (bytes: Uint8Array) => patched(v0.w1 + 7 * 4 + 3, bytes[v0.w1 + 7 * 4 + 3]! ^ 0x80)(bytes) } },
  { name: 'ggml-qwen: w1 and w2 exchanged', patterns: ['models/qwen1-tiny/q8_0'], changedFiles: { 'golden/qwen1-tiny/q8_0.bin': (bytes: Uint8Array) => exchangeRanges(ggmlData(bytes, 'transformer.h.0.mlp.w1.weight'), ggmlData(bytes, 'transformer.h.0.mlp.w2.weight'), (64 * 32 * 34) / 32)(bytes) } },
  { name: 'safetensors: names of the layers’ first norms exchanged', patterns: ['models/llama-tiny/safetensors-f16'], changedFiles: { 'golden/llama-tiny/model.safetensors': exchangeTexts('layers.0.input_layernorm', 'layers.1.input_layernorm') } },
  { name: 'torch-checkpoint: names of k and v exchanged behind the checksum', patterns: ['models/llama-tiny/torch-meta-bf16'], changedFiles: { 'golden/llama-tiny/consolidated.00.pth': exchangeTexts('attention.wk', 'attention.wv') } },
  { name: 'tokenizer.bin: two pieces exchanged', patterns: ['tokenizers/llama2c'], changedFiles: { 'golden/tokenizers/tokenizer.bin': exchangeTexts(' two', ' any') } },
  { name: 'rank file: the bytes of two tokens exchanged', patterns: ['tokenizers/qwen', 'tokenizers/llama3'], changedFiles: { 'golden/tokenizers/ranks.tiktoken': exchangeTexts('aGVsbA==', 'IHRoZQ==') } },
  { name: 'sharded index: the two shards in each other’s place', patterns: ['models/qwen2-tiny/safetensors-bf16'], changedFiles: { 'golden/qwen2-tiny/model.safetensors.index.json': exchangeTexts('-00001-of-', '-00002-of-') } },
  { name: 'safetensors shards: two tensors of one shape under each other’s name', patterns: ['models/qwen2-tiny/safetensors-bf16'], changedFiles: { 'golden/qwen2-tiny/model-00001-of-00002.safetensors': exchangeTexts('self_attn.k_proj.weight', 'self_attn.v_proj.weight') } },
  { name: 'config.json: theta of another model', patterns: ['models/qwen2-tiny'], changedFiles: { 'golden/qwen2-tiny/config.json': exchangeTexts('"rope_theta": 1000000', '"rope_theta":   10000') } },
] as readonly Omit<Mutant, 'place' | 'subject'>[]).map((mutant) => ({ ...mutant, place: 'file bytes' as const, subject: fresh() }));

// Tokenizers

const tokenizerMutants: readonly Mutant[] = [
  { name: 'no BOS', place: 'tokenizer', patterns: ['tokenizers'], subject: { ...own, encode: async (vocabulary, text) => (await own.encode!(vocabulary, text)).filter((id) => vocabulary.kind !== 'llama2c' || id !== 1) } },
  { name: 'Llama 3’s digits for Qwen', place: 'tokenizer', patterns: ['tokenizers'], subject: { ...own, encode: (vocabulary, text) => own.encode!({ ...vocabulary, kind: vocabulary.kind === 'qwen' ? 'llama3' : vocabulary.kind }, text) } },
  { name: 'white space as JavaScript has it', place: 'tokenizer', patterns: ['tokenizers'], subject: { ...own, encode: (vocabulary, text) => own.encode!(vocabulary, text.replaceAll('\u0085', '\u200b')) } },
  { name: 'text cut at the first character outside the vocabulary', place: 'tokenizer', patterns: ['tokenizers'], subject: { ...own, decode: async (vocabulary, ids) => (await own.decode!(vocabulary, ids)).split(/[^\p{ASCII}]/u)[0]! } },
];

export const mutants: readonly Mutant[] = [...backendMutants, ...codecMutants, ...readerMutants, ...fileMutants, ...tokenizerMutants];

/** The list with the hashes of changed files: a fault in a file must be found by what it means, not by its hash. */
export async function withHashes(list: CaseList, changed: ReadonlyMap<string, Uint8Array>): Promise<CaseList> {
  const entries = await Promise.all(Array.from(changed, async ([path, bytes]) => {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(bytes)));
    return [path, { byteLength: bytes.length, sha256: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') }] as const;
  }));
  return { ...list, files: { ...list.files, ...Object.fromEntries(entries) } };
}
