import type { Program } from '@weightspec/core';

/**
 * Throws RangeError unless `tokens` can be run at `position`: ids of the vocabulary, positions of the context, and no gap behind the
 * `cachedPositions` whose keys and values are there.
 */
export function assertRun({ maxSeqLen, vocabSize }: Program, tokens: readonly number[], position: number, cachedPositions: number): void {
  if (tokens.length === 0) throw new RangeError('no tokens to run');
  if (!Number.isSafeInteger(position) || position < 0 || position + tokens.length > maxSeqLen) {
    throw new RangeError(`positions ${position} to ${position + tokens.length - 1} are not within the context of ${maxSeqLen}`);
  }
  if (position > cachedPositions) throw new RangeError(`position ${position} leaves a gap: only ${cachedPositions} positions have been run`);
  const bad = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= vocabSize);
  if (bad !== undefined) throw new RangeError(`token ${bad} is outside a vocabulary of ${vocabSize}`);
}
