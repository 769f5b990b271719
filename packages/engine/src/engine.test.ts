/** The engine's own behaviour, on the models in fixtures/golden. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Backend, Checkpoint } from '@weightspec/core';
import { memorySource } from '@weightspec/io';
import { referenceBackend } from '@weightspec/kernels';
import { llama2c } from '@weightspec/llama2c';
import { createSampler, generate, greedySampler, loadModel, logits, type GeneratedToken, type GenerateEnd, type GenerateOptions, type LoadedModel } from './index.js';

interface Expected {
  readonly prompts: readonly { readonly greedyIds: readonly number[] }[];
}

const file = (name: string): Buffer => readFileSync(new URL(`../../../fixtures/golden/${name}`, import.meta.url));
const expectedOf = (model: string): Expected => JSON.parse(file(`${model}/expected.json`).toString());

async function checkpointOf(model: string): Promise<Checkpoint> {
  const { checkpoint, diagnostics } = await llama2c.read(memorySource(file(`${model}/model.bin`)));
  if (!checkpoint) throw new Error(JSON.stringify(diagnostics));
  return checkpoint;
}
const load = async (model = 'recite', options?: Parameters<typeof loadModel>[1]): Promise<LoadedModel> => loadModel(await checkpointOf(model), options);

async function collect(model: LoadedModel, options: GenerateOptions): Promise<{ tokens: GeneratedToken[]; end: GenerateEnd }> {
  const tokens: GeneratedToken[] = [];
  const generation = generate(model, options);
  for (;;) {
    const next = await generation.next();
    if (next.done) return { tokens, end: next.value };
    tokens.push(next.value);
  }
}
const idsOf = async (model: LoadedModel, options: GenerateOptions): Promise<number[]> => (await collect(model, options)).tokens.map(({ id }) => id);

describe('generate', () => {
  const [first] = expectedOf('recite').prompts;
  const greedyIds = first?.greedyIds ?? [];

  it('numbers tokens by their place in the sequence, and says why it ended', async () => {
    const model = await load();
    expect(await collect(model, { promptTokens: [1], maxNewTokens: 2 })).toEqual({ tokens: [{ id: greedyIds[0], position: 1 }, { id: greedyIds[1], position: 2 }], end: { reason: 'length' } });
    const whole = await collect(model, { promptTokens: [1], stopTokens: [1] });
    expect(whole.end).toEqual({ reason: 'stop', id: 1 });
    expect(whole.tokens.map(({ id }) => id)).toEqual(greedyIds.slice(0, -1));
    expect(await collect(model, { promptTokens: [1], maxNewTokens: 0 })).toEqual({ tokens: [], end: { reason: 'length' } });
  });
  it('ends with the token after the last position, as run.c does', async () => {
    const model = await load('recite', { contextLength: 5 });
    const { tokens, end } = await collect(model, { promptTokens: [1] });
    expect(tokens.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5]);
    expect(tokens.map(({ id }) => id)).toEqual(greedyIds.slice(0, 5));
    expect(end).toEqual({ reason: 'context' });
  });
  it('reads a prompt longer than a batch, up to the whole context', async () => {
    const model = await load();
    const prompt = [1, ...greedyIds.slice(0, -1)];
    expect(prompt.length).toBeGreaterThan(32);
    expect(await idsOf(model, { promptTokens: prompt, maxNewTokens: 1 })).toEqual(greedyIds.slice(-1));
    const exact = await load('recite', { contextLength: prompt.length });
    expect(await collect(exact, { promptTokens: prompt })).toMatchObject({ tokens: [{ id: greedyIds.at(-1) }], end: { reason: 'context' } });
    const short = await load('recite', { contextLength: prompt.length - 1 });
    await expect(collect(short, { promptTokens: prompt })).rejects.toThrow(/do not fit a context of/);
  });
  it('throws a RangeError for no prompt and for ids outside the vocabulary, and the model can go on', async () => {
    const model = await load();
    await expect(collect(model, { promptTokens: [] })).rejects.toThrow(RangeError);
    await expect(collect(model, { promptTokens: [1, 411] })).rejects.toThrow(RangeError);
    expect(await idsOf(model, { promptTokens: [1], maxNewTokens: 3 })).toEqual(greedyIds.slice(0, 3));
  });
  it('repeats a sampled text with the same seed', async () => {
    const model = await load('tiny-shared');
    const draw = (seed: number): Promise<number[]> => idsOf(model, { promptTokens: [1], maxNewTokens: 20, sampler: createSampler({ temperature: 1, topP: 0.9, seed }) });
    expect(await draw(3)).toEqual(await draw(3));
    expect(await draw(3)).not.toEqual(await draw(4));
  });
  it('stops with the signal’s reason, before the prompt and between tokens', async () => {
    const model = await load();
    const reason = new Error('enough');
    await expect(collect(model, { promptTokens: [1], signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { id } of generate(model, { promptTokens: [1], signal: controller.signal })) {
        seen.push(id);
        if (seen.length === 3) controller.abort(reason);
      }
    })();
    await expect(reading).rejects.toBe(reason);
    expect(seen).toEqual(greedyIds.slice(0, 3));
  });
  it('lets a timer abort it although the model never waits', async () => {
    const model = await load();
    const work = (async () => {
      for (;;) await collect(model, { promptTokens: [1], signal: AbortSignal.timeout(60) });
    })();
    await expect(work).rejects.toThrow(/timeout/i);
  });
  it('gives the model back on break, and one sequence at a time has it', async () => {
    const model = await load();
    for await (const { id } of generate(model, { promptTokens: [1] })) {
      expect(id).toBe(greedyIds[0]);
      await expect(collect(model, { promptTokens: [1] })).rejects.toThrow(/already running a sequence/);
      await expect(logits(model, [1])).rejects.toThrow(/already running a sequence/);
      break;
    }
    expect(await idsOf(model, { promptTokens: [1], maxNewTokens: 1 })).toEqual(greedyIds.slice(0, 1));
  });
});

describe('generate where the backend can choose the likeliest token itself', () => {
  const { promptTokens, greedyIds } = { promptTokens: [1], greedyIds: expectedOf('recite').prompts[0]!.greedyIds };

  /** The reference backend with `greedy`, which says what was asked of it; `chosen` in place of what the model would say. */
  function choosing(chosen?: number): { backend: Backend; calls: string[] } {
    const calls: string[] = [];
    const compile: Backend['compile'] = async (program, weights) => {
      const executable = await referenceBackend.compile(program, weights);
      const run: typeof executable.run = (tokens, position, options) => executable.run(tokens, position, options);
      return {
        dispose: () => executable.dispose(),
        run(tokens, position, options) {
          calls.push(`run ${tokens.length} at ${position}`);
          return run(tokens, position, options);
        },
        async *greedy(tokens, position, count, options) {
          calls.push(`greedy ${tokens.length} at ${position}, ${count} ids`);
          let ids = tokens;
          let at = position;
          for (let i = 0; i < count; i += 1) {
            const id = chosen ?? greedySampler().sample(await run(ids, at, options));
            yield id;
            at += ids.length;
            ids = [id];
          }
        },
      };
    };
    return { backend: { ...referenceBackend, id: 'choosing', compile }, calls };
  }

  it('leaves the choice to it, and yields the same', async () => {
    const { backend, calls } = choosing();
    const model = await load('recite', { backend });
    expect(await collect(model, { promptTokens, maxNewTokens: 5 })).toEqual(await collect(await load(), { promptTokens, maxNewTokens: 5 }));
    expect(await collect(model, { promptTokens, stopTokens: [1], sampler: createSampler({ temperature: 0 }) })).toEqual(await collect(await load(), { promptTokens, stopTokens: [1] }));
    expect(calls).toEqual(['greedy 1 at 0, 5 ids', 'greedy 1 at 0, 128 ids']);
  });
  it('reads all but the last batch of a prompt before', async () => {
    const { backend, calls } = choosing();
    const model = await load('recite', { backend });
    const long = [1, ...greedyIds.slice(0, 39)];
    expect(await idsOf(model, { promptTokens: long, maxNewTokens: 1 })).toEqual(greedyIds.slice(39, 40));
    expect(await idsOf(model, { promptTokens: long.slice(0, 32), maxNewTokens: 1 })).toEqual(greedyIds.slice(31, 32));
    expect(calls).toEqual(['run 32 at 0', 'greedy 8 at 32, 1 ids', 'greedy 32 at 0, 1 ids']);
  });
  it('chooses itself where another sampler is asked for, and where no token is', async () => {
    const { backend, calls } = choosing();
    const model = await load('recite', { backend });
    await collect(model, { promptTokens, maxNewTokens: 2, sampler: createSampler({ temperature: 1, seed: 1 }) });
    await collect(model, { promptTokens, maxNewTokens: 2, sampler: { sample: () => 3 } });
    await collect(model, { promptTokens, maxNewTokens: 0 });
    expect(calls.filter((call) => call.startsWith('greedy'))).toEqual([]);
    expect(calls).toHaveLength(5);
  });
  it('throws where no logit was a number (LOGITS_NOT_FINITE), gives the model back, and hears an abort between tokens', async () => {
    const damaged = await load('recite', { backend: choosing(-1).backend });
    for (const _ of [1, 2]) await expect(collect(damaged, { promptTokens })).rejects.toThrow(/^LOGITS_NOT_FINITE/);
    const model = await load('recite', { backend: choosing().backend });
    const controller = new AbortController();
    const reason = new Error('enough');
    const reading = (async () => {
      for await (const { position } of generate(model, { promptTokens, signal: controller.signal })) if (position === 3) controller.abort(reason);
    })();
    await expect(reading).rejects.toBe(reason);
    for await (const { id } of generate(model, { promptTokens })) {
      expect(id).toBe(greedyIds[0]);
      break;
    }
    expect(await idsOf(model, { promptTokens, maxNewTokens: 2 })).toEqual(greedyIds.slice(0, 2));
  });
});

