import { readFileSync } from 'node:fs';
import { codecOf } from '@weightspec/codecs';
import { findTensor, readTensor, type Checkpoint } from '@weightspec/core';
import { loadModel, logits } from '@weightspec/engine';
import { memorySink, memorySource } from '@weightspec/io';
import { sharedData } from '@weightspec/oracles';
import { safetensors } from '@weightspec/safetensors';
import { writeSharded } from '@weightspec/sharded-index';
import { torchCheckpoint, writeTorch } from '@weightspec/torch-checkpoint';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeanOfRelativeRows, migrationScale, paperScale, readStatistics, smoothQuant, withoutMigrationScales, writeStatistics } from './index.js';
import { bytesTensor, checkpointOf, llamaShapes, numbersFrom, qwen1Shapes, tensorOf, tinyModel, type TinyModel } from './testing/tiny-model.js';

const folder = sharedData('smoothquant/golden.json') && sharedData('smoothquant');
const fileOf = (name: string): Buffer => readFileSync(`${folder}/${name}`);
const json = (name: string) => JSON.parse(fileOf(name).toString()) as unknown;

async function opened(name: string): Promise<Checkpoint> {
  const format = name.endsWith('.safetensors') ? safetensors : torchCheckpoint;
  const { checkpoint, diagnostics } = await format.read(memorySource(fileOf(name), name));
  if (!checkpoint) throw new Error(JSON.stringify(diagnostics));
  return checkpoint;
}
const floats = async (checkpoint: Checkpoint, name: string): Promise<Float32Array> => {
  const tensor = findTensor(checkpoint, name);
  return codecOf(tensor.dtype).dequantize(await readTensor(tensor));
};
const codesIn = async (checkpoint: Checkpoint, name: string): Promise<Int8Array> => new Int8Array((await readTensor(findTensor(checkpoint, name))).slice().buffer);

interface Golden {
  readonly paper_example: { readonly alpha: number; readonly act_absmax: number[]; readonly weight_absmax: number[]; readonly s: number[]; readonly X: number[][]; readonly W_in_out: number[][]; readonly X_smoothed: number[][]; readonly W_smoothed: number[][]; readonly XW: number[][] };
  readonly eval_prompts: number[][];
  readonly total_size: number;
}
const golden = folder ? (json('golden.json') as Golden) : undefined;

describe.skipIf(!folder)('smoothQuant of the collection’s model', () => {
  const exported = async (stats = 'inputs_stats.pth') => smoothQuant(await opened('original_f32.safetensors'), await readStatistics(await opened(stats)));

  it.each(['inputs_stats.pth', 'act_absmax_f16.safetensors'])('gives LMDeploy’s codes, scales, migration scales and halves bit for bit, from %s', async (stats) => {
    const ours = await exported(stats);
    const theirs = await opened('quantized.safetensors');
    expect(new Set(ours.tensors.map(({ name }) => name))).toEqual(new Set(theirs.tensors.map(({ name }) => name)));
    for (const tensor of theirs.tensors) {
      const own = findTensor(ours, tensor.name);
      expect([tensor.name, own.dtype.name, own.shape]).toEqual([tensor.name, tensor.dtype.name, tensor.shape]);
      expect([tensor.name, Buffer.compare(await readTensor(own), await readTensor(tensor))]).toEqual([tensor.name, 0]);
    }
  });
  it('gives the three .bin shards byte for byte, in the order of the export', async () => {
    const ours = await exported();
    const names = [1, 2, 3].map((k) => `pytorch_model-0000${k}-of-00003`);
    const inShards = await Promise.all(names.map((name) => opened(`${name}.bin`)));
    expect(ours.tensors.map(({ name }) => name)).toEqual(inShards.flatMap(({ tensors }) => tensors.map(({ name }) => name)));
    for (const [k, name] of names.entries()) {
      const sink = memorySink();
      await writeTorch(inShards[k]!.tensors.map((tensor) => findTensor(ours, tensor.name)), sink, { flavor: 'torch-1.13', archiveName: name });
      expect([name, Buffer.compare(sink.bytes(), fileOf(`${name}.bin`))]).toEqual([name, 0]);
    }
  });
  it('gives the index byte for byte, whose total_size counts the scales', async () => {
    const files = new Map<string, ReturnType<typeof memorySink>>();
    const open = (name: string) => {
      const sink = memorySink();
      files.set(name, sink);
      return sink;
    };
    const written = await writeSharded(await exported(), { kind: 'torch', torchFlavor: 'torch-1.13', shardSizeBytes: 90_000, open });
    expect(written.totalSize).toBe(golden!.total_size);
    // The collection's lacks the line feed with which transformers ends an index.
    expect(Buffer.from(files.get('pytorch_model.bin.index.json')!.bytes()).toString()).toBe(`${fileOf('pytorch_model.bin.index.json').toString()}\n`);
  });
  it('writes inputs_stats.pth byte for byte', async () => {
    const sink = memorySink();
    await writeStatistics(await readStatistics(await opened('inputs_stats.pth')), sink);
    expect(Buffer.compare(sink.bytes(), fileOf('inputs_stats.pth'))).toBe(0);
  });
});

