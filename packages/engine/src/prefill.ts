import type { LoadedModel } from './load.js';

/**
 * Tokens per run while a prompt is read, where the backend does not say: enough that decoding and reading weights is shared, few
 * enough that buffers stay small and an abort is heard soon.
 */
const PREFILL_BATCH_TOKENS = 32;

/** Work that never waits would keep timers, Ctrl-C and abort signals out; so pause once in this time. */
const PAUSE_EVERY_MS = 20;

/** Runs `resume` when the event loop has turned once: Node's setImmediate, as a timer would take a millisecond, a twentieth of the time. */
const afterTurn: (resume: () => void) => unknown = (globalThis as { setImmediate?: (resume: () => void) => unknown }).setImmediate ?? setTimeout;

/** Returns a function to await between runs: it lets the event loop turn now and then, and throws once `signal` is aborted. */
export function pauser(signal: AbortSignal | undefined): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last >= PAUSE_EVERY_MS) {
      await new Promise<void>((resolve) => {
        afterTurn(resolve);
      });
      last = performance.now();
    }
    signal?.throwIfAborted();
  };
}

/** Throws RangeError when `tokens` are none or do not fit the context. */
export function assertFits({ contextLength }: LoadedModel, tokens: readonly number[]): void {
  if (tokens.length === 0) throw new RangeError('there are no tokens to run; start a text with the BOS token');
  if (tokens.length > contextLength) throw new RangeError(`${tokens.length} tokens do not fit a context of ${contextLength}`);
}

export const batchTokensOf = ({ executable }: LoadedModel): number => executable.batchTokens ?? PREFILL_BATCH_TOKENS;

export interface PrefillOptions {
  /** Logits of every token rather than of the last. */
  readonly all?: boolean;
  readonly signal?: AbortSignal;
  readonly pause: () => Promise<void>;
  /** Called with the logits of each batch, in order: one row a token with `all`, else the last token's row. */
  readonly onBatch: (logits: Float32Array) => void;
}

/** Runs `tokens` from position 0 in batches. */
export async function prefill(model: LoadedModel, tokens: readonly number[], { all, signal, pause, onBatch }: PrefillOptions): Promise<void> {
  const batchTokens = batchTokensOf(model);
  for (let position = 0; position < tokens.length; position += batchTokens) {
    await pause();
    onBatch(await model.executable.run(tokens.slice(position, position + batchTokens), position, { all, signal }));
  }
}
