/** The native quantizers write what the codecs write, on every input: the codecs' own suite says that this is what ggml writes. */
import { codecs } from '@weightspec/codecs';
import { byteLength } from '@weightspec/core';
import { BackendError } from '@weightspec/kernels';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { instructionSets, nativeQuantizers, openBackend, withQuantizer, type QuantizedType } from './index.js';

const seed = 20260606;
const natives = nativeQuantizers();
if (!natives) console.log('skipped: the native addon is not built here (apt-get install g++, then npm run build)');

const types = ['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'f16', 'bf16'] as const;
/** Quantizers of one instruction set, or undefined where this processor lacks it. */
function quantizersOf(isa: string) {
  const quantizers = nativeQuantizers(isa);
  try {
    quantizers?.f16(new Float32Array(1), new Uint8Array(2));
    return quantizers;
  } catch (error) {
    if (error instanceof BackendError) return undefined;
    throw error;
  }
}

const floatsOf = (words: Uint32Array): Float32Array => new Float32Array(words.buffer);
const word = fc.integer({ min: 0, max: 0xffffffff });
const block = <T>(element: fc.Arbitrary<T>) => fc.array(element, { minLength: 32, maxLength: 32 });
/** The bits that matter most: zeros, the ends of the subnormal and normal numbers, one half and its neighbours, infinities, NaN. */
const cornerWords = [0, 1, 0x007fffff, 0x00800000, 0x00ffffff, 0x01000000, 0x33000000, 0x33000001, 0x387fe000, 0x38800000, 0x3effffff, 0x3f000000, 0x3f000001, 0x477fefff, 0x477ff000, 0x7f000000, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fc00000, 0x7fffffff];

/** Every recipe makes one block of 32. */
const arbitraries: Readonly<Record<string, fc.Arbitrary<Float32Array>>> = {
  anyBits: block(word).map((words) => floatsOf(Uint32Array.from(words))),
  corners: block(fc.tuple(fc.constantFrom(...cornerWords), fc.boolean())).map((row) => floatsOf(Uint32Array.from(row, ([bits, negative]) => (negative ? bits | 0x80000000 : bits)))),
  oneCorner: fc.tuple(block(fc.integer({ min: -1000, max: 1000 })), fc.constantFrom(...cornerWords), fc.boolean(), fc.integer({ min: 0, max: 31 })).map(([row, bits, negative, at]) => {
    const values = Float32Array.from(row, (x) => x / 512);
    new Uint32Array(values.buffer)[at] = negative ? (bits | 0x80000000) >>> 0 : bits;
    return values;
  }),
  sameExponent: fc.tuple(block(word), fc.integer({ min: 0, max: 255 })).map(([words, exponent]) => floatsOf(Uint32Array.from(words, (bits) => (bits & 0x807fffff) | (exponent << 23)))),
  /** Around codes and halves of codes for every scale, give or take a few units in the last place. */
  ties: fc.tuple(block(fc.tuple(fc.integer({ min: -256, max: 256 }), fc.integer({ min: -3, max: 3 }))), fc.constantFrom(8, 15, 16, 31, 127), fc.integer({ min: -140, max: 100 }), fc.float({ min: 1, max: 2, noNaN: true })).map(([row, steps, exponent, scale]) =>
    Float32Array.from(row, ([half, ulps], i) => (i === 0 ? steps : (half / 2) * (1 + ulps * 2 ** -23)) * scale * 2 ** exponent),
  ),
  oneSided: fc.tuple(block(fc.integer({ min: 0, max: 40 })), fc.constantFrom(-1, 1), fc.constantFrom(0, 3)).map(([row, sign, offset]) => Float32Array.from(row, (x) => sign * (offset + x / 8))),
  zeros: block(fc.constantFrom(0, -0)).map((row) => Float32Array.from(row)),
};

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe.skipIf(!natives)('native quantizers', () => {
  describe.each(['scalar', 'avx2', 'avx512'])('%s', (isa) => {
    const quantizers = natives ? quantizersOf(isa) : undefined;
    it.skipIf(!quantizers).each(types)('%s: the bytes of the codec for more than 10,000 blocks, NaN, infinities, subnormals and ties among them', (type: QuantizedType) => {
      const codec = codecs[type];
      for (const arbitrary of Object.values(arbitraries)) {
        fc.assert(
          fc.property(fc.array(arbitrary, { minLength: 1, maxLength: 5 }), fc.integer({ min: 0, max: 3 }), (rows, offset) => {
            // The elements start anywhere in their buffer: f32 aligned, and no more.
            const values = new Float32Array(offset + 32 * rows.length).subarray(offset);
            const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
            for (const [i, row] of rows.entries()) words.set(new Uint32Array(row.buffer), 32 * i);
            const encoded = new Uint8Array(byteLength(codec.dtype, values.length)).fill(0xaa);
            quantizers![type](values, encoded);
            expect(hex(encoded)).toBe(hex(codec.quantize(values)));
          }),
          { seed, numRuns: 500 },
        );
      }
    });
  });

  it('takes every instruction set that the backend takes, as WEIGHTSPEC_ISA names one for both', async () => {
    const values = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
    for (const isa of [...instructionSets(), 'amx-emulated', 'mmx']) {
      const isThere = await openBackend({ isa, threads: 1 }).then(() => true, () => false);
      const quantizers = quantizersOf(isa);
      expect(quantizers !== undefined).toBe(isThere);
      const encoded = new Uint8Array(36);
      quantizers?.q4_0(values, encoded);
      expect(hex(encoded)).toBe(hex(isThere ? codecs.q4_0.quantize(values) : new Uint8Array(36)));
    }
  });

  it('encodes single elements, fewer than a vector holds, as F16 and BF16', () => {
    for (const type of ['f16', 'bf16'] as const) {
      for (let count = 0; count < 40; count++) {
        const values = Float32Array.from({ length: count }, (_, i) => (i - 17) * 1.7);
        const encoded = new Uint8Array(2 * count);
        natives![type](values, encoded);
        expect(hex(encoded)).toBe(hex(codecs[type].quantize(values)));
      }
    }
  });

  it('refuses parts of blocks and destinations of another length', () => {
    expect(() => natives!.q8_0(new Float32Array(33), new Uint8Array(34))).toThrow(RangeError);
    expect(() => natives!.q8_0(new Float32Array(32), new Uint8Array(33))).toThrow(RangeError);
    expect(() => natives!.f16(new Float32Array(2), new Uint8Array(2))).toThrow(RangeError);
  });

  it('replaces the ggml rounding of a codec and nothing else', () => {
    let calls = 0;
    const codec = withQuantizer(codecs.q4_0, (src, dst) => {
      calls += 1;
      natives!.q4_0(src, dst);
    });
    const values = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
    const dst = new Uint8Array(36);
    expect(codec.quantize(values, { dst })).toBe(dst);
    expect(hex(codec.quantize(values))).toBe(hex(codecs.q4_0.quantize(values)));
    expect(hex(dst)).toBe(hex(codecs.q4_0.quantize(values)));
    expect(calls).toBe(2);
    expect(hex(codec.quantize(values, { rounding: 'torch' }))).toBe(hex(codecs.q4_0.quantize(values, { rounding: 'torch' })));
    expect(calls).toBe(2);
    expect(() => codec.quantize(new Float32Array(33))).toThrow(RangeError);
  });
});
