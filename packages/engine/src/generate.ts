import type { LoadedModel } from './load.js';
import { assertFits, batchTokensOf, pauser, prefill, type PrefillOptions } from './prefill.js';
import { notFinite } from './sampling/not-finite.js';
import { greedySampler, type Sampler } from './sampling/sampler.js';

export interface GenerateOptions {
  /** At least one; llama2.c starts every text with BOS. */
  readonly promptTokens: readonly number[];
  /** Default: as many as the context holds. run.c's `-n steps` counts the prompt in: steps − promptTokens.length + 1. */
  readonly maxNewTokens?: number;
  /** Default: greedy. */
  readonly sampler?: Sampler;
  /** Ids that end the text and are not part of it. run.c stops at BOS. Default: none. */
  readonly stopTokens?: readonly number[];
  readonly signal?: AbortSignal;
}

export interface GeneratedToken {
  readonly id: number;
  /** Place in the sequence; the prompt has 0 … promptTokens.length − 1. */
  readonly position: number;
}

/** Why a generation ended: a stop token, enough tokens, or a full context. */
export type GenerateEnd = { readonly reason: 'stop'; readonly id: number } | { readonly reason: 'length' } | { readonly reason: 'context' };

/**
 * Reads the prompt in batches, then yields token after token. As in run.c, the token after the last position of the context is
 * still produced. Throws RangeError for a prompt that is empty, too long or outside the vocabulary; the signal's reason when
 * aborted. The model is in use until the generator ends, or is returned from (as `break` in `for await` does).
 */
export async function* generate(model: LoadedModel, options: GenerateOptions): AsyncGenerator<GeneratedToken, GenerateEnd, undefined> {
  const { promptTokens, maxNewTokens = Number.POSITIVE_INFINITY, sampler = greedySampler(), stopTokens = [], signal } = options;
  const release = model.claim();
  try {
    assertFits(model, promptTokens);
    const pause = pauser(signal);
    const lastPosition = Math.min(promptTokens.length + maxNewTokens - 1, model.contextLength);
    let position = promptTokens.length;
    if (sampler.greedy && model.executable.greedy && position <= lastPosition) {
      for await (const id of greedyIds(model, promptTokens, lastPosition - position + 1, { signal, pause })) {
        if (stopTokens.includes(id)) return { reason: 'stop', id };
        yield { id, position };
        position += 1;
      }
    } else {
      let latest: Float32Array = new Float32Array(0);
      const onBatch = (logits: Float32Array): void => {
        latest = logits;
      };
      await prefill(model, promptTokens, { signal, pause, onBatch });
      for (; position <= lastPosition; position += 1) {
        const id = sampler.sample(latest);
        if (stopTokens.includes(id)) return { reason: 'stop', id };
        yield { id, position };
        await pause();
        if (position < lastPosition) latest = await model.executable.run([id], position, { signal });
      }
    }
    return { reason: lastPosition === model.contextLength ? 'context' : 'length' };
  } finally {
    release();
  }
}

/** `count` ids as the backend chooses them; logits stay with it. Throws EngineError (LOGITS_NOT_FINITE). */
async function* greedyIds(model: LoadedModel, promptTokens: readonly number[], count: number, { signal, pause }: Pick<PrefillOptions, 'signal' | 'pause'>): AsyncGenerator<number, void, undefined> {
  const batchTokens = batchTokensOf(model);
  const lastBatch = promptTokens.length - 1 - ((promptTokens.length - 1) % batchTokens);
  await prefill(model, promptTokens.slice(0, lastBatch), { signal, pause, onBatch: () => undefined });
  await pause();
  for await (const id of model.executable.greedy!(promptTokens.slice(lastBatch), lastBatch, count, { signal })) {
    if (id < 0) throw notFinite();
    yield id;
    await pause();
  }
}
