import { readFileSync } from 'node:fs';
import { codecOf } from '@weightspec/codecs';
import { dtype, findTensor, readTensor, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { sharedData } from '@weightspec/oracles';
import { safetensors } from '@weightspec/safetensors';
import { torchCheckpoint } from '@weightspec/torch-checkpoint';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkSmoothQuant, isSmoothQuant, smoothQuant, smoothquantCodes, withoutMigrationScales } from './index.js';
import { bytesTensor, checkpointOf, llamaShapes, qwen1Shapes, tensorOf, tinyModel, type TinyModel } from './testing/tiny-model.js';

/** Every tensor in memory, so that one can be changed. */
async function inMemory(checkpoint: Checkpoint): Promise<Checkpoint> {
  return checkpointOf(await Promise.all(checkpoint.tensors.map(async (tensor) => bytesTensor(tensor.name, tensor.shape, tensor.dtype.name, await readTensor(tensor)))));
}
const shape = { dim: 8, hidden: 12, kv: 8, vocab: 6, layers: 2 };
const exportOf = async (model: TinyModel) => inMemory(await smoothQuant(model.checkpoint, model.statistics));
const codesOf = async (checkpoint: Checkpoint, original?: Checkpoint, options: object = { deep: true }) => (await checkSmoothQuant(checkpoint, original, options)).diagnostics.map(({ code }) => code);

const at = 'model.layers.0.';
const qProj = `${at}self_attn.q_proj`;

type Change = (tensor: TensorInfo) => Promise<TensorInfo | readonly TensorInfo[]>;
async function changed(checkpoint: Checkpoint, name: string, change: Change): Promise<Checkpoint> {
  findTensor(checkpoint, name);
  return checkpointOf((await Promise.all(checkpoint.tensors.map((tensor) => (tensor.name === name ? change(tensor) : Promise.resolve(tensor))))).flat());
}
const withFloats = (edit: (values: Float32Array) => void): Change => async (tensor) => {
  const values = codecOf(tensor.dtype).dequantize(await readTensor(tensor));
  edit(values);
  return bytesTensor(tensor.name, tensor.shape, tensor.dtype.name, codecOf(tensor.dtype).quantize(values));
};
const withCodes = (edit: (codes: Int8Array) => void): Change => async (tensor) => {
  const codes = new Int8Array((await readTensor(tensor)).slice().buffer);
  edit(codes);
  return bytesTensor(tensor.name, tensor.shape, 'I8', new Uint8Array(codes.buffer));
};

