/** Names for the values of JSON text: the headers of safetensors files, and indexes. Stops where the text is no JSON. */
import type { ByteRange, ByteSource } from '@weightspec/core';
import type { Field } from './record.js';

/** Longer text is not looked through for names. */
const MAX_TEXT_BYTES = 1 << 24;

/** A container of the text: an object with the key that comes next, or an array with the index. */
interface Level {
  key: string | number;
  expectsKey: boolean;
}

/** `data_offsets[1]` of tensor `a` for the path a, data_offsets, 1. */
function named(path: readonly (string | number)[], byteRange: ByteRange): Field {
  const [first = '', ...rest] = path;
  const text = (keys: readonly (string | number)[]) => keys.map((key, index) => (typeof key === 'number' ? `[${key}]` : index === 0 ? key : `.${key}`)).join('');
  return rest.length === 0 ? { name: text([first]), byteRange } : { name: text(rest), record: String(first), byteRange };
}

const unquoted = (token: string): string => {
  try {
    return String(JSON.parse(new TextDecoder().decode(Uint8Array.from(token, (unit) => unit.charCodeAt(0)))));
  } catch {
    return token.slice(1, -1);
  }
};

/** Fields in [textStart, textEnd) that end after `range` begins, up to the first that begins after it ends. */
export async function jsonFields(source: ByteSource, textStart: number, textEnd: number, range: ByteRange): Promise<Field[]> {
  const end = Math.min(textEnd, source.size, range[1] + 256);
  if (end <= textStart || end - textStart > MAX_TEXT_BYTES) return [];
  // One character a byte, so that places in the text are places in the file.
  const text = new TextDecoder('latin1').decode(await source.read(textStart, end - textStart));
  const fields: Field[] = [];
  const levels: Level[] = [];
  const token = /[\t\n\r ]*("(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+)/ys;
  for (let found = token.exec(text); found; found = token.exec(text)) {
    const [, word = ''] = found;
    const at = textStart + token.lastIndex - word.length;
    if (at >= range[1]) break;
    const level = levels.at(-1);
    if (word === '{') levels.push({ key: '', expectsKey: true });
    else if (word === '[') levels.push({ key: 0, expectsKey: false });
    else if (word === '}' || word === ']') levels.pop();
    else if (word === ',') {
      if (level && typeof level.key === 'number') level.key += 1;
      else if (level) level.expectsKey = true;
    } else if (word !== ':' && level?.expectsKey) {
      level.key = unquoted(word);
      level.expectsKey = false;
    } else if (word !== ':' && level && at + word.length > range[0]) {
      fields.push(named(levels.map(({ key }) => key), [at, at + word.length]));
    }
  }
  return fields;
}
