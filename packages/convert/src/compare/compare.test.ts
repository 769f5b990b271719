/** Two models with one mistake between them, made here by hand: what is found, and what it is called. */
import { codecs } from '@weightspec/codecs';
import { dtype, elementCount, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { llama2c } from '@weightspec/llama2c';
import { describe, expect, it } from 'vitest';
import { memoryOutputs, onlyFileOf } from '../testing/memory-outputs.js';
import { compare, planConversion, runConversion, type Comparison, type ConvertInput } from '../index.js';

const config = { model_type: 'llama', hidden_size: 64, intermediate_size: 96, num_hidden_layers: 2, num_attention_heads: 8, num_key_value_heads: 4, vocab_size: 40, rms_norm_eps: 1e-5, max_position_embeddings: 16, rope_theta: 10000, tie_word_embeddings: false };
const layerShapes: Readonly<Record<string, readonly number[]>> = {
  'self_attn.q_proj': [64, 64], 'self_attn.k_proj': [32, 64], 'self_attn.v_proj': [32, 64], 'self_attn.o_proj': [64, 64],
  'mlp.gate_proj': [96, 64], 'mlp.up_proj': [96, 64], 'mlp.down_proj': [64, 96], input_layernorm: [64], post_attention_layernorm: [64],
};
const shapes = new Map<string, readonly number[]>([
  ['model.embed_tokens.weight', [40, 64]], ['model.norm.weight', [64]], ['lm_head.weight', [40, 64]],
  ...[0, 1].flatMap((n) => Object.entries(layerShapes).map(([name, shape]) => [`model.layers.${n}.${name}.weight`, shape] as const)),
]);

/** Uniform noise that is the same in every run, and different for every name. */
function noise(name: string, count: number): Float32Array {
  let state = Array.from(name).reduce((hash, character) => (Math.imul(hash, 31) + character.codePointAt(0)!) >>> 0, 7);
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length: count }, () => next() + next() - 1);
}
type Weights = ReadonlyMap<string, Float32Array>;
const original: Weights = new Map([...shapes].map(([name, shape]) => [name, noise(name, elementCount(shape))]));
function tensorOf(name: string, shape: readonly number[], values: Float32Array, type: 'f32' | 'f16' | 'q4_0' | 'bf16'): TensorInfo {
  const codec = shape.length === 1 ? codecs.f32 : codecs[type];
  const bytes = codec.quantize(values);
  return { name, dtype: codec.dtype, shape, location: { source: memorySource(bytes, name), offset: 0, length: bytes.length } };
}
const modelOf = (weights: Weights, type: 'f32' | 'f16' | 'q4_0' | 'bf16' = 'f32', rename: (name: string) => string = (name) => name): ConvertInput => ({
  checkpoint: { format: 'safetensors', variant: 'test', metadata: {}, tensors: [...weights].map(([name, values]) => tensorOf(rename(name), shapes.get(name)!, values, type)) },
  beside: { config },
});
const withChange = (name: string, change: (values: Float32Array) => Float32Array): Weights => new Map([...original].map(([key, values]) => [key, key === name ? change(values) : values]));
const differing = ({ tensors }: Comparison) => tensors.filter(({ difference }) => !difference?.equal).map(({ name }) => name);
const found = (comparison: Comparison, name: string) => comparison.tensors.find((tensor) => tensor.name === name)!;

/** Row r of the result is row rowOf(r). */
const rowsMoved = (values: Float32Array, columns: number, rowOf: (row: number) => number): Float32Array => values.map((_, i) => values[rowOf(Math.floor(i / columns)) * columns + (i % columns)]!);
/** Which of Meta's rows is Hugging Face's row: head h, half j, place i is Meta's head h, place 2i + j. Written out from the definition. */
const metaRow = (row: number, headDim: number): number => {
  const [h, within] = [Math.floor(row / headDim), row % headDim];
  const [j, i] = [Math.floor(within / (headDim / 2)), within % (headDim / 2)];
  return h * headDim + 2 * i + j;
};
const hfRow = (row: number, headDim: number): number => Array.from({ length: headDim }, (_, n) => row - (row % headDim) + n).find((candidate) => metaRow(candidate, headDim) === row)!;