describe('logits', () => {
  it('gives the last row, which is the last of all', async () => {
    const model = await load();
    const tokens = [1, 298, 382, 318];
    const all = await logits(model, tokens, { all: true });
    expect(await logits(model, tokens)).toEqual(all.slice(3 * 411));
  });
});

describe('loadModel', () => {
  it('refuses a context outside 1 and what the model was trained for', async () => {
    for (const contextLength of [0, 129, 1.5]) await expect(load('recite', { contextLength })).rejects.toThrow(RangeError);
  });
  it('gives the same logits whatever is held in memory', async () => {
    const tokens = [1, 298, 382, 318, 288];
    const resident = await logits(await load(), tokens, { all: true });
    expect(await logits(await load('recite', { memoryBudgetBytes: 0 }), tokens, { all: true })).toEqual(resident);
    expect(await logits(await load('recite', { memoryBudgetBytes: 300_000 }), tokens, { all: true })).toEqual(resident);
  });
  it('names what a backend cannot run (OP_UNSUPPORTED)', async () => {
    const backend: Backend = { ...referenceBackend, id: 'lame', supports: (op, storage) => op !== 'swiglu' && !(op === 'matmul' && storage === 'F32') };
    await expect(load('recite', { backend })).rejects.toThrow('OP_UNSUPPORTED: the backend lame cannot run matmul with F32 weights, swiglu');
  });
  it('lists the tensors that a checkpoint lacks (MODEL_WEIGHTS)', async () => {
    const checkpoint = await checkpointOf('recite');
    const tensors = checkpoint.tensors.filter(({ name }) => name !== 'norm.weight');
    await expect(loadModel({ ...checkpoint, tensors })).rejects.toThrow('MODEL_WEIGHTS: there is no tensor norm.weight');
  });
});
