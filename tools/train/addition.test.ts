/**
 * The model that adds must keep adding in every format, element type and backend: its sums are the proof that each tensor is in its
 * place. Expected answers are arithmetic itself, and logits that float64 mathematics apart from packages/ gave (fixtures/golden/addition).
 */
import { elementCount, findTensor, readTensor, type Backend, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { planConversion, type ConvertInput } from '@weightspec/convert';
import { loadModel, logits, type LoadedModel } from '@weightspec/engine';
import { memorySource } from '@weightspec/io';
import { BackendError, referenceBackend } from '@weightspec/kernels';
import { llama2c, readTokenizerBin } from '@weightspec/llama2c';
import { permuteRopeRows } from '@weightspec/models';
import { createScoreBpeTokenizer } from '@weightspec/tokenizers';
import { describe, expect, it } from 'vitest';
import { additionConfig, additionPieces, answer, isRight, readAdditionWeights, sampleSums } from '../golden/addition.js';
import { faults, type Fault } from '../golden/faults.js';
import { bytesOf, converted, parsed, prompts, reopened, tensorOf, tokenIds, trained, variants, withTensors, wrongSums } from './addition-variants.js';

const { accuracy, tolerance } = parsed('manifest.json') as { accuracy: Record<string, { rightOfAll: number; pairs: number; rightOfHeldOut: number; heldOutPairs: number }>; tolerance: { absolute: number } };

interface Present {
  readonly id: string;
  readonly backend: Backend;
}
async function presentBackends(): Promise<Present[]> {
  const rows = [
    { id: 'wasm', open: async () => (await import('@weightspec/backend-wasm')).openBackend() },
    { id: 'native', open: async () => (await import('@weightspec/backend-native')).openBackend() },
  ];
  const present: Present[] = [{ id: 'reference', backend: referenceBackend }];
  for (const { id, open } of rows) {
    try {
      present.push({ id, backend: await open() });
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
      console.log(`skipped: ${error.message}`);
    }
  }
  return present;
}
const backends = await presentBackends();

describe('the model that adds, as its manifest tells', () => {
  it('was right about more than 99 % of all 10,000 pairs, and of the 1,000 that it had never seen, in every element type measured', () => {
    expect(Object.keys(accuracy)).toEqual(['f32', 'f16', 'bf16', 'int8, group size 64', 'q4_0']);
    for (const { rightOfAll, pairs, rightOfHeldOut, heldOutPairs } of Object.values(accuracy)) {
      expect([pairs, heldOutPairs]).toEqual([10_000, 1000]);
      expect(rightOfAll / pairs).toBeGreaterThan(0.99);
      expect(rightOfHeldOut / heldOutPairs).toBeGreaterThan(0.99);
    }
  });
  it('has expected answers that are right', () => {
    expect(prompts).toHaveLength(50);
    for (const { prompt, text } of prompts) {
      const [a, b] = prompt.split(/[+=]/).map(Number);
      expect(text).toBe(`${prompt}${a! + b!}`);
    }
  });
  it('has a tokenizer that gives the ids it was trained on', async () => {
    const { tokenizer } = await readTokenizerBin(memorySource(bytesOf('tokenizer.bin')));
    const vocabulary = createScoreBpeTokenizer(tokenizer!);
    for (const { prompt, tokens, greedyIds, text } of prompts) {
      expect(vocabulary.encode(prompt, { bos: true })).toEqual(tokens);
      expect(vocabulary.decode([...tokens, ...greedyIds.slice(0, -1)])).toBe(text);
    }
  });
});

describe.each(backends)('on the backend $id', ({ backend }) => {
  const load = async ({ checkpoint, beside }: ConvertInput): Promise<LoadedModel> => loadModel(checkpoint, { backend, ...(beside ? { beside } : {}) });

  it.each(variants)('$name: all 50 sums are right', async ({ open }) => {
    const model = await load(await open());
    expect(await wrongSums(model)).toEqual([]);
    await model.dispose();
  });
  it('gives the logits of float64 within the manifest’s tolerance', async () => {
    const model = await load(await trained());
    const file = bytesOf('logits.f64');
    const golden = new Float64Array(file.buffer, file.byteOffset, file.length / 8);
    const withLogits = prompts.filter(({ firstLogitsRow }) => firstLogitsRow !== undefined);
    expect(withLogits).toHaveLength(4);
    for (const { tokens, greedyIds, firstLogitsRow } of withLogits) {
      const rows = await logits(model, [...tokens, ...greedyIds.slice(0, -1)], { all: true });
      const first = firstLogitsRow! * additionConfig.vocabSize;
      const worst = rows.reduce((most, value, i) => Math.max(most, Math.abs(value - golden[first + i]!)), 0);
      expect(worst).toBeLessThan(tolerance.absolute);
    }
    await model.dispose();
  });
});

describe('a format that cannot hold it', () => {
  it('qwen.cpp’s, for its grouped queries (CONVERT_GROUPED_QUERIES)', async () => {
    const { diagnostics, files } = await planConversion(await trained(), 'ggml-qwen', { tokenIds, allowLoss: true });
    expect(diagnostics.filter(({ severity }) => severity === 'error').map(({ code }) => code)).toEqual(['CONVERT_GROUPED_QUERIES']);
    expect(files).toEqual([]);
  });
});

describe('a wrong layout is visible: half of the sums and more are wrong', () => {
  const wrongAfter = async (change: (tensor: TensorInfo, all: Checkpoint) => Promise<TensorInfo> | undefined): Promise<number> => {
    const input = await trained();
    const { checkpoint, beside } = await withTensors(input, (tensor) => change(tensor, input.checkpoint));
    return (await wrongSums(await loadModel(checkpoint, beside ? { beside } : {}))).length;
  };
  /** The bytes of the tensor named `other` under this one's name. */
  const as = async (tensor: TensorInfo, all: Checkpoint, other: string): Promise<TensorInfo> => tensorOf(tensor, tensor.name, tensor.shape, await readTensor(findTensor(all, other)));

  it('when q and k have their rows in the order of pairs under Hugging Face’s names', async () => {
    const wrong = await wrongAfter((tensor) => (/\.[qk]_proj\./.test(tensor.name) ? readTensor(tensor).then((bytes) => tensorOf(tensor, tensor.name, tensor.shape, permuteRopeRows(bytes, tensor.shape[1]! * 4, 16, 'meta'))) : undefined));
    expect(wrong).toBeGreaterThanOrEqual(25);
  });
  it('when gate and up are in each other’s place', async () => {
    const other = (name: string): string => (name.includes('gate_proj') ? name.replace('gate_proj', 'up_proj') : name.replace('up_proj', 'gate_proj'));
    const wrong = await wrongAfter((tensor, all) => (/gate_proj|up_proj/.test(tensor.name) ? as(tensor, all, other(tensor.name)) : undefined));
    expect(wrong).toBeGreaterThanOrEqual(25);
  });
  it('when w1 and w3 are in each other’s place in the bytes of a llama2.c file, which its size cannot tell', async () => {
    const files = await converted(await trained(), 'llama2c-v0', {});
    const bytes = Uint8Array.from(files.get('model.bin')!);
    const { checkpoint } = await reopened(files, llama2c);
    for (let layer = 0; layer < additionConfig.layers; layer++) {
      const [w1, w3] = ['w1', 'w3'].map((part) => findTensor(checkpoint, `layers.${layer}.feed_forward.${part}.weight`));
      expect(elementCount(w1!.shape)).toBe(elementCount(w3!.shape));
      bytes.set(await readTensor(w3!), w1!.location.offset);
      bytes.set(await readTensor(w1!), w3!.location.offset);
    }
    const { checkpoint: swapped, diagnostics } = await llama2c.read(memorySource(bytes));
    expect(diagnostics).toEqual([]);
    expect((await wrongSums(await loadModel(swapped!))).length).toBeGreaterThanOrEqual(25);
  });

  /**
   * What this model cannot show, because it is sure of itself by a margin of 12 and norms, scales and activations change no places
   * (recite shows those), or because it has no classifier of its own, or because it is its own style of RoPE.
   */
  const silent = new Set([
    'norm_eps 1e-3', 'norm_eps 1e-6', 'norm_eps 0', 'rope theta 500000', 'rope in halves', 'attention scores not scaled', 'attention scores scaled by the width of the model', 'relu for silu', 'gelu for silu',
    'no final norm', 'norm weights are offsets from 1', 'attention and feed-forward norms exchanged', 'classifier shared with the embedding', 'freq tables not skipped', 'wcls transposed', 'wcls one row late',
  ]);
  const shown: readonly Fault[] = [{ name: 'rope in pairs', reading: { ropeStyle: 'interleaved' } }, ...faults.filter(({ name }) => !silent.has(name))];
  const weights = readAdditionWeights(bytesOf('model.safetensors'));

  it('knows every fault that it names as silent', () => {
    expect([...silent].filter((name) => !faults.some((fault) => fault.name === name))).toEqual([]);
    expect(shown.length).toBeGreaterThanOrEqual(25);
  });
  it.each(shown)('in the float64 forward, with this fault: $name', ({ reading = {}, weights: change }) => {
    const changed = change?.(weights, additionConfig) ?? weights;
    const sums = sampleSums(additionPieces()).slice(0, 20);
    expect(sums[0]!.prompt).toBe('17+25=');
    const wrong = sums.filter((sum) => !isRight(sum, answer(changed, sum, reading)));
    expect(wrong[0]).toBe(sums[0]);
    expect(wrong.length).toBeGreaterThanOrEqual(10);
  });
});
