/** Names for the values of JSON text: the headers of safetensors files, and indexes. Stops where the text is no JSON. */
import type { ByteRange, ByteSource } from '@weightspec/core';
import { lastBefore, type Field, type Namer } from './record.js';

/** Longer text is not looked through for names. */
const MAX_TEXT_BYTES = 1 << 24;
/** Characters between two places at which the walk can be taken up again. */
const BETWEEN_PLACES = 1 << 17;

/** A container of the text: an object with the key that comes next, or an array with the index. */
interface Level {
  /** As it is spelled, quotes included; most are never asked for. */
  key: string | number;
  expectsKey: boolean;
}

interface Place {
  readonly offset: number;
  readonly levels: readonly Level[];
}

/** `data_offsets[1]` of tensor `a` for the path a, data_offsets, 1. */
function named(path: readonly (string | number)[], byteRange: ByteRange): Field {
  const [first = '', ...rest] = path.map((key) => (typeof key === 'number' ? key : unquoted(key)));
  const text = (keys: readonly (string | number)[]): string => keys.map((key, index) => (typeof key === 'number' ? `[${key}]` : index === 0 ? key : `.${key}`)).join('');
  return rest.length === 0 ? { name: text([first]), byteRange } : { name: text(rest), record: String(first), byteRange };
}

const unquoted = (token: string): string => {
  try {
    return String(JSON.parse(new TextDecoder().decode(Uint8Array.from(token, (unit) => unit.charCodeAt(0)))));
  } catch {
    return token.slice(1, -1);
  }
};

/** Values of the text in [textStart, textEnd). It is read once, and walked over once. */
export function jsonNamer(source: ByteSource, textStart: number, textEnd: number): Namer {
  const end = Math.min(textEnd, source.size);
  let loading: Promise<string> | undefined;
  // One character a byte, so that places in the text are places in the file.
  const load = async (): Promise<string> => new TextDecoder('latin1').decode(await source.read(textStart, end - textStart));
  const places: Place[] = [{ offset: 0, levels: [] }];
  return async ([from, to]) => {
    // Not so for text that is too long, or that is not there.
    if (!(end > textStart) || end - textStart > MAX_TEXT_BYTES) return [];
    const text = await (loading ??= load());
    return valuesIn(text, textStart, [from, Math.max(to, from + 1)], places);
  };
}

/** Values that have a byte in [from, to). Notes new `places` on its way. */
function valuesIn(text: string, textStart: number, [from, to]: ByteRange, places: Place[]): Field[] {
  const fields: Field[] = [];
  const place = lastBefore(places, from - textStart);
  const levels: Level[] = (place?.levels ?? []).map((level) => ({ ...level }));
  const token = /[\t\n\r ]*("(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+)/ys;
  token.lastIndex = place?.offset ?? 0;
  for (let found = token.exec(text); found; found = token.exec(text)) {
    const [, word = ''] = found;
    const at = textStart + token.lastIndex - word.length;
    if (at >= to) break;
    const level = levels.at(-1);
    if (word === '{') levels.push({ key: '', expectsKey: true });
    else if (word === '[') levels.push({ key: 0, expectsKey: false });
    else if (word === '}' || word === ']') levels.pop();
    else if (word === ',') {
      if (level && typeof level.key === 'number') level.key += 1;
      else if (level) level.expectsKey = true;
    } else if (word !== ':' && level?.expectsKey) {
      level.key = word;
      level.expectsKey = false;
    } else if (word !== ':' && level && at + word.length > from) {
      fields.push(named(levels.map(({ key }) => key), [at, at + word.length]));
    }
    if (token.lastIndex - places.at(-1)!.offset >= BETWEEN_PLACES) places.push({ offset: token.lastIndex, levels: levels.map((one) => ({ ...one })) });
  }
  return fields;
}