const q = 'model.layers.1.self_attn.q_proj.weight';
const k = 'model.layers.0.self_attn.k_proj.weight';
const o = 'model.layers.0.self_attn.o_proj.weight';

describe('compare', () => {
  it('finds a model equal to itself, and to itself in llama2.c’s names and rows', async () => {
    const plan = await planConversion(modelOf(original), 'llama2c-v1-fp32');
    const outputs = memoryOutputs();
    await runConversion(plan, outputs);
    const { checkpoint } = await llama2c.read(memorySource(onlyFileOf(outputs)));
    for (const other of [modelOf(original), { checkpoint: checkpoint! }]) {
      for (const [a, b] of [[modelOf(original), other], [other, modelOf(original)]] as const) {
        const result = await compare(a, b);
        expect([result.verdict, result.tensors.length, result.missing, result.extra, result.configuration]).toEqual(['equal', shapes.size, [], [], []]);
      }
    }
  });

  it('names q rows that were left in Meta’s order, with the number of heads', async () => {
    const result = await compare(modelOf(original), modelOf(withChange(q, (values) => rowsMoved(values, 64, (row) => hfRow(row, 8)))));
    expect(differing(result)).toEqual(['layers.1.attention.wq.weight']);
    expect(result.verdict).toBe('different');
    const { explanation, difference } = found(result, 'layers.1.attention.wq.weight');
    expect(explanation).toEqual({ kind: 'rope-permutation', heads: 8, relative: 0, message: `${q} matches after RoPE permutation with 8 heads` });
    expect(difference!.relative).toBeGreaterThan(1);
  });
  it('names q rows that were moved though they should not have been, also without a configuration', async () => {
    const moved = modelOf(withChange(q, (values) => rowsMoved(values, 64, (row) => metaRow(row, 8))));
    for (const b of [moved, { checkpoint: moved.checkpoint }]) {
      const result = await compare(b === moved ? modelOf(original) : { checkpoint: modelOf(original).checkpoint }, b);
      expect(found(result, 'layers.1.attention.wq.weight').explanation).toMatchObject({ kind: 'rope-permutation', heads: 8, message: `${q} matches after RoPE un-permutation with 8 heads` });
    }
  });
  it('names rows under Hugging Face’s names that are in Meta’s order already, against a llama2.c model', async () => {
    const metaNamed: Readonly<Record<string, string>> = { 'self_attn.q_proj': 'attention.wq', 'self_attn.k_proj': 'attention.wk', 'self_attn.v_proj': 'attention.wv', 'self_attn.o_proj': 'attention.wo', 'mlp.gate_proj': 'feed_forward.w1', 'mlp.up_proj': 'feed_forward.w3', 'mlp.down_proj': 'feed_forward.w2', input_layernorm: 'attention_norm', post_attention_layernorm: 'ffn_norm', 'model.embed_tokens': 'tok_embeddings', lm_head: 'output' };
    const meta = modelOf(original, 'f32', (name) => Object.entries(metaNamed).reduce((text, [from, to]) => text.replace(from, to), name).replace('model.', ''));
    const result = await compare(meta, modelOf(original));
    expect(differing(result)).toEqual([0, 1].flatMap((n) => [`layers.${n}.attention.wq.weight`, `layers.${n}.attention.wk.weight`]));
    expect(found(result, 'layers.0.attention.wk.weight').explanation).toMatchObject({ kind: 'rope-permutation', heads: 4, message: `the rows of ${k} are in Meta’s order already: it matches as it is stored` });
  });
  it('names k rows that were un-permuted with the heads of q, as llama2.c’s export.py does from Hugging Face', async () => {
    // Right: rows of 4 heads of 8. Upstream: rows of 8 heads of 4.
    const right = modelOf(withChange(k, (values) => rowsMoved(values, 64, (row) => hfRow(row, 8))));
    const upstream = modelOf(withChange(k, (values) => rowsMoved(values, 64, (row) => hfRow(row, 4))));
    expect(found(await compare(right, upstream), 'layers.0.attention.wk.weight').explanation).toMatchObject({ kind: 'rope-permutation', heads: 8, relative: 0, message: `${k} was moved into RoPE’s order with 8 heads, and matches when that is done with 4` });
  });

  it('names gate and up in each other’s place, both ways', async () => {
    const [gate, up] = ['model.layers.0.mlp.gate_proj.weight', 'model.layers.0.mlp.up_proj.weight'] as const;
    const swapped: Weights = new Map([...original].map(([name, values]) => [name, name === gate ? original.get(up)! : name === up ? original.get(gate)! : values]));
    const result = await compare(modelOf(original), modelOf(swapped));
    expect(differing(result)).toEqual(['layers.0.feed_forward.w1.weight', 'layers.0.feed_forward.w3.weight']);
    expect(found(result, 'layers.0.feed_forward.w1.weight').explanation).toEqual({ kind: 'swapped', with: up, relative: 0, message: `${up} is what matches: the two are in each other’s place` });
    expect(found(result, 'layers.0.feed_forward.w3.weight').explanation).toMatchObject({ kind: 'swapped', with: gate });
  });
  it('names the same weight of another layer, and norms of one layer', async () => {
    const [first, second] = ['model.layers.0.self_attn.o_proj.weight', 'model.layers.1.self_attn.o_proj.weight'] as const;
    const [input, post] = ['model.layers.1.input_layernorm.weight', 'model.layers.1.post_attention_layernorm.weight'] as const;
    const pairs = new Map([[first, second], [second, first], [input, post], [post, input]] as const);
    const result = await compare(modelOf(original), modelOf(new Map([...original].map(([name]) => [name, original.get(pairs.get(name as typeof first) ?? name)!]))));
    expect(found(result, 'layers.0.attention.wo.weight').explanation).toMatchObject({ kind: 'swapped', with: second });
    expect(found(result, 'layers.1.ffn_norm.weight').explanation).toMatchObject({ kind: 'swapped', with: input });
  });

  it('names a transposed wo, square or not', async () => {
    const transposed = (values: Float32Array, rows: number, columns: number) => values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
    const square = await compare(modelOf(original), modelOf(withChange(o, (values) => transposed(values, 64, 64))));
    expect(found(square, 'layers.0.attention.wo.weight').explanation).toEqual({ kind: 'transposed', relative: 0, message: `${o} matches when transposed` });
    const down = 'model.layers.0.mlp.down_proj.weight';
    const b = modelOf(original);
    const tensors = b.checkpoint.tensors.map((tensor) => (tensor.name === down ? tensorOf(down, [96, 64], transposed(original.get(down)!, 64, 96), 'f32') : tensor));
    const result = await compare(modelOf(original), { checkpoint: { ...b.checkpoint, tensors } });
    expect(found(result, 'layers.0.feed_forward.w2.weight')).toMatchObject({ a: { shape: [64, 96] }, b: { shape: [96, 64] }, explanation: { kind: 'transposed' } });
    expect(result.verdict).toBe('different');
  });

  it('holds q4_0 against f16 to the error bound of its codec, and counts what lies outside', async () => {
    const result = await compare(modelOf(original, 'f16'), modelOf(original, 'q4_0'));
    const { quantization, difference, explanation } = found(result, 'layers.0.feed_forward.w1.weight');
    expect(quantization).toEqual({ storage: 'Q4_0', exceeding: 0 });
    expect(explanation).toBeUndefined();
    // Sum of two uniform numbers on (−½, ½): rms 0.41, steps of at most 2/16 · (7/8 … 1): rms error about 0.03.
    expect(difference!.snrDb).toBeGreaterThan(17);
    expect(difference!.snrDb).toBeLessThan(26);
    expect(result.verdict).toBe('close');
    const damaged = await compare(modelOf(original, 'f16'), modelOf(withChange(o, (values) => values.map((value, i) => (i === 77 ? value + 0.4 : value))), 'q4_0'));
    expect(found(damaged, 'layers.0.attention.wo.weight').quantization!.exceeding).toBeGreaterThan(0);
    expect(found(damaged, 'layers.0.attention.wq.weight').quantization!.exceeding).toBe(0);
  });
  it('holds llama2.c’s int8 to its bound through other names and rows, on either side', async () => {
    const plan = await planConversion(modelOf(original), 'llama2c-v2');
    const outputs = memoryOutputs();
    await runConversion(plan, outputs);
    const int8 = { checkpoint: (await llama2c.read(memorySource(onlyFileOf(outputs)))).checkpoint! };
    for (const result of [await compare(int8, modelOf(original)), await compare(modelOf(original), int8)]) {
      const matrices = result.tensors.filter(({ a }) => a.shape.length === 2);
      expect(matrices.length).toBe(16);
      expect(matrices.map(({ quantization }) => quantization)).toEqual(matrices.map(() => ({ storage: 'llama2c-q8', exceeding: 0 })));
      expect(result.verdict).toBe('close');
    }
  });

  it('computes the figures of a small example: 3, 4 against 3, 5', async () => {
    const one = (values: number[]): ConvertInput => ({ checkpoint: { format: 'test', variant: 'test', metadata: {}, tensors: [tensorOf('w', [2], Float32Array.from(values), 'f32')] } satisfies Checkpoint });
    const { tensors: [tensor] } = await compare(one([3, 4]), one([3, 5]));
    expect(tensor!.difference).toEqual({ equal: false, maxAbs: 1, rmse: Math.sqrt(1 / 2), relative: expect.closeTo(1 / 5, 12) as number, snrDb: expect.closeTo(20 * Math.log10(5), 10) as number, cosine: expect.closeTo(29 / (5 * Math.sqrt(34)), 12) as number, nonFinite: 0 });
    expect((await compare(one([3, Number.NaN]), one([3, Number.NaN]))).tensors[0]!.difference).toMatchObject({ equal: true, nonFinite: 1, maxAbs: 0 });
    expect((await compare(one([3, Number.NaN]), one([3, 4]))).verdict).toBe('different');
    expect((await compare(one([0, 0]), one([1, 0]))).tensors[0]!.difference).toMatchObject({ relative: null, snrDb: null, cosine: null });
  });
  it('lists what is missing, extra, of another shape and configured otherwise; a tied classifier is the embedding', async () => {
    const lacking = new Map([...original].filter(([name]) => name !== o));
    const more = { ...modelOf(lacking), beside: { config: { ...config, rope_theta: 5e5 } } };
    const result = await compare(modelOf(original), more);
    expect([result.missing, result.extra, result.verdict]).toEqual([['layers.0.attention.wo.weight'], [], 'different']);
    expect((await compare(more, modelOf(original))).extra).toEqual(['layers.0.attention.wo.weight']);
    expect(result.configuration).toEqual([{ field: 'ropeTheta', a: 10000, b: 500000 }]);
    const tied = new Map([...original].filter(([name]) => name !== 'lm_head.weight'));
    const untied = new Map([...original, ['lm_head.weight', original.get('model.embed_tokens.weight')!]]);
    expect((await compare({ ...modelOf(tied), beside: { config: { ...config, tie_word_embeddings: true } } }, modelOf(untied))).verdict).toBe('equal');
  });
  it('compares bytes where a type has no codec', async () => {
    const codes = (values: number[]): ConvertInput => ({ checkpoint: { format: 'test', variant: 'test', metadata: {}, tensors: [{ name: 'w', dtype: dtype('I8'), shape: [2], location: { source: memorySource(Uint8Array.from(values)), offset: 0, length: 2 } }] } });
    expect((await compare(codes([1, 2]), codes([1, 2]))).verdict).toBe('equal');
    expect((await compare(codes([1, 2]), codes([1, 3]))).verdict).toBe('different');
  });
  it('stops when it is aborted', async () => {
    const controller = new AbortController();
    const running = compare(modelOf(original), modelOf(original), { signal: controller.signal, progress: () => controller.abort(new Error('enough')) });
    await expect(running).rejects.toThrow('enough');
  });
});
