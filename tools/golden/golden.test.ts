import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sharedData } from '@weightspec/oracles';
import { describe, expect, it } from 'vitest';
import { blockTypeNames, blockTypes, decodeFrom, encodeAs } from './block-types.js';
import { logitsOf, weightShapes, type DecoderConfig, type Reading, type Tensor, type Weights } from './decoder.js';
import { cos, exp, ln, power, roundHalfEven, roundToBF16, roundToF16, sin } from './elementary.js';
import { faults, rolled, swapValues } from './faults.js';
import { allGoldens, committedPaths, differences, goldenFolder } from './generate.js';
import { largestDifference, sha256 } from './golden-files.js';
import { modelFile } from './llama2c-files.js';
import { exact, matmul, rmsnorm, rope, attention, swiglu } from './ops.js';
import { opGoldens } from './ops-golden.js';
import { xorshift128 } from './random.js';
import { marginsOf } from './recite-golden.js';
import { buildRecital, recite, reciteText, tokensRecited } from './recite.js';
import { tinyModels } from './tiny-models.js';
import { tinySharedConfig, tinySharedPrompts, tinySharedWeights } from './tiny-shared.js';
import { decode, encode } from './vocabulary.js';

interface Manifest {
  readonly tolerance: { readonly absolute: number };
  readonly files: Readonly<Record<string, { readonly byteLength: number; readonly sha256: string }>>;
}
const committed = (path: string): Buffer => readFileSync(join(goldenFolder, path));
const folders = ['recite', 'tiny-shared', 'llama-tiny', 'qwen1-tiny', 'qwen2-tiny', 'ops', 'codecs', 'tokenizers', 'addition'];
// The shape of the file is this project's own; the test below fails when a field is missing.
const manifestOf = (folder: string): Manifest => JSON.parse(committed(`${folder}/manifest.json`).toString());

const generated = allGoldens();
const recital = buildRecital();
const { config, weights, pieces, tokens } = recital;

describe('committed goldens', () => {
  it.each(folders)('%s: every file has the length and hash that its manifest states', (folder) => {
    const { files } = manifestOf(folder);
    const present = committedPaths().filter((path) => path.startsWith(`${folder}/`) && !path.endsWith('/manifest.json'));
    expect(present.toSorted()).toEqual(Object.keys(files).map((name) => `${folder}/${name}`).toSorted());
    for (const [name, { byteLength, sha256: hash }] of Object.entries(files)) {
      const bytes = committed(`${folder}/${name}`);
      expect([name, bytes.length, sha256(bytes)]).toEqual([name, byteLength, hash]);
    }
  });

  it('are byte for byte what the generator makes', () => expect(differences(generated)).toEqual([]));

  it('would be reported when a byte changes or a file is missing', () => {
    const path = 'recite/logits.f64';
    const changed = Uint8Array.from(generated.get(path)!, (byte, i) => (i === 1000 ? byte ^ 1 : byte));
    expect(differences(new Map([...generated, [path, changed]]))).toEqual([`${path}: other bytes than generated`]);
    expect(differences(new Map([...generated].filter(([name]) => name !== path)))).toEqual([`${path}: committed, but not generated`]);
    expect(differences(new Map([...generated, ['recite/new.bin', changed]]))).toEqual(['recite/new.bin: not committed']);
  });
});

describe('elementary functions without the implementation’s last bits', () => {
  const random = xorshift128(3);
  const samples = Array.from({ length: 4000 }, () => random.between(-100, 100));

  it('agree with Math.* to 4 units in the last place', () => {
    for (const x of samples) {
      expect(Math.abs(exp(x) / Math.exp(x) - 1)).toBeLessThan(1e-15);
      expect(Math.abs(sin(x) - Math.sin(x))).toBeLessThan(1e-15);
      expect(Math.abs(cos(x) - Math.cos(x))).toBeLessThan(1e-15);
      const positive = Math.abs(x) + 0.001;
      expect(Math.abs(ln(positive) - Math.log(positive))).toBeLessThan(1e-15 * Math.max(1, Math.abs(Math.log(positive))));
    }
    expect([0, 0.25, 0.5, 0.75].map((y) => Math.fround(power(10_000, y)))).toEqual([1, 10, 100, 1000]);
  });

  it('saturate as Math.exp does', () => expect([exp(-1000), exp(1000), exp(0)]).toEqual([0, Infinity, 1]));

  it('round to even, to f16 and to bf16', () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, 2.6].map(roundHalfEven)).toEqual([0, 2, 2, 0, -2, 2, 3]);
    expect([1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -24, 0.1].map(roundToF16)).toEqual([1, 1 + 2 ** -9, 2 ** -24, 0.0999755859375]);
    expect([1 + 2 ** -8, 1 + 3 * 2 ** -8, -0.1].map(roundToBF16)).toEqual([1, 1 + 2 ** -6, -0.10009765625]);
  });
});

