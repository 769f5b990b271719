import { afterEach, describe, expect, it, vi } from 'vitest';
import { dtype, type Program, type WeightHandle } from '@weightspec/core';
import { openBackend, type OpenOptions } from './index.js';
import { hasRelaxedSimd } from './module.js';
import { relaxedChoices } from './testing/relaxed.js';
import { noise, smallCase } from './testing/small.js';

const { program, weights } = smallCase();

async function placementOf(options: OpenOptions): Promise<string> {
  const executable = await (await openBackend({ threads: 1, ...options })).compile(program, weights);
  await executable.dispose();
  return executable.placement![0]!;
}

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
});

/** WebAssembly as an engine has it that does not know the opcodes from 0xfd 0x100 on. */
function withoutRelaxedSimd(): void {
  const validate = WebAssembly.validate.bind(WebAssembly);
  const relaxed = (bytes: Uint8Array): boolean => bytes.some((byte, i) => byte === 253 && bytes[i + 2] === 2 && bytes[i + 1]! >= 128);
  vi.spyOn(WebAssembly, 'validate').mockImplementation(((bytes: Uint8Array) => !relaxed(bytes) && validate(bytes as Uint8Array<ArrayBuffer>)) as never);
}

describe('the feature test', () => {
  it('asks for the instructions that the kernels use, in a module that is well-formed but for them', () => {
    const asked: Uint8Array[] = [];
    vi.stubGlobal('WebAssembly', { validate: (bytes: Uint8Array) => asked.push(bytes) > 0 });
    expect(hasRelaxedSimd()).toBe(true);
    vi.unstubAllGlobals();
    const instructions = Array.from(asked[0]!).flatMap((byte, i) => (byte === 253 ? [[asked[0]![i + 1]! - 128 + 128 * asked[0]![i + 2]!, i] as const] : []));
    // i16x8.relaxed_dot_i8x16_i7x16_s and f32x4.relaxed_madd: WebAssembly 3.0, section 5.4.
    expect(instructions.map(([opcode]) => opcode)).toEqual([0x112, 0x105]);
    // i16x8.mul, and v128.bitselect with a needless zero byte, take and give as much.
    const plain = Uint8Array.from(asked[0]!);
    plain.set([0x95, 0x01], instructions[0]![1] + 1);
    plain.set([0xd2, 0x00], instructions[1]![1] + 1);
    expect(WebAssembly.validate(plain)).toBe(true);
  });
  it('is false where the instructions are not known, or there is no WebAssembly', () => {
    withoutRelaxedSimd();
    expect(hasRelaxedSimd()).toBe(false);
    vi.stubGlobal('WebAssembly', undefined);
    expect(hasRelaxedSimd()).toBe(false);
  });
});

describe('relaxedSimd', () => {
  const here = relaxedChoices.includes(true) ? 'wasm, 1 thread, relaxed SIMD' : 'wasm, 1 thread';

  it('is what WebAssembly has here unless said otherwise, and said by placement', async () => {
    expect(await placementOf({})).toBe(here);
    expect(await placementOf({ relaxedSimd: 'auto' })).toBe(here);
    expect(await placementOf({ relaxedSimd: false })).toBe('wasm, 1 thread');
  });
  it('is taken from WEIGHTSPEC_RELAXED_SIMD where no option says it', async () => {
    vi.stubEnv('WEIGHTSPEC_RELAXED_SIMD', '0');
    expect(await placementOf({})).toBe('wasm, 1 thread');
    expect(await placementOf({ relaxedSimd: 'auto' })).toBe(here);
  });
  it('is done without where WebAssembly lacks it, unless asked for (BACKEND_UNAVAILABLE)', async () => {
    withoutRelaxedSimd();
    expect(await placementOf({})).toBe('wasm, 1 thread');
    await expect(openBackend({ relaxedSimd: true })).rejects.toThrow(/^BACKEND_UNAVAILABLE: .* no relaxed SIMD here/);
    vi.stubEnv('WEIGHTSPEC_RELAXED_SIMD', '1');
    await expect(openBackend()).rejects.toThrow(/^BACKEND_UNAVAILABLE: .* no relaxed SIMD here/);
  });
});

