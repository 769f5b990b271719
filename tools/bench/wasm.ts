/**
 * Decoding a synthetic Llama of 110M parameters (`--types`; q8_0 unless said otherwise) by the WebAssembly backend, beside the
 * reference backend and, where a compiler has made one, the native backend. Every token reads every weight once.
 */
import { openBackend as openNative } from '@weightspec/backend-native';
import { openBackend as openWasm } from '@weightspec/backend-wasm';
import { dtype, type Backend, type Executable } from '@weightspec/core';
import { BackendError, referenceBackend } from '@weightspec/kernels';
import type { BenchOptions, BenchResult } from './bench.js';
import { models, type WeightType } from './models.js';
import { allowRelaxedSimd } from './relaxed-simd.js';
import { syntheticModel, type Shape, type SyntheticModel } from './synthetic.js';

const shape: Shape = { ...models.M.shape, positions: 256 };

export const heading = 'wasm: bytes of weights read while decoding (110M parameters, positions 0 to 31, the best token)';

/** Of q8_0; other types are measured only. */
const REQUIRED_OF_REFERENCE = 8;
const REQUIRED_OF_NATIVE = 0.4;

/** One backend with the model loaded, and its best token so far. */
interface Contender {
  readonly name: string;
  readonly tokensPerRound: number;
  readonly executable: Executable;
  bestMilliseconds: number;
}

const ROUNDS = 12;

async function contender(name: string, backend: Backend, { program, weights }: SyntheticModel, tokensPerRound: number): Promise<Contender> {
  return { name, tokensPerRound, executable: await backend.compile(program, weights), bestMilliseconds: Infinity };
}

/** Backends take turns, and the best token of each counts: other processes can only slow one down, and hit all alike. The first round warms up. */
async function race(contenders: readonly Contender[]): Promise<void> {
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const entry of contenders) {
      for (let position = 0; position < entry.tokensPerRound; position += 1) {
        const started = performance.now();
        await entry.executable.run([(7 * position) % shape.vocab], position);
        if (round > 0) entry.bestMilliseconds = Math.min(entry.bestMilliseconds, performance.now() - started);
      }
    }
  }
  for (const { executable } of contenders) await executable.dispose();
}

/** Undefined where the backend does not open here. */
async function contenderIfThere(name: string, open: () => Promise<Backend>, model: SyntheticModel): Promise<Contender | undefined> {
  try {
    return await contender(name, await open(), model, 32);
  } catch (error) {
    if (!(error instanceof BackendError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
    console.log(`without ${name}: ${error.message}`);
    return undefined;
  }
}

async function benchType(type: WeightType): Promise<BenchResult[]> {
  const model = syntheticModel(shape, dtype(type.toUpperCase()));
  const wasm = await contender(`${type} wasm`, await openWasm({ relaxedSimd: false }), model, 32);
  const relaxed = await contenderIfThere(`${type} wasm, relaxed SIMD`, () => openWasm({ relaxedSimd: true }), model);
  const best = relaxed ?? wasm;
  const oneThread = await contender(`${best.name}, one thread`, await openWasm({ threads: 1, relaxedSimd: relaxed !== undefined }), model, 16);
  const reference = await contender('reference', referenceBackend, model, 1);
  const native = await contenderIfThere('native', openNative, model);
  await race([wasm, oneThread, reference, ...[relaxed, native].filter((entry) => entry !== undefined)]);
  const rate = ({ name, bestMilliseconds }: Contender) => ({ name, gigabytesPerSecond: model.bytesPerToken / 1e6 / bestMilliseconds });
  const required = (ratio: number) => (type === 'q8_0' ? { requiredRatio: ratio } : {});
  return [
    { ...rate(best), baseline: rate(reference), ...required(REQUIRED_OF_REFERENCE) },
    ...(native ? [{ ...rate(best), baseline: rate(native), ...required(REQUIRED_OF_NATIVE) }] : []),
    ...(relaxed ? [{ ...rate(relaxed), baseline: rate(wasm) }] : []),
    { ...rate(oneThread), baseline: rate(best) },
  ];
}

/** Throws RangeError for a type that files have but this model does not: llama2.c's int8. */
export async function bench({ types = ['q8_0'] }: BenchOptions): Promise<BenchResult[]> {
  if (types.includes('int8')) throw new RangeError('the bench wasm has no int8');
  allowRelaxedSimd();
  const results: BenchResult[] = [];
  for (const type of types) results.push(...(await benchType(type)));
  return results;
}