describe('the recital', () => {
  it('comes out of the committed weights greedily from BOS, and stops at BOS', () => {
    const said = recite(config, weights, config.maxSeqLen);
    expect(said).toEqual(tokens);
    expect(decode(pieces, said)).toBe(reciteText);
    expect(sha256(modelFile(config, weights, 10_000))).toBe(manifestOf('recite').files['model.bin']?.sha256);
  });

  it('is one token a word, which run.c’s encoder finds again', () => {
    expect(tokens).toHaveLength(56);
    expect(decode(pieces, encode(pieces, reciteText))).toBe(reciteText);
    expect(decode(pieces, encode(pieces, 'any prompt, 🙂 too'))).toBe('any prompt, 🙂 too');
  });

  it('keeps every word by a wide margin under f16, bf16 and int8', () => {
    for (const [storage, smallest] of Object.entries(marginsOf(recital))) expect([storage, smallest > 5]).toEqual([storage, true]);
  });

  it('breaks within 20 words under each fault', () => {
    for (const fault of faults) {
      const said = tokensRecited(recital, fault.weights?.(weights, config) ?? weights, fault.reading);
      expect([fault.name, said < 20]).toEqual([fault.name, true]);
    }
  });

  it('breaks when any two tensors of one length change places, as it says', () => {
    const names = Object.keys(weights);
    const pairs = names.flatMap((a, i) => names.slice(i + 1).filter((b) => weights[a]!.values.length === weights[b]!.values.length).map((b) => [a, b] as const));
    expect(pairs).toHaveLength(88);
    for (const [a, b] of pairs) expect([a, b, tokensRecited(recital, swapValues(weights, a, b)) < 20]).toEqual([a, b, true]);
  });

  it('breaks when any tensor is read one element late', () => {
    for (const [name, { shape, values }] of Object.entries(weights)) {
      const late: Tensor = { shape, values: rolled(values, 1) };
      expect([name, tokensRecited(recital, { ...weights, [name]: late }) < 20]).toEqual([name, true]);
    }
  });
});

describe('tiny-shared', () => {
  const { absolute } = manifestOf('tiny-shared').tolerance;
  const rowsUnder = (changed: Weights, reading = {}) => tinySharedPrompts.flatMap((prompt) => logitsOf(tinySharedConfig, changed, prompt, reading));
  const right = rowsUnder(tinySharedWeights());

  /** With as many kv heads as heads the first means the same; the others are about a classifier that is not there. */
  const silent = new Set(['query heads dealt out to kv heads in turn', 'classifier shared with the embedding', 'freq tables not skipped', 'wcls transposed', 'wcls one row late']);

  it('moves logits by more than 10 tolerances under each fault that it can show', () => {
    for (const fault of faults.filter(({ name }) => !silent.has(name))) {
      const wrong = rowsUnder(fault.weights?.(tinySharedWeights(), tinySharedConfig) ?? tinySharedWeights(), fault.reading);
      expect([fault.name, largestDifference(right, wrong) > 10 * absolute]).toEqual([fault.name, true]);
    }
  });
});

