/** JsonReader against JSON.parse, on any text: the same texts are JSON to both, and mean the same, but for what JSON.parse hides. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonError, JsonReader, MAX_JSON_DEPTH, type JsonFault } from './json-reader.js';
import { firstInvalidUtf8 } from './utf8.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Reads any value by the reader's own means. Numbers are compared as text. */
function valueOf(json: JsonReader): unknown {
  switch (json.type()) {
    case 'object': {
      const members: [string, unknown][] = [];
      json.object((key) => members.push([key, valueOf(json)]));
      return Object.fromEntries(members);
    }
    case 'array': {
      const elements: unknown[] = [];
      json.array(() => elements.push(valueOf(json)));
      return elements;
    }
    case 'string': return json.string();
    default: {
      json.skip();
      return JSON.parse(new TextDecoder().decode(json.bytes.subarray(...json.tokenRange)));
    }
  }
}

function read(text: string): { value: unknown } | { fault: JsonFault; covered: string } {
  const bytes = utf8(text);
  const json = new JsonReader(bytes);
  try {
    const value = valueOf(json);
    json.finish();
    return { value };
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    const [start, end] = error.byteRange;
    if (start < 0 || start > end || end > bytes.length) throw new RangeError(`[${start}, ${end}) is not in ${bytes.length} bytes`);
    return { fault: error.fault, covered: new TextDecoder().decode(bytes.subarray(start, end)) };
  }
}

