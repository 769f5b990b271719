/**
 * Decoding a synthetic Llama of 110M parameters in q8_0 by the WebAssembly backend, beside the reference backend and, where a
 * compiler has made one, the native backend. Every token reads every weight once.
 */
import { openBackend as openNative } from '@weightspec/backend-native';
import { openBackend as openWasm } from '@weightspec/backend-wasm';
import { byteLength, dtype, type Backend, type Executable, type Op, type Program, type WeightHandle } from '@weightspec/core';
import { BackendError, referenceBackend } from '@weightspec/kernels';
import type { BenchResult } from './bench.js';

/** stories110M of llama2.c. */
const shape = { dim: 768, hidden: 2048, vocab: 32000, heads: 12, layers: 12, positions: 256 };

export const heading = 'wasm: bytes of weights read while decoding (110M parameters, q8_0, positions 0 to 31, the best token)';

const REQUIRED_OF_REFERENCE = 8;
const REQUIRED_OF_NATIVE = 0.4;

interface Model {
  readonly program: Program;
  readonly weights: Map<string, WeightHandle>;
}

/** Weights that are noise: random codes, and scales that keep activations about 1. */
function makeModel(): Model {
  const { dim, hidden, vocab, heads, layers, positions } = shape;
  const weights = new Map<string, WeightHandle>();
  const declare = (name: string, type: string, dims: readonly number[], bytes: Uint8Array): string => {
    const source = { name, size: bytes.length, read: async (offset: number, length: number) => bytes.subarray(offset, offset + length) };
    weights.set(name, { name, shape: dims, storage: type, parts: { values: { name, dtype: dtype(type), shape: dims, location: { source, offset: 0, length: bytes.length } } } });
    return name;
  };
  const norm = (name: string): string => declare(name, 'F32', [dim], new Uint8Array(new Float32Array(dim).fill(1).buffer));
  const matrix = (name: string, out: number, width: number): string => declare(name, 'Q8_0', [out, width], noiseBlocks(out * width, weights.size + 1));
  const headDim = dim / heads;
  const ops: Op[] = [{ op: 'embed', weight: matrix('embedding', vocab, dim), out: 'x' }];
  for (let layer = 0; layer < layers; layer += 1) {
    const rope = { op: 'rope', heads, headDim, theta: 10000, style: 'interleaved', layer } as const;
    ops.push(
      { op: 'rmsnorm', x: 'x', weight: norm(`${layer}.norm1`), eps: 1e-5, out: 'n', layer },
      { op: 'matmul', x: 'n', weight: matrix(`${layer}.q`, dim, dim), out: 'q', layer },
      { op: 'matmul', x: 'n', weight: matrix(`${layer}.k`, dim, dim), out: 'k', layer },
      { op: 'matmul', x: 'n', weight: matrix(`${layer}.v`, dim, dim), out: 'v', layer },
      { ...rope, x: 'q' },
      { ...rope, x: 'k' },
      { op: 'attention', q: 'q', k: 'k', v: 'v', out: 'a', heads, kvHeads: heads, headDim, layer },
      { op: 'matmul', x: 'a', weight: matrix(`${layer}.o`, dim, dim), out: 'n', layer },
      { op: 'add', a: 'x', b: 'n', out: 'x', layer },
      { op: 'rmsnorm', x: 'x', weight: norm(`${layer}.norm2`), eps: 1e-5, out: 'n', layer },
      { op: 'matmul', x: 'n', weight: matrix(`${layer}.gate`, hidden, dim), out: 'g', layer },
      { op: 'matmul', x: 'n', weight: matrix(`${layer}.up`, hidden, dim), out: 'u', layer },
      { op: 'swiglu', gate: 'g', up: 'u', out: 'g', layer },
      { op: 'matmul', x: 'g', weight: matrix(`${layer}.down`, dim, hidden), out: 'n', layer },
      { op: 'add', a: 'x', b: 'n', out: 'x', layer },
    );
  }
  ops.push({ op: 'rmsnorm', x: 'x', weight: norm('norm'), eps: 1e-5, out: 'x' }, { op: 'matmul', x: 'x', weight: 'embedding', out: 'logits' });
  const widths = { x: dim, n: dim, q: dim, k: dim, v: dim, a: dim, g: hidden, u: hidden, logits: vocab };
  const program: Program = {
    architecture: 'llama', vocabSize: vocab, maxSeqLen: positions, layers, kvWidth: dim,
    buffers: Object.entries(widths).map(([name, width]) => ({ name, width })),
    weights: Array.from(weights.values(), ({ name, shape: dims }) => ({ name, shape: dims })),
    ops,
    logits: 'logits',
  };
  return { program, weights };
}

/** Scale 2^−11, as f16. */
const SCALE_BITS = 0x1000;

function noiseBlocks(elements: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(byteLength(dtype('Q8_0'), elements));
  const words = new Uint32Array(bytes.buffer, 0, Math.floor(bytes.length / 4));
  let state = seed;
  for (let i = 0; i < words.length; i += 1) words[i] = state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 34) view.setUint16(at, SCALE_BITS, true);
  return bytes;
}

/** One backend with the model loaded, and its best token so far. */
interface Contender {
  readonly name: string;
  readonly tokensPerRound: number;
  readonly executable: Executable;
  bestMilliseconds: number;
}

const ROUNDS = 12;

async function contender(name: string, backend: Backend, { program, weights }: Model, tokensPerRound: number): Promise<Contender> {
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

async function nativeContender(model: Model): Promise<Contender[]> {
  try {
    return [await contender('native', await openNative(), model, 32)];
  } catch (error) {
    if (!(error instanceof BackendError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
    console.log(`without the native backend: ${error.message}`);
    return [];
  }
}

export async function bench(): Promise<BenchResult[]> {
  const model = makeModel();
  const wasm = await contender('wasm', await openWasm(), model, 32);
  const oneThread = await contender('wasm, one thread', await openWasm({ threads: 1 }), model, 16);
  const reference = await contender('reference', referenceBackend, model, 1);
  const native = await nativeContender(model);
  await race([wasm, oneThread, reference, ...native]);
  const bytes = Array.from(model.weights.values()).reduce((sum, { parts }) => sum + parts.values!.location.length, 0);
  const rate = ({ name, bestMilliseconds }: Contender) => ({ name, gigabytesPerSecond: bytes / 1e6 / bestMilliseconds });
  return [
    { ...rate(wasm), baseline: rate(reference), requiredRatio: REQUIRED_OF_REFERENCE },
    ...native.map((entry) => ({ ...rate(wasm), baseline: rate(entry), requiredRatio: REQUIRED_OF_NATIVE })),
    { ...rate(oneThread), baseline: rate(wasm) },
  ];
}
