/**
 * Decoding a synthetic Llama of 110M parameters in q8_0 by the WebAssembly backend, beside the reference backend and, where a
 * compiler has made one, the native backend. Every token reads every weight once.
 */
import { openBackend as openNative } from '@weightspec/backend-native';
import { openBackend as openWasm } from '@weightspec/backend-wasm';
import { dtype, type Backend, type Executable } from '@weightspec/core';
import { BackendError, referenceBackend } from '@weightspec/kernels';
import type { BenchResult } from './bench.js';
import { models } from './models.js';
import { syntheticModel, type Shape, type SyntheticModel } from './synthetic.js';

const shape: Shape = { ...models.M.shape, positions: 256 };

export const heading = 'wasm: bytes of weights read while decoding (110M parameters, q8_0, positions 0 to 31, the best token)';

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

async function nativeContender(model: SyntheticModel): Promise<Contender[]> {
  try {
    return [await contender('native', await openNative(), model, 32)];
  } catch (error) {
    if (!(error instanceof BackendError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
    console.log(`without the native backend: ${error.message}`);
    return [];
  }
}

export async function bench(): Promise<BenchResult[]> {
  const model = syntheticModel(shape, dtype('Q8_0'));
  const wasm = await contender('wasm', await openWasm(), model, 32);
  const oneThread = await contender('wasm, one thread', await openWasm({ threads: 1 }), model, 16);
  const reference = await contender('reference', referenceBackend, model, 1);
  const native = await nativeContender(model);
  await race([wasm, oneThread, reference, ...native]);
  const rate = ({ name, bestMilliseconds }: Contender) => ({ name, gigabytesPerSecond: model.bytesPerToken / 1e6 / bestMilliseconds });
  return [
    { ...rate(wasm), baseline: rate(reference), requiredRatio: REQUIRED_OF_REFERENCE },
    ...native.map((entry) => ({ ...rate(wasm), baseline: rate(entry), requiredRatio: REQUIRED_OF_NATIVE })),
    { ...rate(oneThread), baseline: rate(wasm) },
  ];
}