/**
 * The bound: f32 and f64 forwards of this model differ by less than 1e-5; an activation that rounds to the other side of a half step would show
 * as more than 1e-3, so 1e-4 tells the two apart. The largest logit is 12.
 */
const LOGITS_BOUND = 1e-4;

describe.skipIf(!folder)('the engine on an export', () => {
  const largestDifference = async (checkpoint: Checkpoint, kind: string): Promise<number> => {
    const model = await loadModel(checkpoint, { beside: { config: json('config.json') } });
    const expected = await opened('golden_logits.safetensors');
    let worst = 0;
    for (const [i, tokens] of golden!.eval_prompts.entries()) {
      const rows = await floats(expected, `p${i}.${kind}`);
      const own = await logits(model, tokens, { all: true });
      expect(own.length).toBe(rows.length);
      own.forEach((value, k) => (worst = Math.max(worst, Math.abs(value - rows[k]!))));
    }
    return worst;
  };
  /** The int8 weights with activations in float. */
  const weightOnly = (checkpoint: Checkpoint): Checkpoint => ({
    ...checkpoint,
    packed: checkpoint.tensors.filter(({ dtype: { name } }) => name === 'I8').map(({ name, shape }) => ({ name, scheme: 'llama2c-q8', shape, groupSize: shape[1]!, parts: { values: name, scales: name.replace('.weight', '.scale') } })),
  });
  /** What dividing activations by the migration scale again amounts to: the norm before is divided twice. */
  const dividedTwice = async (checkpoint: Checkpoint): Promise<Checkpoint> => ({
    ...checkpoint,
    tensors: await Promise.all(checkpoint.tensors.map(async (tensor) => {
      const layer = /^(.*\.)input_layernorm\.weight$/.exec(tensor.name)?.[1];
      if (layer === undefined) return tensor;
      const scale = await floats(checkpoint, `${layer}self_attn.q_proj.migration_scale`);
      return tensorOf(tensor.name, tensor.shape, [...(await floats(checkpoint, tensor.name))].map((value, i) => value / scale[i]!));
    })),
  });

  it('has the golden logits with int8 activations', async () => {
    expect(await largestDifference(await opened('quantized.safetensors'), 'w8a8')).toBeLessThan(LOGITS_BOUND);
  });
  it('has the golden logits of a model that was just smoothed and never written', async () => {
    const own = await smoothQuant(await opened('original_f32.safetensors'), await readStatistics(await opened('inputs_stats.pth')));
    expect(await largestDifference(own, 'w8a8')).toBeLessThan(LOGITS_BOUND);
  });
  it('computes the same without migration scales', async () => {
    const bare = withoutMigrationScales(await opened('quantized.safetensors'));
    expect(bare.tensors.some(({ name }) => name.includes('migration'))).toBe(false);
    expect(await largestDifference(bare, 'w8a8')).toBeLessThan(LOGITS_BOUND);
  });
  it('is wrong when activations are divided by a migration scale that is fused already', async () => {
    const exported = await opened('quantized.safetensors');
    expect(await largestDifference(await dividedTwice(exported), 'w8a8')).toBeGreaterThan(1);
  });
  it('has the golden logits of the original, and of the weights alone; those of int8 activations are others', async () => {
    const exported = await opened('quantized.safetensors');
    expect(await largestDifference(await opened('original_f32.safetensors'), 'fp')).toBeLessThan(LOGITS_BOUND);
    expect(await largestDifference(weightOnly(exported), 'w8_dequant')).toBeLessThan(LOGITS_BOUND);
    expect(await largestDifference(weightOnly(exported), 'w8a8')).toBeGreaterThan(0.1);
  });
});

