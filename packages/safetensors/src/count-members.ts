/**
 * Members of JSON objects, counted without making anything of them: building the directory of a header of 1.7 million tensors, only to
 * refuse it then, takes a gigabyte. Works on any bytes; what is wrong with them is for JsonReader to say.
 */
const QUOTE = 0x22, COMMA = 0x2c, BACKSLASH = 0x5c, OPEN_ARRAY = 0x5b, CLOSE_ARRAY = 0x5d, OPEN_OBJECT = 0x7b, CLOSE_OBJECT = 0x7d;

/** Even `"a":0,` takes more. */
const LEAST_BYTES_PER_MEMBER = 5;

/** Where member number `most` + 1 begins among those inside of `depth` braces (1: of the outermost object); undefined when there are no more than `most`. */
export function memberBeyond(bytes: Uint8Array, start: number, depth: number, most: number): number | undefined {
  const end = bytes.length;
  if (end - start < most * LEAST_BYTES_PER_MEMBER) return undefined;
  let level = 0;
  let members = 0;
  let keyIsNext = false;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      if (keyIsNext && ++members > most) return at;
      keyIsNext = false;
      for (at++; at < end && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
    } else if (byte === OPEN_OBJECT) keyIsNext = ++level === depth;
    else if (byte === OPEN_ARRAY) level++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) level--;
    else if (byte === COMMA) keyIsNext = level === depth;
  }
  return undefined;
}
