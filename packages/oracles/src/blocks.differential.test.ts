/** Blocks by the parser generated from specs/codecs/blocks.ksy and the arithmetic of clause C-2.3, against the codecs, bit for bit. */
import { assert, property, uint8Array } from 'fast-check';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { codecOf } from '@weightspec/codecs';
import { dtype } from '@weightspec/core';
import type { Blocks } from '../generated/Blocks.js';
import { loadGenerated } from './generated.js';

const KaitaiStream = createRequire(import.meta.url)('kaitai-struct/KaitaiStream') as new (buffer: ArrayBuffer) => unknown;
const { Blocks: parsers } = loadGenerated('Blocks') as { readonly Blocks: typeof Blocks };

const f16 = (bits: number): number => {
  const [exponent, fraction, sign] = [Math.floor(bits / 1024) % 32, bits % 1024, bits >= 32768 ? -1 : 1];
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
};
const nibble = (qs: Uint8Array, element: number): number => (element < 16 ? qs[element]! % 16 : Math.floor(qs[element - 16]! / 16));
const fifth = (qh: number, element: number): number => 16 * (Math.floor(qh / 2 ** element) % 2);
const round = Math.fround;

/** What element i of a block stands for; each operation rounded to f32. */
const readings: Readonly<Record<string, (io: unknown) => (element: number) => number>> = {
  Q4_0: (io) => { const { d, qs } = new parsers.Q40(io); return (i) => round((nibble(qs, i) - 8) * f16(d)); },
  Q4_1: (io) => { const { d, m, qs } = new parsers.Q41(io); return (i) => round(round(nibble(qs, i) * f16(d)) + f16(m)); },
  Q5_0: (io) => { const { d, qh, qs } = new parsers.Q50(io); return (i) => round((nibble(qs, i) + fifth(qh, i) - 16) * f16(d)); },
  Q5_1: (io) => { const { d, m, qh, qs } = new parsers.Q51(io); return (i) => round(round((nibble(qs, i) + fifth(qh, i)) * f16(d)) + f16(m)); },
  Q8_0: (io) => { const { d, qs } = new parsers.Q80(io); return (i) => round(qs[i]! * f16(d)); },
};

describe.each(Object.entries(readings))('%s', (name, reading) => {
  const type = dtype(name);
  it('has as many bytes as the specification draws, and the values that it gives', () => {
    expect(() => assert(property(uint8Array({ minLength: type.bytesPerBlock, maxLength: type.bytesPerBlock }), (bytes) => {
      const io = new KaitaiStream(bytes.slice().buffer) as { readonly pos: number };
      const valueOf = reading(io);
      if (io.pos !== type.bytesPerBlock) return false;
      const decoded = codecOf(type).dequantize(bytes);
      return decoded.length === 32 && decoded.every((value, i) => Object.is(value, valueOf(i)) || (Number.isNaN(value) && Number.isNaN(valueOf(i))));
    }))).not.toThrow();
  });
});
