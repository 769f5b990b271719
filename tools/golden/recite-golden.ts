/** fixtures/golden/recite: the reciting model, its tokenizer, what it says, and all its logits. */
import { logitsOf, margin, type Weights } from './decoder.js';
import { jsonFile, largestDifference, toleranceFrom, withManifest, type GoldenFiles } from './golden-files.js';
import { littleEndianF64, modelFile, tokenizerFile } from './llama2c-files.js';
import { buildRecital, reciteSeed, reciteText, type Recital } from './recite.js';
import { storages, throughInt8 } from './rounding.js';
import { decode, encode } from './vocabulary.js';

const prompts = ['', 'If you can read this, every tensor'];

/** Smallest lead of the right next word over any other logit, over the whole recital; negative when a word is lost. */
function smallestMargin({ config, tokens }: Recital, weights: Weights, activationGroupSize?: number): number {
  const prepareInput = activationGroupSize === undefined ? undefined : { prepareInput: (x: Float32Array | Float64Array) => throughInt8(x, activationGroupSize) };
  const rows = logitsOf(config, weights, tokens.slice(0, -1), prepareInput);
  return Math.min(...rows.map((row, t) => margin(row, tokens[t + 1])));
}

const twoDecimals = (x: number): number => Math.round(x * 100) / 100;

/** Smallest margin by storage of the matrices. */
export function marginsOf(recital: Recital): Record<string, number> {
  const margins = { f32: smallestMargin(recital, recital.weights) };
  for (const [name, store] of Object.entries(storages)) Object.assign(margins, { [name]: smallestMargin(recital, store(recital.weights)) });
  Object.assign(margins, { 'int8, group size 64, activations int8 too': smallestMargin(recital, storages['int8, group size 64'](recital.weights), 64) });
  return Object.fromEntries(Object.entries(margins).map(([name, value]) => [name, twoDecimals(value)]));
}

export function reciteGolden(recital = buildRecital()): GoldenFiles {
  const { config, weights, pieces, tokens } = recital;
  const inputs = tokens.slice(0, -1);
  const logits = logitsOf(config, weights, inputs);
  const inF32 = logitsOf(config, weights, inputs, { round: Math.fround });
  const expected = {
    decoding: 'greedy; ends at id 1 (BOS), as run.c does. greedyIds are the ids after the prompt; text is what run.c prints for prompt and continuation.',
    prompts: prompts.map((prompt) => {
      const ids = encode(pieces, prompt);
      return { prompt, tokens: ids, greedyIds: tokens.slice(ids.length), text: decode(pieces, tokens), firstLogitsRow: 0 };
    }),
    logits: { file: 'logits.f64', dtype: 'F64', byteOrder: 'little', shape: [logits.length, config.vocabSize], rows: 'row firstLogitsRow + i follows the i-th token of tokens and greedyIds' },
  };
  const files = {
    'model.bin': modelFile(config, weights, 10000),
    'tokenizer.bin': tokenizerFile(pieces),
    'expected.json': jsonFile(expected),
    'logits.f64': littleEndianF64(logits),
  };
  return withManifest('recite', files, {
    title: 'A small Llama that recites a paragraph at greedy decoding',
    text: reciteText,
    layout: 'model.bin is llama2.c v0 (negative vocab_size: the classifier is not shared, and follows the freq tables); tokenizer.bin is generation 5',
    config: { ...config, ropeTheta: 10000, normEps: 1e-5 },
    seed: reciteSeed,
    construction: 'Random body (xorshift128), classifier solved by ridge least squares on the final hidden states; see tools/golden/recite.ts',
    tolerance: toleranceFrom(largestDifference(logits, inF32)),
    smallestMargin: marginsOf(recital),
  });
}
