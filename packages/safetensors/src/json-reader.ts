/**
 * A pull reader for JSON (RFC 8259) that keeps byte offsets. JSON.parse hides what safety depends on: duplicate keys,
 * `64.0` for 64, integers beyond 2^53, lone surrogates; and says nothing about where.
 * Works on UTF-8 bytes that were checked (firstInvalidUtf8); offsets are positions in the array given.
 */

/** Why reading stopped. `trailing`: something follows the document. */
export type JsonFault = 'syntax' | 'depth' | 'control-character' | 'lone-surrogate' | 'long-string' | 'trailing';

export class JsonError extends Error {
  override readonly name = 'JsonError';
  constructor(
    readonly fault: JsonFault,
    readonly byteRange: readonly [number, number],
    message: string,
  ) {
    super(message);
  }
}

export type JsonType = 'object' | 'array' | 'string' | 'number' | 'true' | 'false' | 'null';

/** serde_json's limit of 128 counts the level that fails. */
export const MAX_JSON_DEPTH = 127;
/** A text of a hundred megabytes would be held twice, and in two bytes a character. */
export const MAX_STRING_BYTES = 16_777_216;
const MAX_U64 = 2n ** 64n - 1n;
/** Strings up to this many bytes are looked up among those seen before: field names and dtypes come once a tensor. */
const MAX_INTERNED_BYTES = 16;
/**
 * Longer strings are cut out of windows decoded at once, which halves the time of reading a large header: a subarray for
 * each costs more than its text. A string kept alive keeps its window.
 */
const WINDOW_BYTES = 1 << 16;

const QUOTE = 0x22, COMMA = 0x2c, MINUS = 0x2d, POINT = 0x2e, LETTER_E = 0x65, COLON = 0x3a, BACKSLASH = 0x5c, OPEN_ARRAY = 0x5b, CLOSE_ARRAY = 0x5d, OPEN_OBJECT = 0x7b, CLOSE_OBJECT = 0x7d;
const simpleEscapes: ReadonlyMap<number, number> = new Map([['"', '"'], ['\\', '\\'], ['/', '/'], ['b', '\b'], ['f', '\f'], ['n', '\n'], ['r', '\r'], ['t', '\t']].map(([letter, text]) => [letter!.charCodeAt(0), text!.charCodeAt(0)]));
const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;