describe('paperScale', () => {
  it.skipIf(!golden)('smooths the worked example: s = [1, 4, 1, 3], and the product stays', () => {
    const { alpha, act_absmax: a, weight_absmax: w, s, X, W_in_out: W, X_smoothed: smoothX, W_smoothed: smoothW, XW } = golden!.paper_example;
    expect(paperScale(a, w, alpha)).toEqual(s);
    expect(X.map((row) => row.map((value, j) => value / s[j]!))).toEqual(smoothX);
    expect(W.map((row, j) => row.map((value) => value * s[j]!))).toEqual(smoothW);
    const product = (x: number[][], weights: number[][]) => x.map((row) => weights[0]!.map((_, o) => row.reduce((sum, value, j) => sum + value * weights[j]![o]!, 0)));
    expect([product(X, W), product(smoothX, smoothW)]).toEqual([XW, XW]);
  });
  it('is twice what LMDeploy makes of the same numbers, which is normalized by √(4 · 1)', () => {
    expect([...migrationScale(Float32Array.of(2, 16, 2, 9), Float32Array.of(2, 1, 2, 1))]).toEqual([0.5, 2, 0.5, 1.5]);
  });
  it('throws RangeError for lengths that differ and an α outside 0 … 1', () => {
    expect(() => paperScale([1], [1, 2])).toThrow(RangeError);
    expect(() => paperScale([1], [1], 1.5)).toThrow(RangeError);
  });
});

describe('migrationScale', () => {
  const a = Float32Array.of(4, 1, 16, 9);
  const w = Float32Array.of(0.25, 1, 0.0625, 0.5);
  it('is normalized: max · min = 1', () => {
    const scale = migrationScale(a, w);
    expect(Math.max(...scale) * Math.min(...scale)).toBeCloseTo(1, 6);
    expect(scale[2]! / scale[1]!).toBeCloseTo(16, 5);
  });
  it.each([[0, [4, 1, 16, 2], 4], [1, [4, 1, 16, 9], 4], [0.25, [4 ** 0.25 * 4 ** 0.75, 1, 16, 9 ** 0.25 * 2 ** 0.75], 4]])('α = %d', (alpha, ratios, center) => {
    [...migrationScale(a, w, { alpha })].forEach((value, j) => expect(value).toBeCloseTo(ratios[j]! / center, 5));
  });
  it('is 1 where the norm is 0, and leaves those places out of the normalization', () => {
    const scale = migrationScale(Float32Array.of(4, 1, 1e6), Float32Array.of(1, 1, 1), { norm: Float32Array.of(1, 1, 0) });
    expect([...scale].map((value) => Math.round(value * 1e6) / 1e6)).toEqual([1.414214, 0.707107, 1]);
  });
  it('is 1 for a column of zeros, where upstream spoils the whole group', () => {
    expect([...migrationScale(Float32Array.of(4, 1, 3, 0), Float32Array.of(1, 1, 0, 0))].map((value) => Math.round(value * 1e6) / 1e6)).toEqual([1.414214, 0.707107, 1, 1]);
  });
  it('clamps at 1e-4 before it is normalized', () => {
    const [small, large] = migrationScale(Float32Array.of(0, 1), Float32Array.of(1, 1));
    expect(large! / small!).toBeCloseTo(1e4, 0);
  });
  it('throws RangeError for lengths that differ and an α outside 0 … 1', () => {
    expect(() => migrationScale(a, Float32Array.of(1))).toThrow(RangeError);
    for (const alpha of [-0.1, 1.1, Number.NaN]) expect(() => migrationScale(a, w, { alpha })).toThrow(RangeError);
  });
});

