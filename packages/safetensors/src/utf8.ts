/** UTF-8 as Unicode 15.0 table 3-7 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */

/** [start, end) of the first ill-formed sequence in bytes [start, end), or undefined. */
export function firstInvalidUtf8(bytes: Uint8Array, start = 0, end = bytes.length): readonly [number, number] | undefined {
  let at = start;
  while (at < end) {
    const lead = bytes[at]!;
    if (lead < 0x80) {
      // Headers are ASCII but for odd names: eight bytes at once.
      if (at + 8 <= end && (bytes[at + 1]! | bytes[at + 2]! | bytes[at + 3]! | bytes[at + 4]! | bytes[at + 5]! | bytes[at + 6]! | bytes[at + 7]!) < 0x80) at += 8;
      else at++;
      continue;
    }
    const length = sequenceLength(lead);
    if (length === 0) return [at, at + 1];
    for (let i = 1; i < length; i++) {
      const byte = at + i < end ? bytes[at + i]! : 0;
      const [least, greatest] = i === 1 ? secondByteRange(lead) : [0x80, 0xbf];
      if (byte < least || byte > greatest) return [at, at + i];
    }
    at += length;
  }
  return undefined;
}

function sequenceLength(lead: number): number {
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

function secondByteRange(lead: number): readonly [number, number] {
  switch (lead) {
    case 0xe0: return [0xa0, 0xbf];
    case 0xed: return [0x80, 0x9f];
    case 0xf0: return [0x90, 0xbf];
    case 0xf4: return [0x80, 0x8f];
    default: return [0x80, 0xbf];
  }
}