function parse(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

const isUnicode = (value: unknown): boolean => !/\\u[dD][89a-fA-F]/.test(JSON.stringify(value));
/** Numbers that overflow a double are refused here and infinite there. */
const withoutOverflow = (text: string): boolean => !/\d[eE]\+?\d{3}/.test(text);

describe('JsonReader', () => {
  it('reads whatever JSON.stringify writes, with any white space, as JSON.parse does', () => {
    fc.assert(fc.property(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom(undefined, 1, '\t', ' \n'), (value, space) => {
      const text = JSON.stringify(value, null, space);
      fc.pre(isUnicode(value));
      expect(read(text)).toEqual(parse(text));
    }), { numRuns: 500 });
  });
  it('takes a damaged text for JSON exactly when JSON.parse does', () => {
    const pieces = ['{', '}', '[', ']', ',', ':', '"', '\\', '0', '1', '-', '+', '.', 'e', 'null', 'true', ' ', '\n', '\t', '\u0000', '\\u0041', '\\n', 'é', '\u{1f642}', '\u00a0', '\ufeff', '//', '\'', 'NaN'];
    let accepted = 0;
    fc.assert(fc.property(fc.jsonValue({ maxDepth: 2 }), fc.nat(), fc.nat({ max: 3 }), fc.array(fc.constantFrom(...pieces), { maxLength: 2 }), (value, place, dropped, put) => {
      fc.pre(isUnicode(value));
      const sound = Array.from(JSON.stringify(value));
      const text = sound.toSpliced(place % (sound.length + 1), dropped, ...put).join('');
      const expected = parse(text);
      fc.pre(withoutOverflow(text) && (expected === undefined || isUnicode(expected.value)));
      const actual = read(text);
      if ('value' in actual) accepted++;
      expect('value' in actual ? actual : undefined).toEqual(expected);
    }), { numRuns: 3000 });
    expect(accepted).toBeGreaterThan(100);
  });

  const faults: readonly (readonly [text: string, fault: JsonFault, covered: string])[] = [
    ['', 'syntax', ''], ['  ', 'syntax', ' '], ['{', 'syntax', '{'], ['{"a"}', 'syntax', '}'], ['{"a":}', 'syntax', '}'], ['{a:1}', 'syntax', 'a'], ['[1,]', 'syntax', ']'], ['[1 2]', 'syntax', '2'],
    ['"abc', 'syntax', '"abc'], ['"\\x"', 'syntax', '\\x'], ['"\\u12g4"', 'syntax', '\\u12g4'], ['nul', 'syntax', 'n'], ['01', 'syntax', '01'], ['-', 'syntax', '-'], ['1.', 'syntax', '.'], ['1e', 'syntax', 'e'], ['.5', 'syntax', '.'],
    ['1e999', 'syntax', '1e999'], ['-1e999', 'syntax', '-1e999'],
    ['"a\u0000b"', 'control-character', '\u0000'], ['"a\nb"', 'control-character', '\n'], ['"\\n\u001f"', 'control-character', '\u001f'],
    ['"\\ud800"', 'lone-surrogate', '\\ud800'], ['"\\ud800x"', 'lone-surrogate', '\\ud800'], ['"\\ud800\\u0041"', 'lone-surrogate', '\\ud800'], ['"\\udc00\\ud800"', 'lone-surrogate', '\\udc00'],
    ['{} {}', 'trailing', '{}'], ['1\u0000', 'trailing', '\u0000'],
    ['['.repeat(MAX_JSON_DEPTH + 1), 'depth', '['],
  ];
  it.each(faults)('refuses %j (%s) at %j', (text, fault, covered) => {
    expect(read(text)).toEqual({ fault, covered });
  });
  it(`reads ${MAX_JSON_DEPTH} levels, and as many again beside them`, () => {
    const nested = `${'['.repeat(MAX_JSON_DEPTH - 1)}${']'.repeat(MAX_JSON_DEPTH - 1)}`;
    expect('value' in read(`[${nested},${nested}]`)).toBe(true);
  });

  const integers: readonly (readonly [text: string, value: number | bigint | undefined])[] = [
    ['0', 0], ['7', 7], ['999999999999999', 999_999_999_999_999], ['9007199254740991', 9007199254740991], ['9007199254740992', 9007199254740992n], ['18446744073709551615', 18446744073709551615n],
    ['18446744073709551616', undefined], ['1.0', undefined], ['1e0', undefined], ['1E2', undefined], ['-1', undefined], ['-0', undefined], ['0.0', undefined], ['100000000000000000000000', undefined], ['12.5', undefined],
  ];
  it.each(integers)('reads %s as the unsigned integer %s', (text, value) => {
    const json = new JsonReader(utf8(` ${text},`));
    expect(json.unsignedInteger()).toBe(value);
    expect(json.tokenRange).toEqual([1, 1 + text.length]);
    expect(json.peek()).toBe(0x2c);
  });
  it('reads long strings, also around the end of a window, and those that repeat', () => {
    const strings = Array.from({ length: 4000 }, (_, i) => (i % 3 === 0 ? 'dtype' : i % 1000 === 1 ? `${'é'.repeat(20)}${i}` : `a.rather.long.name.of.a.tensor.${i}`));
    expect(read(JSON.stringify(strings))).toEqual({ value: strings });
    const big = ['x'.repeat(200_000), 'y'.repeat(70_000), 'é'.repeat(70_000)];
    expect(read(JSON.stringify(big))).toEqual({ value: big });
  });
  it('keeps U+FEFF at the start of a string', () => {
    expect(read('["\ufeffa","\ufeff"]')).toEqual({ value: ['\ufeffa', '\ufeff'] });
  });
});

describe('firstInvalidUtf8', () => {
  it('agrees with a strict TextDecoder on any bytes', () => {
    const decode = (bytes: Uint8Array): boolean => {
      try {
        new TextDecoder('utf-8', { fatal: true }).decode(bytes);
        return true;
      } catch {
        return false;
      }
    };
    const lead = fc.constantFrom(0x41, 0x80, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff, 0x9f, 0xa0, 0x90, 0x8f);
    fc.assert(fc.property(fc.array(lead, { maxLength: 12 }), (values) => {
      const bytes = Uint8Array.from(values);
      const found = firstInvalidUtf8(bytes);
      expect(found === undefined).toBe(decode(bytes));
      // What is before the fault is sound, and with the fault it is not.
      const fault = found ?? [bytes.length, bytes.length];
      expect([decode(bytes.subarray(0, fault[0])), found === undefined || !decode(bytes.subarray(0, fault[1]))]).toEqual([true, true]);
    }), { numRuns: 2000 });
  });
});
