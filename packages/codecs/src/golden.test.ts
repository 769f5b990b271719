/**
 * Goldens of ggml's scalar reference quantizers (c0e1eb4, gcc 12 -O2 -ffp-contract=off) and of qwen.cpp's converter under torch.
 * NaN is compared as NaN: which NaN an operation makes is not defined in JavaScript.
 */
import { readFileSync } from 'node:fs';
import { sharedData } from '@weightspec/oracles';
import { describe, expect, it } from 'vitest';
import { codecs } from './index.js';

interface GoldenBlock {
  readonly label: string;
  readonly x: string;
  readonly f16: string;
  readonly codecs: Readonly<Record<string, { readonly q: string; readonly deq: string; readonly c_undefined: boolean; readonly py_q?: string }>>;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
const f32 = (text: Uint8Array) => codecs.f32.dequantize(text);
/** Hexadecimal bits of each value; NaN by name. */
const bits = (values: Float32Array) => Array.from(values, (value) => (Number.isNaN(value) ? 'NaN' : hex(codecs.f32.quantize(Float32Array.of(value)))));

const path = sharedData('quant/quant_golden.json');
const blocks: readonly GoldenBlock[] = path ? JSON.parse(readFileSync(path, 'utf8')).blocks : [];

describe.skipIf(!path).each(['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0'] as const)('%s', (name) => {
  const codec = codecs[name];
  const golden = blocks.flatMap(({ label, x, codecs: { [name]: encoded } }) => (encoded ? [{ label, x: f32(bytes(x)), ...encoded }] : []));
  const defined = golden.filter((block) => !block.c_undefined);

  it('has goldens to compare with', () => {
    expect(golden.length).toBe(442);
    expect(defined.length).toBeGreaterThanOrEqual(411);
  });

  it('quantizes as ggml does, byte for byte', () => {
    expect(defined.map(({ label, x }) => [label, hex(codec.quantize(x))])).toEqual(defined.map(({ label, q }) => [label, q]));
  });

  it('gives what x86 gives where C leaves the result undefined', () => {
    const rest = golden.filter((block) => block.c_undefined);
    expect(rest.map(({ label, x }) => [label, hex(codec.quantize(x))])).toEqual(rest.map(({ label, q }) => [label, q]));
  });

  it("quantizes as qwen.cpp's converter does, byte for byte, with rounding: torch", () => {
    expect(defined.filter((block) => block.py_q).length).toBeGreaterThan(10);
    expect(defined.map(({ label, x }) => [label, hex(codec.quantize(x, { rounding: 'torch' }))])).toEqual(defined.map(({ label, q, py_q }) => [label, py_q ?? q]));
  });

  it('dequantizes every golden block, bit for bit', () => {
    expect(golden.map(({ label, q }) => [label, bits(codec.dequantize(bytes(q)))])).toEqual(golden.map(({ label, deq }) => [label, bits(f32(bytes(deq)))]));
  });
});

describe.skipIf(!path)('f16', () => {
  it('converts all 442 blocks, NaN and infinities included, as ggml does', () => {
    expect(blocks.map(({ label, x }) => [label, hex(codecs.f16.quantize(f32(bytes(x))))])).toEqual(blocks.map(({ label, f16 }) => [label, f16]));
  });
});

const folder = sharedData('quant/ggml-all-types');
describe.skipIf(!folder).each(['f16', 'bf16', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0'] as const)('%s, 64 rows of 256', (name) => {
  const file = (ending: string) => Uint8Array.from(readFileSync(`${folder}/${ending}`));
  it('quantizes to the golden bytes', () => {
    const encoded = codecs[name].quantize(f32(file('input.f32')));
    expect(encoded.length).toBe(codecs[name].dtype.bytesPerBlock * (64 * 256 / codecs[name].dtype.blockSize));
    expect(Buffer.compare(encoded, file(`${name}.q`))).toBe(0);
  });
  it('dequantizes to the golden bits', () => {
    expect(Buffer.compare(codecs.f32.quantize(codecs[name].dequantize(file(`${name}.q`))), file(`${name}.deq.f32`))).toBe(0);
  });
});