describe('MeanOfRelativeRows', () => {
  it.each([1, 15, 16, 17, 255, 256, 257, 5000])('is the mean of %d rows within 20 roundings', (rows) => {
    const random = numbersFrom(rows);
    const values = Float32Array.from({ length: 3 * rows }, () => random());
    const mean = new MeanOfRelativeRows(3);
    for (let row = 0; row < rows; row++) mean.add(values, 3 * row);
    const expected = [0, 0, 0];
    for (let row = 0; row < rows; row++) {
      const magnitudes = [...values.subarray(3 * row, 3 * row + 3)].map(Math.abs);
      magnitudes.forEach((value, j) => (expected[j]! += value / Math.max(...magnitudes) / rows));
    }
    // At most 16 additions a level in four levels lie in the way of a term; they are all positive.
    mean.mean().forEach((value, j) => expect(Math.abs(value / expected[j]! - 1)).toBeLessThan(68 * 2 ** -24));
  });
  it('counts a row of zeros as zeros', () => {
    const mean = new MeanOfRelativeRows(2);
    mean.add(Float32Array.of(2, 1, 0, 0), 0);
    mean.add(Float32Array.of(2, 1, 0, 0), 2);
    expect([...mean.mean()]).toEqual([0.5, 0.25]);
  });
});

const tinyShape = { dim: 8, hidden: 12, kv: 8, vocab: 6, layers: 2 };
const shape = (model: TinyModel, name: string) => findTensor(model.checkpoint, name).shape;

/** W′ in float64 from the original's numbers and the export's migration scales, written apart from the code under test. */
async function smoothedWeight(model: TinyModel, exported: Checkpoint, name: string, multiplyBy: string | undefined, divideBy: string | undefined, firstDivided = 0): Promise<number[]> {
  const columns = shape(model, name).at(-1)!;
  const times = multiplyBy === undefined ? undefined : await floats(exported, `${multiplyBy}.migration_scale`);
  const by = divideBy === undefined ? undefined : await floats(exported, `${divideBy}.migration_scale`);
  return model.values.get(name)!.map((value, i) => {
    const row = Math.floor(i / columns) - firstDivided;
    return (value * (times?.[i % columns] ?? 1)) / (row >= 0 ? (by?.[row] ?? 1) : 1);
  });
}
/** Largest distance of a weight from `expected`, in steps. */
async function worstSteps(exported: Checkpoint, name: string, expected: readonly number[]): Promise<number> {
  const codes = await codesIn(exported, name);
  const scales = await floats(exported, name.replace('.weight', '.scale'));
  const columns = codes.length / scales.length;
  return expected.reduce((worst, value, i) => {
    const scale = scales[Math.floor(i / columns)]!;
    return Math.max(worst, Math.abs(codes[i]! * scale - value) / scale);
  }, 0);
}
const HALF = 0.5 + 2 ** -15;

