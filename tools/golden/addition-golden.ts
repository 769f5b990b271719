/** fixtures/golden/addition: the trained weights as tools/train left them, and around them tokenizer, answers, logits and manifest. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { additionConfig, additionPieces, answer, isRight, readAdditionWeights, sampleSeed, sampleSums, type Answer, type Sum } from './addition.js';
import { margin, type Weights } from './decoder.js';
import { jsonFile, largestDifference, toleranceFrom, withManifest, type GoldenFiles } from './golden-files.js';
import { littleEndianF64, tokenizerFile } from './llama2c-files.js';
import { storages, throughQ4_0 } from './rounding.js';
import { decode } from './vocabulary.js';

/** Sums whose logits are kept. */
const WITH_LOGITS = 4;

const trainedFiles = ['model.safetensors', 'config.json', 'training.json'] as const;

/** Smallest lead of a right next token over any other, over the sums answered rightly. */
function smallestMargin(answers: readonly (readonly [Sum, Answer])[]): number {
  return Math.min(...answers.filter(([sum, given]) => isRight(sum, given)).flatMap(([{ tokens }, { ids, logits }]) => ids.map((id, i) => margin(logits[tokens.length - 1 + i]!, id))));
}

const mapMatrices = (weights: Weights, change: (values: Float32Array) => Float32Array): Weights =>
  Object.fromEntries(Object.entries(weights).map(([name, { shape, values }]) => [name, { shape, values: shape.length === 2 ? change(values) : values }]));

/** Sums of the sample answered rightly, and by what margin, with matrices as other types keep them. */
function sampleByStorage(weights: Weights, sums: readonly Sum[]) {
  const stored = { f32: weights, ...Object.fromEntries(Object.entries(storages).map(([name, store]) => [name, store(weights)])), q4_0: mapMatrices(weights, throughQ4_0) };
  return Object.fromEntries(
    Object.entries(stored).map(([name, changed]) => {
      const answers = sums.map((sum) => [sum, answer(changed, sum)] as const);
      return [name, { right: answers.filter(([sum, given]) => isRight(sum, given)).length, of: sums.length, smallestMargin: roundDown(smallestMargin(answers)) }];
    }),
  );
}
const roundDown = (x: number): number => Math.floor(x * 100) / 100;

/** `folder`: where the trained files lie. Throws when they are not there. */
export function additionGolden(folder: string): GoldenFiles {
  const trained = Object.fromEntries(trainedFiles.map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))])) as Record<(typeof trainedFiles)[number], Uint8Array>;
  const weights = readAdditionWeights(trained['model.safetensors']);
  const pieces = additionPieces();
  const sums = sampleSums(pieces);
  const answers = sums.map((sum) => answer(weights, sum));
  const rows = answers.slice(0, WITH_LOGITS).map(({ logits }) => logits);
  const inF32 = sums.slice(0, WITH_LOGITS).flatMap((sum) => answer(weights, sum, { round: Math.fround }).logits);
  const firstRow = (at: number): number | undefined => (at < WITH_LOGITS ? rows.slice(0, at).reduce((count, { length }) => count + length, 0) : undefined);
  const expected = {
    decoding: 'greedy; ends at id 1 (BOS). greedyIds are the ids after the prompt; text is prompt and continuation.',
    prompts: sums.map(({ prompt, tokens }, at) => {
      const { ids } = answers[at]!;
      return { prompt, tokens, greedyIds: ids, text: decode(pieces, [...tokens, ...ids]), firstLogitsRow: firstRow(at) };
    }),
    logits: { file: 'logits.f64', dtype: 'F64', byteOrder: 'little', shape: [rows.flat().length, additionConfig.vocabSize], rows: 'row firstLogitsRow + i follows the i-th token of tokens and greedyIds' },
  };
  const files = { ...trained, 'tokenizer.bin': tokenizerFile(pieces), 'expected.json': jsonFile(expected), 'logits.f64': littleEndianF64(rows.flat()) };
  const { accuracy, accuracyMeans, recipe, versions, script, scriptSha256 } = JSON.parse(new TextDecoder().decode(trained['training.json'])) as Record<string, unknown>;
  return withManifest('addition', files, {
    title: 'A trained Llama with grouped queries that adds two numbers of 0 to 99',
    layout: 'model.safetensors has F32 tensors under Hugging Face’s names, config.json says the rest; tokenizer.bin is llama2.c’s generation 5',
    config: { ...additionConfig, ropeTheta: 10000, normEps: 1e-5, ropeStyle: 'halves' },
    training: { script, scriptSha256, recipe, versions },
    accuracy,
    accuracyMeans,
    sample: { seed: sampleSeed, means: 'the 50 prompts of expected.json, answered in float64; smallestMargin is the lead of the least sure right token', byStorage: sampleByStorage(weights, sums) },
    tolerance: toleranceFrom(largestDifference(rows.flat(), inF32)),
  });
}