describe('the float64 decoder', () => {
  const paths = { model: sharedData('llama2c/stories260K.bin'), logits: sharedData('llama2c/golden/stories260K.v0.logits346x512.f32') };

  it.skipIf(!paths.model || !paths.logits)('agrees with run.c on a trained model, 346 positions (-O3 and fast-math builds of run.c differ by 5.3e-5 themselves)', () => {
    const [model, golden] = [paths.model!, paths.logits!].map((path) => readFileSync(path));
    const trained: DecoderConfig = { dim: 64, hiddenDim: 172, layers: 5, heads: 8, kvHeads: 4, vocabSize: 512, maxSeqLen: 512, sharedClassifier: true };
    const inFileOrder = ['tok', ...['attNorm', 'wq', 'wk', 'wv', 'wo', 'ffnNorm', 'w1', 'w2', 'w3'].flatMap((part) => [0, 1, 2, 3, 4].map((layer) => `layers.${layer}.${part}`)), 'norm'];
    const shapes = weightShapes(trained);
    let byteOffset = 28;
    const read = (name: string): [string, Tensor] => {
      const shape = shapes[name]!;
      const values = new Float32Array(shape.reduce((product, length) => product * length, 1)).map((_, i) => model!.readFloatLE(byteOffset + i * 4));
      byteOffset += values.length * 4;
      return [name, { shape, values }];
    };
    const trainedWeights: Weights = Object.fromEntries(inFileOrder.map(read));
    const rows = Array.from({ length: 346 }, (_, t) => Float64Array.from({ length: 512 }, (__, i) => golden!.readFloatLE((t * 512 + i) * 4)));
    // The token after each row is its largest logit: the run was greedy from BOS.
    const fed = [1, ...rows.slice(0, -1).map((row) => row.indexOf(Math.max(...row)))];
    expect(largestDifference(rows, logitsOf(trained, trainedWeights, fed))).toBeLessThan(1e-4);
  });
});

describe('operation cases', () => {
  it('rotate so that only the distance of query and key matters: a common shift of positions is no fault to look for', () => {
    const q = Float64Array.from({ length: 8 }, (_, i) => i - 3);
    const k = Float64Array.from({ length: 8 }, (_, i) => 2 - i / 2);
    const rotated = (x: Float64Array, position: number) => rope(x, position, 8, 10_000, 'interleaved', exact);
    const score = (shift: number) => matmul(rotated(k, 2 + shift), rotated(q, 5 + shift), exact)[0]!;
    expect(score(40)).toBeCloseTo(score(0), 12);
    expect(score(0)).not.toBeCloseTo(matmul(rotated(k, 3), rotated(q, 5), exact)[0]!, 2);
  });

  const cases = opGoldens().flatMap(({ op, cases: list }) => list.map((one) => ({ op, ...one })));

  it.each(cases)('$op, $name: plain f32 arithmetic stays within the bound of each element', ({ compute, bound }) => {
    const expected = compute(exact);
    const inF32 = compute(Math.fround);
    const excess = bound(expected).map((limit, i) => Math.abs(expected[i]! - inF32[i]!) - limit);
    expect(expected.every(Number.isFinite)).toBe(true);
    expect(Math.max(...excess)).toBeLessThanOrEqual(0);
  });

  const valuesOf = (op: string, name: string) => {
    const found = cases.find((one) => one.op === op && one.name === name);
    if (found === undefined) throw new Error(`no case ${name} of ${op}`);
    return { ...found, expected: found.compute(exact), limits: found.bound(found.compute(exact)) };
  };
  const exceeds = ({ expected, limits }: { expected: Float64Array; limits: Float64Array }, wrong: ArrayLike<number>) => limits.some((limit, i) => !(Math.abs(expected[i]! - wrong[i]!) <= limit));

  it('have bounds that typical mistakes exceed', () => {
    const norm = valuesOf('rmsnorm', 'mean square of the order of eps');
    expect(exceeds(norm, rmsnorm(norm.inputs['x']!.values.subarray(0, 24), norm.inputs['weight']!.values, 1e-6, exact))).toBe(true);
    const turned = valuesOf('rope', 'interleaved, three heads, from position 0');
    expect(exceeds(turned, valuesOf('rope', 'halves, three heads, from position 0').expected)).toBe(true);
    const product = valuesOf('matmul', 'with bias');
    expect(exceeds(product, matmul(product.inputs['weight']!.values, product.inputs['x']!.values.subarray(0, 16), exact))).toBe(true);
    const gated = valuesOf('swiglu', 'ordinary rows');
    expect(exceeds(gated, swiglu(gated.inputs['up']!.values, gated.inputs['gate']!.values, exact))).toBe(true);
    const seen = valuesOf('attention', 'one kv head for all, long history');
    const rows = (input: string) => Array.from({ length: 19 }, (_, t) => seen.inputs[input]!.values.subarray(t * 4, t * 4 + 4));
    expect(exceeds(seen, attention(seen.inputs['q']!.values.subarray(19 * 16), rows('k'), rows('v'), { heads: 4, kvHeads: 1, headDim: 4 }, exact))).toBe(true);
  });
});