describe('checkSmoothQuant', () => {
  it('finds nothing but the migration scales themselves in any export of any model (SMOOTHQUANT_MIGRATION_SCALES)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1e6 }), fc.constantFrom('llama', 'grouped', 'qwen1'), fc.constantFrom(0, 0.25, 0.5, 1), async (seed, kind, alpha) => {
        const model = tinyModel(kind === 'qwen1' ? qwen1Shapes(shape) : llamaShapes({ ...shape, kv: kind === 'grouped' ? 2 : 8 }), seed);
        const exported = await smoothQuant(model.checkpoint, model.statistics, { alpha });
        expect(isSmoothQuant(exported)).toBe(true);
        expect(await codesOf(exported, model.checkpoint)).toEqual(['SMOOTHQUANT_MIGRATION_SCALES']);
        expect(await codesOf(withoutMigrationScales(exported), model.checkpoint)).toEqual([]);
      }),
      { numRuns: 40, seed: 11 },
    );
  });

  const model = tinyModel(llamaShapes(shape));
  const others = tinyModel(llamaShapes(shape), 2);
  /** One defect each; every one is found by its own code and by no other. */
  type Defect = readonly [code: keyof typeof smoothquantCodes, what: string, name: string, change: Change];
  const defects: readonly Defect[] = [
    ['SMOOTHQUANT_SCALE_MISSING', 'no scale', `${qProj}.scale`, async () => []],
    ['SMOOTHQUANT_SCALE_FORM', 'a scale without its second dimension', `${qProj}.scale`, async (tensor) => ({ ...tensor, shape: [8] })],
    ['SMOOTHQUANT_SCALE_FORM', 'a scale of another length', `${qProj}.scale`, async (tensor) => tensorOf(tensor.name, [7, 1], [1, 1, 1, 1, 1, 1, 1])],
    ['SMOOTHQUANT_SCALE_UNPAIRED', 'a scale of nothing', `${qProj}.scale`, async (tensor) => [tensor, { ...tensor, name: 'model.norm.scale' }]],
    ['SMOOTHQUANT_MIGRATION_FORM', 'a migration scale of another length', `${at}mlp.down_proj.migration_scale`, async (tensor) => tensorOf(tensor.name, [3], [1, 1, 1])],
    ['SMOOTHQUANT_CODE_RANGE', 'a code of −128', `${qProj}.weight`, withCodes((codes) => codes.fill(-128, codes.findIndex((code) => code === -127 || code === 127), 1 + codes.findIndex((code) => code === -127 || code === 127)))],
    ['SMOOTHQUANT_ROW_MAXIMUM', 'a row without 127', `${qProj}.weight`, withCodes((codes) => codes.subarray(8, 16).forEach((code, i, row) => (row[i] = Math.trunc(code / 2))))],
    ['SMOOTHQUANT_ROW_MAXIMUM', 'codes with the scale 0', `${qProj}.scale`, withFloats((values) => (values[3] = 0))],
    ['SMOOTHQUANT_SCALE_VALUE', 'a NaN for a scale', `${qProj}.scale`, withFloats((values) => (values[3] = Number.NaN))],
    ['SMOOTHQUANT_SCALE_VALUE', 'a negative scale', `${qProj}.scale`, withFloats((values) => (values[3]! *= -1))],
    ['SMOOTHQUANT_SCALE_VALUE', 'a migration scale of 0', `${at}mlp.down_proj.migration_scale`, withFloats((values) => (values[3] = 0))],
    ['SMOOTHQUANT_SHARED_SCALE', 'a migration scale of q that is one bit off k’s', `${qProj}.migration_scale`, withFloats((values) => (values[3]! *= 1 + 2 ** -23))],
    ['SMOOTHQUANT_NOT_NORMALIZED', 'a migration scale twice as large', `${at}mlp.down_proj.migration_scale`, withFloats((values) => values.forEach((value, i) => (values[i] = 2 * value)))],
    ['SMOOTHQUANT_MIGRATION_PARTIAL', 'one migration scale less', `${at}mlp.down_proj.migration_scale`, async () => []],
    ['SMOOTHQUANT_LAYER_NOT_QUANTIZED', 'a layer in floats', `${qProj}.weight`, async ({ name, shape: dims }) => ({ ...tensorOf(name, dims, model.values.get(name)!) })],
  ];
  /** The same, for what only the original tells. */
  const differences: readonly Defect[] = [
    ['SMOOTHQUANT_RECONSTRUCTION', 'a code that is one off', `${qProj}.weight`, withCodes((codes) => (codes[codes.findIndex((code) => Math.abs(code) < 100)]! += 1))],
    ['SMOOTHQUANT_NOT_FUSED', 'a norm that was not divided', `${at}input_layernorm.weight`, async ({ name, shape: dims }) => tensorOf(name, dims, model.values.get(name)!)],
    ['SMOOTHQUANT_NOT_FUSED', 'a bias of v that was not divided', `${at}self_attn.v_proj.bias`, async ({ name, shape: dims }) => tensorOf(name, dims, model.values.get(name)!)],
    ['SMOOTHQUANT_KEPT_TENSOR', 'another model’s embedding', 'model.embed_tokens.weight', async ({ name, shape: dims }) => tensorOf(name, dims, others.values.get(name)!)],
    ['SMOOTHQUANT_ORIGINAL_MISMATCH', 'a tensor that the original lacks', 'model.norm.weight', async (tensor) => [tensor, { ...tensor, name: 'model.extra.weight' }]],
    ['SMOOTHQUANT_ORIGINAL_MISMATCH', 'a tensor less', 'model.norm.weight', async () => []],
  ];
  const foundIn = async (name: string, change: Change, original?: Checkpoint) => {
    const found = new Set(await codesOf(await changed(await exportOf(model), name, change), original));
    found.delete('SMOOTHQUANT_MIGRATION_SCALES');
    return [...found].toSorted();
  };
  it.each(defects)('%s: %s', async (code, _, name, change) => {
    // The weight that is left out of int8 leaves its scales behind.
    const expected = code === 'SMOOTHQUANT_LAYER_NOT_QUANTIZED' ? [code, 'SMOOTHQUANT_SCALE_UNPAIRED'] : [code];
    expect(await foundIn(name, change)).toEqual(expected);
  });
  it.each(differences)('%s: %s, seen beside the original alone', async (code, _, name, change) => {
    expect(await foundIn(name, change, model.checkpoint)).toEqual([code]);
    expect(await foundIn(name, change)).toEqual([]);
  });
  it('points at the byte: file, range and tensor', async () => {
    const exported = await changed(await exportOf(model), `${qProj}.scale`, withFloats((values) => (values[3] = Infinity)));
    expect((await checkSmoothQuant(exported)).diagnostics.find(({ code }) => code === 'SMOOTHQUANT_SCALE_VALUE')).toMatchObject({ source: 'tiny model', byteRange: [12, 16], pointer: `/tensors/${qProj}.scale`, severity: 'error' });
  });
  it('has a test for every code of an export', () => {
    const tested = new Set<string>([...defects, ...differences].map(([code]) => code));
    expect(Object.keys(smoothquantCodes).filter((code) => !tested.has(code))).toEqual(['SMOOTHQUANT_MIGRATION_SCALES', 'SMOOTHQUANT_STATISTICS', 'SMOOTHQUANT_ORIGINAL']);
  });

  it('reads the first rows of each weight, and says so, unless it is asked for all', async () => {
    const wide = tinyModel(llamaShapes({ ...shape, hidden: 10_000 }));
    const exported = await exportOf(wide);
    const late = await changed(exported, `${at}mlp.gate_proj.weight`, withCodes((codes) => codes.fill(-128, codes.length - 1)));
    const quick = await checkSmoothQuant(late);
    expect(quick.diagnostics.map(({ code }) => code)).toEqual(['SMOOTHQUANT_MIGRATION_SCALES']);
    expect(quick.notChecked).toEqual(['the int8 weights past their first 64 KiB']);
    expect(await codesOf(late)).toContain('SMOOTHQUANT_CODE_RANGE');
  });
  it('takes one shard for what it is', async () => {
    const exported = await exportOf(model);
    const shard = checkpointOf(exported.tensors.filter(({ name }, i) => i % 3 > 0 && name !== `${qProj}.weight`));
    expect(new Set(await codesOf(shard))).toContain('SMOOTHQUANT_SCALE_MISSING');
    expect(new Set(await codesOf(shard, undefined, { deep: true, partial: true }))).toEqual(new Set(['SMOOTHQUANT_MIGRATION_SCALES']));
  });
  it('allows what rounding in f16 adds when the original is in halves', async () => {
    const halves = tinyModel(llamaShapes(shape), 4, (_, values) => [...codecOf(dtype('F16')).dequantize(codecOf(dtype('F16')).quantize(Float32Array.from(values)))]);
    const original = checkpointOf(await Promise.all(halves.checkpoint.tensors.map(async (tensor) => bytesTensor(tensor.name, tensor.shape, 'F16', codecOf(dtype('F16')).quantize(codecOf(dtype('F32')).dequantize(await readTensor(tensor)))))));
    const exported = await exportOf({ ...halves, checkpoint: original });
    expect(await codesOf(exported, original)).toEqual(['SMOOTHQUANT_MIGRATION_SCALES']);
    expect(await codesOf(exported, others.checkpoint)).toContain('SMOOTHQUANT_RECONSTRUCTION');
  });
  it('never throws, whatever dtypes, shapes and bytes lie under these names', async () => {
    const names = ['weight', 'scale', 'migration_scale', 'bias'].flatMap((part) => [`${qProj}.${part}`, `${at}self_attn.k_proj.${part}`, `${at}self_attn.v_proj.${part}`, `${at}self_attn.o_proj.${part}`, `${at}input_layernorm.${part}`]);
    const dims = fc.constantFrom<readonly number[]>([], [0], [3], [3, 1], [3, 2], [3, 0], [0, 2], [2, 3], [1, 2, 3]);
    const anyTensor = fc.record({ name: fc.constantFrom(...names), shape: dims, type: fc.constantFrom('I8', 'F32', 'F16', 'I64'), fill: fc.integer({ min: 0, max: 255 }), strides: fc.boolean() });
    const anyCheckpoint = fc.uniqueArray(anyTensor, { selector: ({ name }) => name, maxLength: 12 }).map((rows) => checkpointOf(rows.map(({ name, shape: own, type, fill, strides }) => ({ ...bytesTensor(name, own, type, new Uint8Array(own.reduce((product, n) => product * n, 1) * dtype(type).bytesPerBlock).fill(fill)), ...(strides ? { strides: own.map(() => 1) } : {}) }))));
    await fc.assert(
      fc.asyncProperty(anyCheckpoint, fc.option(anyCheckpoint, { nil: undefined }), async (checkpoint, original) => {
        for (const code of await codesOf(checkpoint, original)) expect(smoothquantCodes).toHaveProperty(code);
      }),
      { numRuns: 2000, seed: 13 },
    );
  });
  it('does not take other int8 weights for LMDeploy’s', () => {
    const weight = bytesTensor('a.weight', [2, 2], 'I8', new Uint8Array(4));
    expect(isSmoothQuant(checkpointOf([weight, tensorOf('a.weight_scale', [2, 1], [1, 1])]))).toBe(false);
    expect(isSmoothQuant(checkpointOf([weight, tensorOf('a.scale', [2, 1], [1, 1])]))).toBe(true);
    expect(isSmoothQuant(checkpointOf([tensorOf('a.weight', [2, 2], [1, 2, 3, 4]), tensorOf('a.scale', [2, 1], [1, 1])]))).toBe(false);
  });
  it('stops when its signal is aborted', async () => {
    const reason = new Error('enough');
    await expect(checkSmoothQuant(await exportOf(model), undefined, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

const folder = sharedData('smoothquant/quantized.safetensors') && sharedData('smoothquant');
describe.skipIf(!folder)('the collection’s export', () => {
  const opened = async (name: string): Promise<Checkpoint> => (await (name.endsWith('.bin') ? torchCheckpoint : safetensors).read(memorySource(readFileSync(`${folder}/${name}`), name))).checkpoint!;
  it('keeps every invariant, and is within scale/2 of its original', async () => {
    const { diagnostics, checked, notChecked } = await checkSmoothQuant(await opened('quantized.safetensors'), await opened('original_f32.safetensors'), { deep: true });
    expect(diagnostics.map(({ code }) => code)).toEqual(['SMOOTHQUANT_MIGRATION_SCALES']);
    expect({ checked, notChecked }).toEqual({ checked: ['LMDeploy\'s int8: the scales of 14 layers and all of their weights, against the original'], notChecked: [] });
  });
  it('is recognised in each .bin shard', async () => {
    for (const k of [1, 2, 3]) {
      const shard = await opened(`pytorch_model-0000${k}-of-00003.bin`);
      expect(isSmoothQuant(shard)).toBe(true);
      expect(await codesOf(shard, undefined, { partial: true, deep: true })).toEqual(['SMOOTHQUANT_MIGRATION_SCALES']);
    }
  });
});
