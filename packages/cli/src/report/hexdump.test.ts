import { describe, expect, it } from 'vitest';
import { frameWindow, hexFrame, readFrame } from './hexdump.js';

const counting = (length: number) => Uint8Array.from({ length }, (_, index) => index);

describe('hexFrame', () => {
  it('marks exactly the bytes of the range, across the gap in the middle of a row', () => {
    expect(hexFrame(counting(16), 0, [7, 9], 16)).toEqual([
      '00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|',
      '                               ^^  ^^',
    ]);
  });
  it('puts each mark under its own byte', () => {
    for (let at = 0; at < 16; at += 1) {
      const [dump = '', marks = ''] = hexFrame(counting(16), 0, [at, at + 1], 16);
      expect(dump.slice(marks.indexOf('^^'), marks.indexOf('^^') + 2)).toBe(at.toString(16).padStart(2, '0'));
    }
  });
  it('shows text beside the bytes and offsets in hex', () => {
    expect(hexFrame(new TextEncoder().encode('24ka'), 0x1230, [0x1230, 0x1234], 0x1234)).toEqual([
      '00001230  32 34 6b 61                                       |24ka|',
      '          ^^ ^^ ^^ ^^',
    ]);
  });
  it('says how much of a long range is not shown', () => {
    const lines = hexFrame(counting(48), 16, [16, 1016], 5000);
    expect(lines.at(-1)).toBe('          … and 952 more bytes, up to 1016');
  });
});

describe('frameWindow', () => {
  it('reads the whole rows that the range touches, at most three', () => {
    expect(frameWindow([37, 41], 1000)).toEqual({ offset: 32, length: 16 });
    expect(frameWindow([37, 48], 1000)).toEqual({ offset: 32, length: 16 });
    expect(frameWindow([37, 49], 1000)).toEqual({ offset: 32, length: 32 });
    expect(frameWindow([37, 900], 1000)).toEqual({ offset: 32, length: 48 });
    expect(frameWindow([0, 18], 20)).toEqual({ offset: 0, length: 20 });
  });
  it('shows the last row when the range is empty at the end of the file', () => {
    expect(frameWindow([20, 20], 20)).toEqual({ offset: 16, length: 4 });
    expect(frameWindow([2 ** 40, 2 ** 40], 2 ** 40)).toEqual({ offset: 2 ** 40 - 16, length: 16 });
  });
});

describe('readFrame', () => {
  it('gives nothing for an empty file', async () => {
    const source = { name: 'empty', size: 0, read: () => Promise.reject(new Error('must not read')) };
    expect(await readFrame(source, [0, 0])).toBeUndefined();
  });
});