describe('smoothQuant', () => {
  it('multiplies columns, divides the rows before, and keeps the product with every norm', async () => {
    const model = tinyModel(llamaShapes(tinyShape));
    const exported = await smoothQuant(model.checkpoint, model.statistics);
    const at = 'model.layers.1.';
    for (const [name, times, by] of [['self_attn.q_proj', 'self_attn.q_proj', undefined], ['self_attn.v_proj', 'self_attn.v_proj', 'self_attn.o_proj'], ['self_attn.o_proj', 'self_attn.o_proj', undefined], ['mlp.gate_proj', 'mlp.up_proj', undefined], ['mlp.up_proj', 'mlp.gate_proj', 'mlp.down_proj']] as const) {
      const expected = await smoothedWeight(model, exported, `${at}${name}.weight`, `${at}${times}`, by && `${at}${by}`);
      expect(await worstSteps(exported, `${at}${name}.weight`, expected)).toBeLessThanOrEqual(HALF);
    }
    const scale = await floats(exported, `${at}self_attn.k_proj.migration_scale`);
    const norm = await floats(exported, `${at}input_layernorm.weight`);
    model.values.get(`${at}input_layernorm.weight`)!.forEach((value, j) => expect(Math.abs((norm[j]! * scale[j]!) / value - 1)).toBeLessThan(2 ** -11 + 2 ** -22));
    const [bias, divisor] = [await floats(exported, `${at}self_attn.v_proj.bias`), await floats(exported, `${at}self_attn.o_proj.migration_scale`)];
    model.values.get(`${at}self_attn.v_proj.bias`)!.forEach((value, j) => expect(Math.abs(bias[j]! - value / divisor[j]!)).toBeLessThanOrEqual((2 ** -11 + 2 ** -22) * Math.abs(value / divisor[j]!) + 2 ** -25));
    expect([...(await floats(exported, `${at}self_attn.q_proj.bias`))].map((value, j) => Math.abs(value - model.values.get(`${at}self_attn.q_proj.bias`)![j]!) < 2 ** -11)).not.toContain(false);
  });
  it('leaves v → o out for grouped queries: o has no migration scale, and v is not divided', async () => {
    const model = tinyModel(llamaShapes({ ...tinyShape, kv: 4 }));
    const exported = await smoothQuant(model.checkpoint, model.statistics);
    const at = 'model.layers.0.self_attn.';
    const names = new Set(exported.tensors.map(({ name }) => name));
    expect(['q', 'k', 'v', 'o'].filter((part) => names.has(`${at}${part}_proj.migration_scale`))).toEqual(['q', 'k', 'v']);
    expect(await worstSteps(exported, `${at}v_proj.weight`, await smoothedWeight(model, exported, `${at}v_proj.weight`, `${at}k_proj`, undefined))).toBeLessThanOrEqual(HALF);
    expect(await worstSteps(exported, `${at}o_proj.weight`, model.values.get(`${at}o_proj.weight`)!)).toBeLessThanOrEqual(HALF);
  });
  it('divides the last third of Qwen’s packed c_attn and of its bias alone', async () => {
    const model = tinyModel(qwen1Shapes(tinyShape));
    const exported = await smoothQuant(model.checkpoint, model.statistics);
    const at = 'transformer.h.0.attn.';
    const expected = await smoothedWeight(model, exported, `${at}c_attn.weight`, `${at}c_attn`, `${at}c_proj`, 16);
    expect(await worstSteps(exported, `${at}c_attn.weight`, expected)).toBeLessThanOrEqual(HALF);
    const bias = await floats(exported, `${at}c_attn.bias`);
    const divisors = await floats(exported, `${at}c_proj.migration_scale`);
    model.values.get(`${at}c_attn.bias`)!.forEach((value, j) => expect(Math.abs(bias[j]! * (j < 16 ? 1 : divisors[j - 16]!) - value)).toBeLessThanOrEqual(2 ** -11 * Math.abs(value) + 2 ** -24));
    expect(await worstSteps(exported, 'transformer.h.1.mlp.w1.weight', await smoothedWeight(model, exported, 'transformer.h.1.mlp.w1.weight', 'transformer.h.1.mlp.w2', 'transformer.h.1.mlp.c_proj'))).toBeLessThanOrEqual(HALF);
  });
  it('gives a row of zeros scale 0 and codes 0', async () => {
    const model = tinyModel(llamaShapes(tinyShape), 3, (name, values) => (name.endsWith('0.mlp.gate_proj.weight') ? values.map((value, i) => (i < 8 ? 0 : value)) : values));
    const exported = await smoothQuant(model.checkpoint, model.statistics);
    expect((await floats(exported, 'model.layers.0.mlp.gate_proj.scale'))[0]).toBe(0);
    expect([...(await codesIn(exported, 'model.layers.0.mlp.gate_proj.weight'))].slice(0, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });
  it('can leave migration scales out', async () => {
    const { checkpoint, statistics } = tinyModel(llamaShapes(tinyShape));
    const names = (result: Checkpoint) => result.tensors.map(({ name }) => name);
    expect(names(await smoothQuant(checkpoint, statistics, { withoutMigrationScales: true }))).toEqual(names(withoutMigrationScales(await smoothQuant(checkpoint, statistics))));
  });
  it('reads at most 2^18 elements at a time, each matrix twice, and says how far it is', async () => {
    const model = tinyModel(llamaShapes({ ...tinyShape, hidden: 40_000 }));
    const reads: number[] = [];
    const tensors = model.checkpoint.tensors.map(({ name, shape: dims }) => tensorOf(name, dims, model.values.get(name)!, (length) => reads.push(length)));
    const seen: (readonly [number, number])[] = [];
    const exported = await smoothQuant(checkpointOf(tensors), model.statistics, { progress: (done, total) => seen.push([done, total]) });
    expect(Math.max(...reads)).toBe(4 * 2 ** 18);
    expect(seen.at(-1)![0]).toBe(seen.at(-1)![1]);
    expect(reads.reduce((sum, length) => sum + length, 0)).toBeLessThan(1.01 * seen.at(-1)![1]);
    // Any range of the result can be read alone.
    const weight = findTensor(exported, 'model.layers.0.mlp.down_proj.weight');
    const whole = await readTensor(weight);
    expect([...(await weight.location.source.read(39_990, 20))]).toEqual([...whole.subarray(39_990, 40_010)]);
    const norm = findTensor(exported, 'model.norm.weight');
    expect([...(await norm.location.source.read(3, 4))]).toEqual([...(await readTensor(norm)).subarray(3, 7)]);
    await expect(norm.location.source.read(3, 400)).rejects.toThrow(RangeError);
  });
  it('stops when its signal is aborted', async () => {
    const { checkpoint, statistics } = tinyModel(llamaShapes(tinyShape));
    const reason = new Error('enough');
    await expect(smoothQuant(checkpoint, statistics, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe('what cannot be smoothed', () => {
  const model = tinyModel(llamaShapes(tinyShape));
  const attempt = (change: (tensors: Checkpoint['tensors'], statistics: Map<string, Float32Array>) => Checkpoint['tensors']) => {
    const statistics = new Map(model.statistics);
    const tensors = change(model.checkpoint.tensors, statistics);
    return smoothQuant(checkpointOf(tensors), statistics);
  };
  it('runs unchanged: the control', async () => {
    await expect(attempt((tensors) => tensors)).resolves.toBeDefined();
  });
  it.each<readonly [string, RegExp, (tensors: Checkpoint['tensors'], statistics: Map<string, Float32Array>) => Checkpoint['tensors']]>([
    ['missing statistics', /^SMOOTHQUANT_STATISTICS: there are no statistics of model\.layers\.0\.mlp\.down_proj$/, (tensors, statistics) => (statistics.delete('model.layers.0.mlp.down_proj'), tensors)],
    ['statistics of another width', /^SMOOTHQUANT_STATISTICS: the statistics of model\.layers\.1\.self_attn\.k_proj have 3 channels; the layer has 8$/, (tensors, statistics) => (statistics.set('model.layers.1.self_attn.k_proj', new Float32Array(3)), tensors)],
    ['Meta’s names', /^SMOOTHQUANT_ORIGINAL: no tensor is named like/, () => [tensorOf('layers.0.attention.wq.weight', [2, 2], [1, 2, 3, 4])]],
    ['a missing layer', /SMOOTHQUANT_ORIGINAL: there is no tensor model\.layers\.0\.mlp\.up_proj\.weight/, (tensors) => tensors.filter(({ name }) => name !== 'model.layers.0.mlp.up_proj.weight')],
    ['a layer that nobody knows', /^SMOOTHQUANT_ORIGINAL: model\.layers\.0\.mlp\.router\.weight is no layer/, (tensors) => [...tensors, tensorOf('model.layers.0.mlp.router.weight', [2, 2], [1, 2, 3, 4])]],
    ['a weight that is quantized already', /SMOOTHQUANT_ORIGINAL: model\.layers\.0\.mlp\.up_proj\.weight is I8/, (tensors) => tensors.map((tensor) => (tensor.name === 'model.layers.0.mlp.up_proj.weight' ? bytesTensor(tensor.name, tensor.shape, 'I8', new Uint8Array(96)) : tensor))],
    ['strides', /SMOOTHQUANT_ORIGINAL: model\.layers\.0\.mlp\.up_proj\.weight is F32 \[12, 8\] with strides/, (tensors) => tensors.map((tensor) => (tensor.name === 'model.layers.0.mlp.up_proj.weight' ? { ...tensor, strides: [1, 12] } : tensor))],
    ['a NaN', /^SMOOTHQUANT_ORIGINAL: a smoothed weight of model\.layers\.0\.mlp\.down_proj\.weight is NaN/, (tensors) => tensors.map((tensor) => (tensor.name === 'model.layers.0.mlp.down_proj.weight' ? tensorOf(tensor.name, tensor.shape, [Number.NaN, ...model.values.get(tensor.name)!.slice(1)]) : tensor))],
  ])('%s', async (_, message, change) => {
    await expect(attempt(change)).rejects.toThrow(message);
  });
  it('says when a norm does not fit f16 (CODEC_VALUE_OVERFLOW)', async () => {
    const huge = await attempt((tensors) => tensors.map((tensor) => (tensor.name === 'model.norm.weight' ? tensorOf(tensor.name, [8], [1, 2, 3, 70_000, 5, 6, 7, 8]) : tensor)));
    await expect(readTensor(findTensor(huge, 'model.norm.weight'))).rejects.toThrow(/CODEC_VALUE_OVERFLOW: model\.norm\.weight: element 3/);
  });
});

describe('readStatistics', () => {
  it('takes absmax alone where there are other statistics', async () => {
    const found = await readStatistics(checkpointOf([tensorOf('absmax.a', [2], [1, 2]), tensorOf('mean.a', [2], [-1, -2])]));
    expect([...found]).toEqual([['a', Float32Array.of(1, 2)]]);
  });
  it.each([['negative', [-1, 2]], ['NaN', [Number.NaN, 2]], ['infinite', [1, Infinity]]])('refuses magnitudes that are %s (SMOOTHQUANT_STATISTICS)', async (_, values) => {
    await expect(readStatistics(checkpointOf([tensorOf('a', [2], values)]))).rejects.toThrow(/^SMOOTHQUANT_STATISTICS: a has/);
  });
  it('refuses matrices and integers (SMOOTHQUANT_STATISTICS)', async () => {
    await expect(readStatistics(checkpointOf([tensorOf('a', [2, 1], [1, 2]), bytesTensor('b', [2], 'I8', new Uint8Array(2))]))).rejects.toThrow(/a is F32 \[2, 1\].*\n.*b is I8 \[2\]/);
  });
  it('reads what was written, rounded to f16', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.double({ min: 0, max: 60_000, noNaN: true }), { minLength: 1, maxLength: 8 }), async (numbers) => {
        const sink = memorySink();
        await writeStatistics(new Map([['model.layers.0.self_attn.q_proj', Float32Array.from(numbers)]]), sink);
        const { checkpoint } = await torchCheckpoint.read(memorySource(sink.bytes()));
        const [[layer, values] = ['', undefined]] = [...(await readStatistics(checkpoint!))];
        expect(layer).toBe('model.layers.0.self_attn.q_proj');
        numbers.forEach((value, i) => expect(Math.abs(values![i]! - Math.fround(value))).toBeLessThanOrEqual(Math.max(2 ** -11 * value, 2 ** -25)));
      }),
      { numRuns: 50, seed: 7 },
    );
  });
});
