import { describe, expect, it } from 'vitest';
import { byteLength, dtype, elementCount, type ByteSource, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { decoderProgram, lmdeployInt8Weights, modelOf, type DecoderConfig } from './index.js';

const config: DecoderConfig = {
  architecture: 'llama', dim: 8, hiddenDim: 12, layers: 2, heads: 4, kvHeads: 2, headDim: 2, vocabSize: 10, maxSeqLen: 16,
  normEps: Math.fround(1e-5), ropeTheta: 10000, ropeStyle: 'interleaved', tiedEmbeddings: true,
};
const source: ByteSource = { name: 'nothing', size: 0, read: () => Promise.reject(new Error('modelOf must not read tensor bytes')) };

function tensor(name: string, shape: readonly number[], type = 'F32'): TensorInfo {
  return { name, dtype: dtype(type), shape, location: { source, offset: 0, length: byteLength(dtype(type), elementCount(shape)) } };
}

/** Names and shapes as a llama2.c file has them, written out here rather than taken from the code under test. */
function checkpoint({ shared = true } = {}): Checkpoint & { tensors: TensorInfo[] } {
  const [d, h, kv, vocab] = [8, 12, 4, 10];
  const layer = (n: number): TensorInfo[] => [
    tensor(`layers.${n}.attention_norm.weight`, [d]), tensor(`layers.${n}.attention.wq.weight`, [d, d]), tensor(`layers.${n}.attention.wk.weight`, [kv, d]),
    tensor(`layers.${n}.attention.wv.weight`, [kv, d]), tensor(`layers.${n}.attention.wo.weight`, [d, d]), tensor(`layers.${n}.ffn_norm.weight`, [d]),
    tensor(`layers.${n}.feed_forward.w1.weight`, [h, d]), tensor(`layers.${n}.feed_forward.w2.weight`, [d, h]), tensor(`layers.${n}.feed_forward.w3.weight`, [h, d]),
  ];
  return {
    format: 'llama2c', variant: 'v0',
    metadata: { dim: d, hidden_dim: h, n_layers: 2, n_heads: 4, n_kv_heads: 2, vocab_size: vocab, max_seq_len: 16, shared_classifier: shared },
    tensors: [tensor('tok_embeddings.weight', [vocab, d]), ...layer(0), ...layer(1), tensor('norm.weight', [d]), tensor('freqs_cos', [16, 1]), ...(shared ? [] : [tensor('output.weight', [vocab, d])])],
  };
}

describe('modelOf a llama2.c checkpoint', () => {
  it('has the header’s configuration, and run.c’s constants for what no header stores', () => {
    expect(modelOf(checkpoint()).config).toEqual(config);
  });
  it('finds every weight, and leaves the freq tables alone', () => {
    const { program, weights } = modelOf(checkpoint());
    expect([...weights.keys()]).toEqual(program.weights.map(({ name }) => name));
    expect(weights.size).toBe(20);
    expect(weights.has('freqs_cos')).toBe(false);
  });
  it('uses the embedding or the file’s own classifier for the logits', () => {
    expect(modelOf(checkpoint()).program.ops.at(-1)).toMatchObject({ op: 'matmul', weight: 'tok_embeddings.weight', out: 'logits' });
    expect(modelOf(checkpoint({ shared: false })).program.ops.at(-1)).toMatchObject({ op: 'matmul', weight: 'output.weight', out: 'logits' });
  });
  it('takes packed weights as a whole', () => {
    const file = checkpoint();
    const name = 'layers.1.feed_forward.w2.weight';
    const tensors = [...file.tensors.filter((t) => t.name !== name), tensor(name, [8, 12], 'I8'), tensor(`${name}.scales`, [12])];
    const packed = [{ name, scheme: 'llama2c-q8', shape: [8, 12], parts: { values: name, scales: `${name}.scales` }, groupSize: 8 }];
    const handle = modelOf({ ...file, variant: 'v2', tensors, packed }).weights.get(name);
    expect(handle).toMatchObject({ storage: 'llama2c-q8', groupSize: 8, shape: [8, 12] });
    expect(Object.keys(handle?.parts ?? {})).toEqual(['values', 'scales']);
    expect(() => modelOf({ ...file, tensors: tensors.filter((t) => !t.name.endsWith('.scales')), packed })).toThrow(/^MODEL_WEIGHTS: .*scales/);
  });
  it('lists every missing tensor and wrong shape (MODEL_WEIGHTS)', () => {
    const file = checkpoint();
    const tensors = file.tensors.filter((t) => t.name !== 'norm.weight').map((t) => (t.name === 'layers.0.attention.wk.weight' ? tensor(t.name, [8, 4]) : t));
    expect(() => modelOf({ ...file, tensors })).toThrow('MODEL_WEIGHTS: layers.0.attention.wk.weight is [8, 4], not [4, 8]; there is no tensor norm.weight');
  });
  it('lists missing metadata (MODEL_CONFIG)', () => {
    const { dim: _dim, shared_classifier: _shared, ...metadata } = checkpoint().metadata;
    expect(() => modelOf({ ...checkpoint(), metadata })).toThrow(/^MODEL_CONFIG: .*no number dim.*no flag shared_classifier/);
  });
  it('names the formats it knows for one that it does not (MODEL_UNKNOWN_FORMAT)', () => {
    expect(() => modelOf({ ...checkpoint(), format: 'gguf' })).toThrow(/^MODEL_UNKNOWN_FORMAT: .*"gguf".*: llama2c, ggml-qwen$/);
  });
});

describe('modelOf a checkpoint of qwen.cpp', () => {
  /** One layer, h = 64, 2 heads, FFN 96, in Q4_0: 36 bytes a row of 64. */
  const layer = 'transformer.h.0.';
  const shapes: readonly (readonly [string, readonly number[]])[] = [
    ['transformer.wte.weight', [32, 64]], [`${layer}ln_1.weight`, [64]], [`${layer}attn.c_attn.weight`, [192, 64]], [`${layer}attn.c_attn.bias`, [192]], [`${layer}attn.c_proj.weight`, [64, 64]],
    [`${layer}ln_2.weight`, [64]], [`${layer}mlp.w1.weight`, [96, 64]], [`${layer}mlp.w2.weight`, [96, 64]], [`${layer}mlp.c_proj.weight`, [64, 96]], ['transformer.ln_f.weight', [64]], ['lm_head.weight', [32, 64]],
  ];
  const metadata = { vocab_size: 32, hidden_size: 64, num_attention_heads: 2, num_kv_heads: 2, num_hidden_layers: 1, intermediate_size: 192, max_length: 16, eos_token_id: 29, im_start_id: 30, im_end_id: 31 };
  const file: Checkpoint = { format: 'ggml-qwen', variant: 'q4_0', metadata, tensors: shapes.map(([name, shape]) => tensor(name, shape, shape.length === 2 ? 'Q4_0' : 'F32')) };

  it('takes q, k and v, and their biases, as thirds of c_attn where they lie', () => {
    const { weights } = modelOf(file);
    const place = (name: string) => {
      const { shape, parts } = weights.get(`layers.0.attention.${name}`)!;
      return [shape, parts.values?.location.offset, parts.values?.location.length];
    };
    expect(['wq.weight', 'wk.weight', 'wv.weight'].map(place)).toEqual([0, 1, 2].map((third) => [[64, 64], third * 64 * 36, 64 * 36]));
    expect(['wq.bias', 'wk.bias', 'wv.bias'].map(place)).toEqual([0, 1, 2].map((third) => [[64], third * 64 * 4, 64 * 4]));
  });
  it('takes w2 for the gate and w1 for what it gates, the FFN’s width from w1, and stop ids from the header', () => {
    const { config: own, program, weights, stopTokens } = modelOf(file);
    expect(own).toMatchObject({ architecture: 'qwen1', hiddenDim: 96, headDim: 32, normEps: 1e-6, ropeTheta: 10000, ropeStyle: 'halves', tiedEmbeddings: false });
    const swiglu = program.ops.find(({ op }) => op === 'swiglu');
    const storedAs = (out: string) => program.ops.flatMap((op) => (op.op === 'matmul' && op.out === out ? [weights.get(op.weight)?.parts.values?.name] : []));
    expect(swiglu).toMatchObject({ gate: 'gate', up: 'up' });
    expect([storedAs('gate'), storedAs('up')]).toEqual([[`${layer}mlp.w2.weight`], [`${layer}mlp.w1.weight`]]);
    expect(stopTokens).toEqual([29, 30, 31]);
  });
  it('has biases on q, k and v and on nothing else', () => {
    const biased = modelOf(file).program.ops.flatMap((op) => (op.op === 'matmul' && op.bias !== undefined ? [op.bias] : []));
    expect(biased).toEqual(['q', 'k', 'v'].map((part) => `layers.0.attention.w${part}.bias`));
  });
  it('refuses grouped queries (MODEL_CONFIG), and names a c_attn of another shape once (MODEL_WEIGHTS)', () => {
    expect(() => modelOf({ ...file, metadata: { ...metadata, num_kv_heads: 1 } })).toThrow(/^MODEL_CONFIG: .*1 kv heads and 2 heads/);
    const tensors = file.tensors.map((each) => (each.name.endsWith('c_attn.weight') ? tensor(each.name, [128, 64], 'Q4_0') : each));
    expect(() => modelOf({ ...file, tensors })).toThrow(/^MODEL_WEIGHTS: transformer\.h\.0\.attn\.c_attn\.weight is \[128, 64\], not \[192, 64\]$/);
  });
});

describe('LMDeploy’s int8 among plain tensors', () => {
  const pair = [tensor('a.weight', [6, 4], 'I8'), tensor('a.scale', [6, 1], 'F32')];
  it('is recognised by weight and scale, and by nothing less', () => {
    const migration = tensor('a.migration_scale', [4], 'F32');
    expect(lmdeployInt8Weights([...pair, migration])).toEqual([{ name: 'a.weight', scheme: 'lmdeploy-int8', shape: [6, 4], parts: { values: 'a.weight', scales: 'a.scale' } }]);
    expect(lmdeployInt8Weights([pair[0]!, tensor('a.scale', [6], 'F32')])).toEqual([]);
    expect(lmdeployInt8Weights([tensor('a.weight', [6, 4], 'F16'), pair[1]!])).toEqual([]);
    expect(lmdeployInt8Weights([pair[0]!])).toEqual([]);
  });
  it('gives each third of Qwen’s c_attn its own scales', () => {
    const at = 'transformer.h.0.';
    const shapes: readonly (readonly [string, readonly number[]])[] = [['transformer.wte.weight', [8, 4]], [`${at}ln_1.weight`, [4]], [`${at}attn.c_attn.bias`, [12]], [`${at}attn.c_proj.weight`, [4, 4]], [`${at}ln_2.weight`, [4]], [`${at}mlp.w1.weight`, [6, 4]], [`${at}mlp.w2.weight`, [6, 4]], [`${at}mlp.c_proj.weight`, [4, 6]], ['transformer.ln_f.weight', [4]], ['lm_head.weight', [8, 4]]];
    const tensors = [...shapes.map(([name, shape]) => tensor(name, shape, 'F32')), tensor(`${at}attn.c_attn.weight`, [12, 4], 'I8'), tensor(`${at}attn.c_attn.scale`, [12, 1], 'F32')];
    const json = { model_type: 'qwen', hidden_size: 4, intermediate_size: 12, num_hidden_layers: 1, num_attention_heads: 2, kv_channels: 2, vocab_size: 8, layer_norm_epsilon: 1e-6, seq_length: 8 };
    const { weights } = modelOf({ format: 'safetensors', variant: '', metadata: {}, tensors }, { config: json });
    const { storage, shape, parts } = weights.get('layers.0.attention.wk.weight')!;
    expect([storage, shape, parts.values?.location.offset, parts.scales?.location.offset, parts.scales?.location.length]).toEqual(['lmdeploy-int8', [4, 4], 16, 16, 16]);
  });
});

describe('decoderProgram', () => {
  it('is 15 ops a layer, an embedding, a norm and a classifier', () => {
    const { ops, kvWidth } = decoderProgram(config);
    expect(ops).toHaveLength(2 * 15 + 3);
    expect(kvWidth).toBe(4);
    expect(ops.slice(1, 16).map(({ op }) => op).join(' ')).toBe('rmsnorm matmul matmul matmul rope rope attention matmul add rmsnorm matmul matmul swiglu matmul add');
  });
  it.each<readonly [Partial<DecoderConfig>, RegExp]>([
    [{ layers: 0 }, /layers is 0/],
    [{ kvHeads: 3 }, /3 kv heads do not divide 4 heads/],
    [{ headDim: 3 }, /headDim 3 is odd/],
    [{ headDim: 2.5 }, /headDim is 2.5, not a positive integer/],
    [{ ropeTheta: 0 }, /ropeTheta is 0/],
    [{ normEps: Number.NaN }, /normEps is NaN/],
  ])('refuses %o (MODEL_CONFIG)', (change, message) => {
    expect(() => decoderProgram({ ...config, ...change })).toThrow(message);
  });
});
