import { codecs } from '@weightspec/codecs';
import { DiagnosticError } from '@weightspec/core';
import { describe, expect, it } from 'vitest';
import { encoderPool } from './encoder-pool.js';

/** The built worker: npm test builds before it tests. */
const built = new URL('../dist/encode-worker.js', import.meta.url);
const values = Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i));
const request = (firstElement: number, changed: Float32Array = values) => ({ bytes: codecs.f32.quantize(changed), from: 'F32', to: { dtype: 'Q4_0', rounding: 'ggml' } as const, tensor: 'w', source: 'model', firstElement });

describe('encoderPool', () => {
  it('encodes in threads, many requests at a time, and only what it was given of a larger buffer', async () => {
    const pool = encoderPool(built)!;
    try {
      const expected = codecs.q4_0.quantize(values);
      const larger = Buffer.concat([Buffer.alloc(128), codecs.f32.quantize(values), Buffer.alloc(64)]).subarray(128, -64);
      const results = await Promise.all([...Array.from({ length: 20 }, (_, i) => request(i)), { ...request(0), bytes: larger }].map((one) => pool.encode(one)));
      expect(results).toHaveLength(21);
      for (const bytes of results) expect(Buffer.compare(bytes, expected)).toBe(0);
    } finally {
      await pool.close();
    }
  });
  it('writes the codecs’ bytes for every block type, native quantizers or not', async () => {
    const pool = encoderPool(built)!;
    try {
      for (const [name, codec] of Object.entries(codecs)) {
        for (const rounding of ['ggml', 'torch'] as const) {
          const bytes = await pool.encode({ ...request(0), to: { dtype: codec.dtype.name, rounding } });
          expect(Buffer.compare(bytes, codec.quantize(values, { rounding })), `${name} ${rounding}`).toBe(0);
        }
      }
    } finally {
      await pool.close();
    }
  });
  it('rejects with the findings (CODEC_NON_FINITE_INPUT) and goes on, and rejects all after it was closed', async () => {
    const pool = encoderPool(built)!;
    const bad = pool.encode(request(1000, values.map((value, i) => (i === 7 ? Infinity : value))));
    await expect(bad).rejects.toThrow(DiagnosticError);
    await expect(bad).rejects.toThrow(/CODEC_NON_FINITE_INPUT: w: element 1007/);
    expect((await pool.encode(request(0))).length).toBe(4096 / 32 * 18);
    await pool.close();
    await expect(pool.encode(request(0))).rejects.toThrow('has ended');
  });
  it('is not there where the worker is not built', () => {
    expect(encoderPool(new URL('./nowhere.js', import.meta.url))).toBeUndefined();
  });
});