describe.each(tinyModels())('$folder', ({ folder, config: tinyConfig, reading, meanings }) => {
  const { weights: plain } = meanings['plain']!;
  const prompt = [9, 4, 57, 13, 26, 38, 2, 55, 19, 44];
  const expected = logitsOf(tinyConfig, plain, prompt, reading);
  const { goldens } = JSON.parse(committed(`${folder}/expected.json`).toString()) as { goldens: { plain: { tolerance: { absolute: number } } } };
  const wrong: readonly (readonly [string, Partial<Reading>])[] = [
    ['eps ten times off', { eps: (reading.eps ?? 1e-5) * 10 }],
    ['theta 1 % off', { theta: (reading.theta ?? 10000) * 1.01 }],
    ['the other RoPE', { ropeStyle: reading.ropeStyle === 'halves' ? 'interleaved' : 'halves' }],
    ['keys one position ahead', { keyPositionShift: 1 }],
    ['a position that does not see itself', { seesItself: false }],
    ['one head for all', { kvHeadOf: () => 0 }],
    ['no final norm', { finalNorm: false }],
  ];
  it.each(wrong)('shows %s', (_, change) => {
    expect(largestDifference(expected, logitsOf(tinyConfig, plain, prompt, { ...reading, ...change }))).toBeGreaterThan(goldens.plain.tolerance.absolute);
  });
  it('holds weights that f16 and bf16 keep, so that these types share a golden', () => {
    for (const type of ['f16', 'bf16'] as const) for (const { values } of Object.values(plain)) expect(decodeFrom(type, encodeAs(type, values))).toEqual(values);
  });
});

describe('element types', () => {
  it.each(blockTypeNames.filter((name) => blockTypes[name].elements > 1))('%s: decoding what was encoded is near', (name) => {
    const values = xorshift128(5).centred(320, 1);
    const once = decodeFrom(name, encodeAs(name, values));
    const worst = Math.max(...values.map((value, i) => Math.abs(value - once[i]!)));
    expect(worst).toBeGreaterThan(0);
    expect(worst).toBeLessThan({ q4_0: 0.25, q4_1: 0.13, q5_0: 0.13, q5_1: 0.07, q8_0: 0.01 }[name as 'q4_0']);
  });
  it('halves have the bits of IEEE 754', () => {
    const bits = (type: 'f16' | 'bf16', x: number): number => new DataView(encodeAs(type, Float64Array.of(x)).buffer).getUint16(0, true);
    expect([1, -2, 65504, 2 ** -24, 2 ** -14, 0.333251953125].map((x) => bits('f16', x))).toEqual([0x3c00, 0xc000, 0x7bff, 1, 0x400, 0x3555]);
    expect([1, -2, 2 ** -126, 3.140625].map((x) => bits('bf16', x))).toEqual([0x3f80, 0xc000, 0x80, 0x4049]);
  });
});

describe('a second reading, in Python', () => {
  const python = spawnSync('python3', ['--version']).status === 0;
  if (!python) console.log('skipped: python3 is not there to read fixtures/golden/recite');

  it.skipIf(!python)('recites the same text from the bytes of the files', () => {
    const script = fileURLToPath(new URL('check_recite.py', import.meta.url));
    const { status, stdout, stderr } = spawnSync('python3', [script, join(goldenFolder, 'recite')], { encoding: 'utf8' });
    expect({ status, stdout: stdout.trim(), stderr }).toMatchObject({ status: 0, stdout: reciteText });
  });
});
