import { array, assert, integer, property, tuple } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fieldNames, frameWindow, hexFrame, readFrame, type Frame } from './hexdump.js';

const texts = (frame: Frame): readonly string[] => frame.lines.map(({ text }) => text);
const counting = (length: number) => Uint8Array.from({ length }, (_, index) => index);

describe('hexFrame', () => {
  it('marks exactly the bytes of the range, across the gap in the middle of a row', () => {
    expect(texts(hexFrame(counting(16), 0, [7, 9], 16))).toEqual([
      '00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|',
      '                               ^^  ^^',
    ]);
  });
  it('puts each mark under its own byte', () => {
    for (let at = 0; at < 16; at += 1) {
      const [dump = '', marks = ''] = texts(hexFrame(counting(16), 0, [at, at + 1], 16));
      expect(dump.slice(marks.indexOf('^^'), marks.indexOf('^^') + 2)).toBe(at.toString(16).padStart(2, '0'));
    }
  });
  it('shows text beside the bytes and offsets in hex', () => {
    expect(texts(hexFrame(new TextEncoder().encode('24ka'), 0x1230, [0x1230, 0x1234], 0x1234))).toEqual([
      '00001230  32 34 6b 61                                       |24ka|',
      '          ^^ ^^ ^^ ^^',
    ]);
  });
  it('says how much of a long range is not shown', () => {
    const lines = texts(hexFrame(counting(48), 16, [16, 1016], 5000));
    expect(lines.at(-1)).toBe('          … and 952 more bytes, up to 1016');
  });
});

describe('names over the bytes', () => {
  const fields = (...rows: readonly (readonly [name: string, start: number, end: number])[]) => rows.map(([name, start, end]) => ({ name, byteRange: [start, end] as const }));

  it('begin over the first byte of their field, and stand higher where they would run into the next', () => {
    expect(texts(hexFrame(counting(16), 0, [8, 12], 16, fields(['magic', 0, 4], ['a_long_name_of_a_field', 4, 8], ['dim', 8, 12], ['shared', 12, 13], ['group_size', 13, 16])))).toEqual([
      '                      a_long_name_of_a_field   shared',
      '          magic       |            dim         |  group_size',
      '00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|',
      '                                   ^^ ^^ ^^ ^^',
    ]);
  });
  it('say in the first row what goes on from before, and do not repeat it below', () => {
    expect(texts(hexFrame(counting(32), 16, [40, 41], 64, fields(['reserved', 4, 40], ['norm.weight', 40, 64])))).toEqual([
      '          …reserved',
      '00000010  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  |................|',
      '                                   norm.weight',
      '00000020  10 11 12 13 14 15 16 17  18 19 1a 1b 1c 1d 1e 1f  |................|',
      '                                   ^^',
    ]);
  });
  it('say what begins with a field', () => {
    const [names] = texts(hexFrame(counting(16), 0, [0, 1], 16, [{ name: 'PROTO 2', record: 'sys_info', begins: 'sys_info', byteRange: [4, 6] }]));
    expect(names).toBe('                      sys_info: PROTO 2');
  });
  it('leave out those that would crowd out a marked one', () => {
    const crowd = fields(...Array.from({ length: 8 }, (_, index) => [`OPCODE_${index}`, index, index + 1] as const));
    const named = (at: number) => texts(hexFrame(counting(16), 0, [at, at + 1], 16, crowd)).join('\n').match(/OPCODE_\d/g) ?? ([] as const);
    expect(Array.from({ length: 8 }, (_, index) => [...named(index)].includes(`OPCODE_${index}`))).toEqual(Array.from({ length: 8 }, () => true));
    expect(named(15).length).toBeGreaterThanOrEqual(4);
    expect(named(15).length).toBeLessThan(8);
  });
  it('never cover one another, whatever the fields are', () => {
    const sizes = array(tuple(integer({ min: 1, max: 5 }), integer({ min: 1, max: 30 })), { maxLength: 16 });
    expect(() => assert(property(sizes, (chosen) => {
      let end = 0;
      const named = chosen.map(([bytes, letters], index) => ({ name: String.fromCharCode(0x61 + index).repeat(letters), byteRange: [end, (end += bytes)] as const }));
      const lines = hexFrame(counting(16), 0, [15, 16], 16, named).lines.filter(({ kind }) => kind === 'names').map(({ text }) => text);
      return named.filter((field) => field.byteRange[0] < 16).every(({ name, byteRange: [start] }) => {
        const column = 10 + 3 * start + (start >= 8 ? 1 : 0);
        const line = lines.findIndex((text) => text.slice(column).startsWith(name));
        // Left out when four lines are not enough; else a line goes down from it.
        return line < 0 ? lines.length === 4 : lines.slice(line + 1).every((text) => text[column] === '|');
      });
    }))).not.toThrow();
  });
  it('let no control character of a name through, and are cut when they are long', () => {
    const [line = ''] = texts(hexFrame(counting(16), 0, [0, 1], 16, fields([`\u001b[31m${'x'.repeat(80)}`, 0, 16])));
    expect(line).toMatch(/^ {10}\\u\{1b\}\[31mx+…$/);
    expect(line).toHaveLength(10 + 44);
  });
  it('tell which fields are marked', () => {
    const { marked } = hexFrame(counting(16), 0, [3, 5], 16, [{ name: 'a', byteRange: [0, 4] }, { name: 'crc', record: 'm', byteRange: [4, 8] }, { name: 'c', byteRange: [8, 16] }]);
    expect(fieldNames(marked)).toBe('a, crc of m');
    expect(fieldNames(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ({ name, record: 'm', byteRange: [0, 1] })))).toBe('a to f of m');
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