describe.skipIf(relaxedChoices.length < 2)('relaxed SIMD multiplies integers', () => {
  const columns = 96;
  const bytesPerBlock = { Q4_0: 18, Q4_1: 20, Q5_0: 22, Q5_1: 24, Q8_0: 34 };

  /** y = weight · x for one x a token, its scales 2^−4 and its minimums 2^−5 or, where a type has none, codes. */
  function matmulOf(storage: keyof typeof bytesPerBlock, xs: Float32Array, code: (i: number) => number) {
    const rows = xs.length / columns;
    const blockBytes = bytesPerBlock[storage];
    const bytes = Uint8Array.from({ length: (rows * columns * blockBytes) / 32 }, (_, i) => code(i));
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length; at += blockBytes) {
      view.setUint16(at, 0x2c00, true);
      if (storage.endsWith('_1')) view.setUint16(at + 2, 0x2800, true);
    }
    const handle = (name: string, type: string, data: Uint8Array): [string, WeightHandle] => {
      const source = { name, size: data.length, read: async (offset: number, length: number) => data.slice(offset, offset + length) };
      return [name, { name, shape: [rows, columns], storage: type, parts: { values: { name, dtype: dtype(type), shape: [rows, columns], location: { source, offset: 0, length: data.length } } } }];
    };
    const matmul: Program = {
      architecture: 'matmul alone', vocabSize: rows, maxSeqLen: rows, layers: 0, kvWidth: 1,
      buffers: [{ name: 'x', width: columns }, { name: 'y', width: rows }],
      weights: ['x', 'w'].map((name) => ({ name, shape: [rows, columns] })),
      ops: [{ op: 'embed', weight: 'x', out: 'x' }, { op: 'matmul', x: 'x', weight: 'w', out: 'y' }],
      logits: 'y',
    };
    return { program: matmul, weights: new Map([handle('x', 'F32', new Uint8Array(xs.buffer)), handle('w', storage, bytes)]), tokens: Array.from({ length: rows }, (_, i) => i) };
  }

  const random = noise(7 * columns, 5);
  const inputs: Readonly<Record<string, Float32Array>> = {
    'random numbers': random,
    'the largest of either sign': random.map((value) => Math.sign(value)),
    'all of one sign': random.map(() => -1),
    'NaN, infinities, zeros and subnormals': random.map((value, i) => [value, value, 0, 1e-40][Math.floor(i / columns) % 4]!).fill(Number.NaN, 3, 4).fill(-Infinity, 3 * columns + 40, 3 * columns + 41),
  };
  const bytes = noise(20_000, 9).map((value) => Math.floor(128 + 128 * value));
  const codes: Readonly<Record<string, (i: number) => number>> = {
    'random codes': (i) => bytes[i]!,
    'codes of −128, and of 15 or 31': (i) => (i % 34 < 2 ? 0 : [0x80, 0xff][Math.floor(i / 700) % 2]!),
    'codes of one bit': (i) => 1 << (i % 8),
  };
  const cases = Object.keys(bytesPerBlock).flatMap((storage) => Object.keys(inputs).flatMap((input) => Object.keys(codes).map((kind) => [storage, kind, input] as const)));

  it.each(cases)('exactly: %s, %s times %s', async (storage, kind, input) => {
    const { program: matmul, weights: matrices, tokens } = matmulOf(storage as keyof typeof bytesPerBlock, inputs[input]!, codes[kind]!);
    const results = await Promise.all([false, true].map(async (relaxedSimd) => {
      const executable = await (await openBackend({ threads: 1, relaxedSimd })).compile(matmul, matrices);
      return executable.run(tokens, 0, { all: true });
    }));
    expect(results[1]).toEqual(results[0]);
    expect(results[0]!.some((value) => value !== 0)).toBe(true);
  });
});
