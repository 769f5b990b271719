/** fixtures/golden/tiny-shared: a random Llama with a shared classifier and as many kv heads as heads. No tokenizer. */
import { argmax, logitsOf, margin, startDecoder, type DecoderConfig } from './decoder.js';
import { jsonFile, largestDifference, roundUp, toleranceFrom, withManifest, type GoldenFiles } from './golden-files.js';
import { littleEndianF64, modelFile } from './llama2c-files.js';
import { randomWeights } from './recite.js';

export const tinySharedSeed = 7;
export const tinySharedConfig: DecoderConfig = { dim: 32, hiddenDim: 96, layers: 2, heads: 4, kvHeads: 4, vocabSize: 288, maxSeqLen: 32, sharedClassifier: true };
/** The embedding is the classifier too, so its deviation sets that of the logits: about 1.7. */
export const tinySharedWeights = () => randomWeights(tinySharedConfig, tinySharedSeed, { tok: 0.3, wq: 0.3, wk: 0.3, wv: 0.2, wo: 0.1, w1: 0.2, w2: 0.06, w3: 0.2 });

/** Six tokens each: a prompt of one token cannot show a mistake in RoPE. */
export const tinySharedPrompts: readonly (readonly number[])[] = [
  [1, 260, 17, 133, 99, 204],
  [1, 5, 5, 287, 3, 42],
];
const GREEDY_STEPS = 8;

export function tinySharedGolden(): GoldenFiles {
  const weights = tinySharedWeights();
  const runs = tinySharedPrompts.map((tokens) => {
    const decoder = startDecoder(tinySharedConfig, weights);
    const rows = tokens.map((token) => decoder.classify(decoder.hidden(token)));
    const greedyIds: number[] = [];
    for (;;) {
      greedyIds.push(argmax(rows.at(-1)!));
      if (greedyIds.length === GREEDY_STEPS) break;
      rows.push(decoder.classify(decoder.hidden(greedyIds.at(-1)!)));
    }
    return { tokens, greedyIds, rows, inF32: logitsOf(tinySharedConfig, weights, [...tokens, ...greedyIds.slice(0, -1)], { round: Math.fround }) };
  });
  const logits = runs.flatMap(({ rows }) => rows);
  const rowsPerRun = (tinySharedPrompts[0]?.length ?? 0) + GREEDY_STEPS - 1;
  const files = {
    'model.bin': modelFile(tinySharedConfig, weights, 10000),
    'expected.json': jsonFile({
      decoding: `greedy, ${GREEDY_STEPS} ids; nothing stops it earlier`,
      prompts: runs.map(({ tokens, greedyIds }, run) => ({ tokens, greedyIds, firstLogitsRow: run * rowsPerRun })),
      logits: { file: 'logits.f64', dtype: 'F64', byteOrder: 'little', shape: [logits.length, tinySharedConfig.vocabSize], rows: 'row firstLogitsRow + i follows the i-th token of tokens and greedyIds' },
    }),
    'logits.f64': littleEndianF64(logits),
  };
  const greedyRows = runs.flatMap(({ rows, tokens }) => rows.slice(tokens.length - 1));
  return withManifest('tiny-shared', files, {
    title: 'A random Llama with a shared classifier and no grouped queries',
    layout: 'model.bin is llama2.c v0 (positive vocab_size: the classifier is the embedding)',
    config: { ...tinySharedConfig, ropeTheta: 10000, normEps: 1e-5 },
    seed: tinySharedSeed,
    construction: 'Random weights (xorshift128); see tools/golden/tiny-shared.ts',
    tolerance: toleranceFrom(largestDifference(logits, runs.flatMap(({ inF32 }) => inF32))),
    smallestMargin: roundUp(Math.min(...greedyRows.map((row) => margin(row))), 2),
  });
}