// ignoreBOM keeps U+FEFF at the start of a string; the names of tensors must not change.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export class JsonReader {
  /** Where reading goes on. */
  position: number;
  /** [tokenStart, tokenEnd) of the last string, number or literal, quotes included. */
  tokenStart: number;
  tokenEnd: number;
  /** White space between tokens so far. */
  whitespaceBytes = 0;
  #depth = 0;
  /** Text of bytes [#windowStart, #windowStart + length), when they are ASCII. */
  #window = '';
  #windowStart = 0;
  #windowEnd = 0;
  readonly #interned = new Map<number, { start: number; end: number; text: string }>();

  constructor(
    readonly bytes: Uint8Array,
    start = 0,
    readonly end = bytes.length,
  ) {
    this.position = start;
    this.tokenStart = start;
    this.tokenEnd = start;
  }

  get tokenRange(): readonly [number, number] {
    return [this.tokenStart, this.tokenEnd];
  }

  /** The first byte of the next token, or −1 at the end. */
  peek(): number {
    const { bytes, end } = this;
    const start = this.position;
    let at = start;
    while (at < end) {
      const byte = bytes[at]!;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
      at++;
    }
    this.position = at;
    this.whitespaceBytes += at - start;
    return at < end ? bytes[at]! : -1;
  }

  /** What the next value is, by its first byte. Throws JsonError where no value can start. */
  type(): JsonType {
    const byte = this.peek();
    switch (byte) {
      case OPEN_OBJECT: return 'object';
      case OPEN_ARRAY: return 'array';
      case QUOTE: return 'string';
      case 0x74: return 'true';
      case 0x66: return 'false';
      case 0x6e: return 'null';
      default:
        if (byte === MINUS || isDigit(byte)) return 'number';
        throw this.#unexpected('a value');
    }
  }

  /** Reads an object; `member` must read (or skip) the value of each key. The key's range is the token range. */
  object(member: (key: string) => void): void {
    this.#open(OPEN_OBJECT, '"{"');
    if (this.peek() === CLOSE_OBJECT) return this.#close();
    for (;;) {
      if (this.peek() !== QUOTE) throw this.#unexpected('a key');
      const key = this.string();
      const { tokenStart, tokenEnd } = this;
      this.#expect(COLON, '":"');
      this.tokenStart = tokenStart;
      this.tokenEnd = tokenEnd;
      member(key);
      const next = this.peek();
      if (next === CLOSE_OBJECT) return this.#close();
      if (next !== COMMA) throw this.#unexpected('"," or "}"');
      this.position++;
    }
  }

  /** Reads an array; `element` must read (or skip) each element. */
  array(element: (index: number) => void): void {
    this.#open(OPEN_ARRAY, '"["');
    if (this.peek() === CLOSE_ARRAY) return this.#close();
    for (let index = 0; ; index++) {
      element(index);
      const next = this.peek();
      if (next === CLOSE_ARRAY) return this.#close();
      if (next !== COMMA) throw this.#unexpected('"," or "]"');
      this.position++;
    }
  }

  string(): string {
    if (this.peek() !== QUOTE) throw this.#unexpected('a string');
    const { bytes, end } = this;
    const start = this.position;
    let at = start + 1;
    while (at < end) {
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        if (at - start - 1 > MAX_STRING_BYTES) throw this.#longString(start, at + 1);
        this.#token(start, at + 1);
        return at - start - 1 <= MAX_INTERNED_BYTES ? this.#intern(start + 1, at) : this.#text(start + 1, at);
      }
      if (byte === BACKSLASH) return this.#escapedString(start, at);
      if (byte < 0x20) throw this.#controlCharacter(at);
      at++;
    }
    throw new JsonError('syntax', [start, end], 'a string has no closing quote');
  }

  /**
   * Reads a number: a safe integer as a number, a larger one up to 2^64 − 1 as a bigint, and undefined for what is not
   * an unsigned 64-bit integer token (a sign, a fraction, an exponent, too large).
   */
  unsignedInteger(): number | bigint | undefined {
    const first = this.peek();
    const { bytes, end, position } = this;
    if (first >= 0x31 && first <= 0x39) {
      let value = first - 0x30;
      let at = position + 1;
      while (at < end && isDigit(bytes[at]!)) value = value * 10 + (bytes[at++]! - 0x30);
      const next = at < end ? bytes[at]! : 0;
      // Any more digits and the sum above may be rounded.
      if (at - position <= 15 && next !== POINT && (next | 0x20) !== LETTER_E) {
        this.#token(position, at);
        return value;
      }
    }
    if (!this.#number()) return undefined;
    if (this.tokenEnd - this.tokenStart > 20) return undefined;
    const value = BigInt(this.tokenText());
    if (value > MAX_U64) return undefined;
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }

  /** The last token as it is written, shortened to 40 bytes. For messages and BigInt. */
  tokenText(): string {
    const text = decoder.decode(this.bytes.subarray(this.tokenStart, Math.min(this.tokenEnd, this.tokenStart + 40)));
    return this.tokenEnd - this.tokenStart > 40 ? `${text}…` : text;
  }

  /** Reads any value and forgets it. Afterwards the token range is that of the whole value. */
  skip(): void {
    const type = this.type();
    const start = this.position;
    switch (type) {
      case 'object': this.object(() => this.skip()); break;
      case 'array': this.array(() => this.skip()); break;
      case 'string': this.string(); break;
      case 'number': this.#number(); break;
      default: this.#literal(type);
    }
    this.#token(start, this.position);
  }

  /** Throws unless only white space is left. */
  finish(): void {
    if (this.peek() === -1) return;
    throw new JsonError('trailing', [this.position, this.end], `${this.#shown()} follows the end of the JSON value`);
  }

  #token(start: number, end: number): void {
    this.tokenStart = start;
    this.tokenEnd = end;
    this.position = end;
  }

  #open(byte: number, shown: string): void {
    if (this.peek() !== byte) throw this.#unexpected(shown);
    if (++this.#depth > MAX_JSON_DEPTH) throw new JsonError('depth', [this.position, this.position + 1], `objects and arrays are nested more than ${MAX_JSON_DEPTH} levels deep`);
    this.position++;
  }

  #close(): void {
    this.#depth--;
    this.position++;
  }

  #expect(byte: number, shown: string): void {
    if (this.peek() !== byte) throw this.#unexpected(shown);
    this.position++;
  }

  /** Reads a number token by the grammar; true when it is digits only. */
  #number(): boolean {
    if (this.type() !== 'number') throw this.#unexpected('a number');
    const { bytes, end } = this;
    const start = this.position;
    let at = start;
    const digits = (): void => {
      const first = at;
      while (at < end && isDigit(bytes[at]!)) at++;
      if (at === first) throw this.#unexpected('a digit', at);
    };
    if (bytes[at] === MINUS) at++;
    const leadingZero = bytes[at] === 0x30;
    const firstDigit = at;
    digits();
    if (leadingZero && at > firstDigit + 1) throw new JsonError('syntax', [start, at], 'a number has a leading zero');
    let plain = bytes[start] !== MINUS;
    if (at < end && bytes[at] === POINT) {
      plain = false;
      at++;
      digits();
    }
    if (at < end && (bytes[at]! | 0x20) === LETTER_E) {
      plain = false;
      at++;
      if (at < end && (bytes[at] === 0x2b || bytes[at] === MINUS)) at++;
      digits();
    }
    this.#token(start, at);
    if (at - start > 300 || !plain) this.#refuseOverflow();
    return plain;
  }

  /** serde_json refuses numbers that overflow a double, Python makes them infinite. */
  #refuseOverflow(): void {
    const { tokenStart, tokenEnd, bytes } = this;
    // Longer than any number that is meant; a decimal of a megabyte is not worth converting.
    const overflows = tokenEnd - tokenStart > 1000 || !Number.isFinite(Number(decoder.decode(bytes.subarray(tokenStart, tokenEnd))));
    if (overflows) throw new JsonError('syntax', [tokenStart, tokenEnd], 'a number is out of range');
  }

  #literal(word: string): void {
    for (let i = 0; i < word.length; i++) {
      if (this.position + i >= this.end || this.bytes[this.position + i] !== word.charCodeAt(i)) throw this.#unexpected('a value');
    }
    this.#token(this.position, this.position + word.length);
  }

  /** The text of bytes [start, end), which hold no escapes. */
  #text(start: number, end: number): string {
    if (start < this.#windowStart || end > this.#windowEnd) this.#decodeWindow(start, end);
    if (this.#window === '') return decoder.decode(this.bytes.subarray(start, end));
    return this.#window.slice(start - this.#windowStart, end - this.#windowStart);
  }

  #decodeWindow(start: number, end: number): void {
    const windowEnd = Math.min(this.end, Math.max(end, start + WINDOW_BYTES));
    const text = decoder.decode(this.bytes.subarray(start, windowEnd));
    // One unit a byte means ASCII, but for a character cut by the end of the window.
    const isAscii = text.length === windowEnd - start && this.bytes[windowEnd - 1]! < 0x80;
    this.#window = isAscii ? text : '';
    this.#windowStart = start;
    this.#windowEnd = windowEnd;
  }

  #intern(start: number, end: number): string {
    const { bytes } = this;
    const length = end - start;
    // Length, first, second and last byte tell field names and dtypes apart; tensor names that collide are only slower.
    const key = length === 0 ? 0 : length + 32 * (bytes[start]! + 256 * (bytes[end - 1]! + 256 * bytes[start + (length >> 1)]!));
    const known = this.#interned.get(key);
    if (known && known.end - known.start === length && sameBytes(bytes, known.start, start, length)) return known.text;
    const text = this.#text(start, end);
    // Only the first of a kind is kept, and few kinds, so that a header of random names fills nothing.
    if (!known && this.#interned.size < 256) this.#interned.set(key, { start, end, text });
    return text;
  }

  /** The rest of a string from its first backslash on, put together in UTF-8: a part an escape would be many times the text. */
  #escapedString(start: number, firstEscape: number): string {
    const { bytes, end } = this;
    let length = firstEscape - start - 1;
    let text = new Uint8Array(2 * length + 64);
    text.set(bytes.subarray(start + 1, firstEscape));
    let at = firstEscape;
    while (at < end) {
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        if (at - start - 1 > MAX_STRING_BYTES) throw this.#longString(start, at + 1);
        this.#token(start, at + 1);
        return decoder.decode(text.subarray(0, length));
      }
      if (byte < 0x20) throw this.#controlCharacter(at);
      // One round adds the four bytes of a code point at most.
      if (length + 4 > text.length) {
        if (at - start > MAX_STRING_BYTES) throw this.#longString(start, at);
        const longer = new Uint8Array(2 * text.length);
        longer.set(text);
        text = longer;
      }
      if (byte !== BACKSLASH) {
        text[length++] = byte;
        at++;
        continue;
      }
      const escape = at + 1 < end ? bytes[at + 1]! : -1;
      if (escape === 0x75) {
        const point = this.#unicodeEscape(at);
        length = putCodePoint(text, length, point);
        at += point > 0xffff ? 12 : 6;
      } else {
        const character = simpleEscapes.get(escape);
        if (character === undefined) throw new JsonError('syntax', [at, Math.min(end, at + 2)], 'a string has an unknown escape');
        text[length++] = character;
        at += 2;
      }
    }
    throw new JsonError('syntax', [start, end], 'a string has no closing quote');
  }

  /** The code point of one or, for a surrogate pair, two `\uXXXX` at `at`. */
  #unicodeEscape(at: number): number {
    const unit = this.#hexUnit(at);
    if (unit < 0xd800 || unit > 0xdfff) return unit;
    const { bytes, end } = this;
    const paired = unit < 0xdc00 && at + 7 < end && bytes[at + 6] === BACKSLASH && bytes[at + 7] === 0x75;
    const low = paired ? this.#hexUnit(at + 6) : 0;
    if (low < 0xdc00 || low > 0xdfff) throw new JsonError('lone-surrogate', [at, at + 6], `\\u${unit.toString(16)} is half of a surrogate pair`);
    return 0x10000 + (unit - 0xd800) * 0x400 + (low - 0xdc00);
  }

  /** The value of the four hex digits of the escape at `at`. */
  #hexUnit(at: number): number {
    let unit = 0;
    for (let i = at + 2; i < at + 6; i++) {
      const byte = i < this.end ? this.bytes[i]! : 0;
      const lower = byte | 0x20;
      const digit = isDigit(byte) ? byte - 0x30 : lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
      if (digit < 0) throw new JsonError('syntax', [at, Math.min(this.end, at + 6)], 'a \\u escape has no four hex digits');
      unit = unit * 16 + digit;
    }
    return unit;
  }

  #longString(start: number, end: number): JsonError {
    return new JsonError('long-string', [start, end], `a string has more than ${MAX_STRING_BYTES} bytes`);
  }

  #controlCharacter(at: number): JsonError {
    return new JsonError('control-character', [at, at + 1], `a string holds the raw control character 0x${this.bytes[at]!.toString(16).padStart(2, '0')}`);
  }

  /** The byte at `at` in words. */
  #shown(at = this.position): string {
    if (at >= this.end) return 'the end';
    const byte = this.bytes[at]!;
    return byte > 0x20 && byte < 0x7f ? `"${String.fromCharCode(byte)}"` : `byte 0x${byte.toString(16).padStart(2, '0')}`;
  }

  #unexpected(wanted: string, at = this.position): JsonError {
    const start = Math.min(at, Math.max(0, this.end - 1)); // at the end: the last byte, so that the range is not empty
    return new JsonError('syntax', [start, Math.min(this.end, start + 1)], `expected ${wanted}, found ${this.#shown(at)}`);
  }
}

/** Writes `point`, no surrogate, in UTF-8 at `at` and returns where it ends. */
function putCodePoint(bytes: Uint8Array, at: number, point: number): number {
  if (point < 0x80) {
    bytes[at] = point;
    return at + 1;
  }
  const following = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  bytes[at] = [0, 0xc0, 0xe0, 0xf0][following]! + (point >> (6 * following));
  for (let i = 1; i <= following; i++) bytes[at + i] = 0x80 + ((point >> (6 * (following - i))) & 0x3f);
  return at + 1 + following;
}

function sameBytes(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[a + i] !== bytes[b + i]) return false;
  return true;
}
