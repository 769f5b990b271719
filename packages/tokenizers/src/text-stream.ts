import type { Tokenizer } from './tokenizer.js';

/**
 * What a stream lets through: `all` text; `printable`, which drops control characters other than white space, so that a model
 * cannot steer a terminal; `run.c`, which drops every token that is one single unprintable byte as llama2.c's safe_printf
 * does. The last also loses characters that are spelled in byte tokens, such as most emoji.
 */
export type TextFilter = 'all' | 'printable' | 'run.c';

export interface TextStream {
  /** The text that became complete with `id`: empty while a character is still split over tokens. */
  push(id: number): string;
  /** The rest; U+FFFD when the last character never became complete. */
  end(): string;
}

export interface ByteStream {
  /** The bytes of `id` after the id before it. Characters may be split over results. */
  push(id: number): Uint8Array;
}

/** A single byte that C's isprint and isspace both deny in the "C" locale. */
const isUnprintable = (bytes: Uint8Array): boolean => {
  const byte = bytes[0]!;
  return bytes.length === 1 && !((byte >= 0x20 && byte <= 0x7e) || (byte >= 0x09 && byte <= 0x0d));
};

// oxlint-disable-next-line no-control-regex -- control characters are what it removes: C0 without white space, DEL, C1
const controls = /[\u0000-\u0008\u000e-\u001f\u007f-\u009f]/g;

/** Turns ids into bytes as they come, none left out or replaced. The first id's predecessor is `previous`. BOS and EOS give none. */
export function createByteStream(tokenizer: Tokenizer, options: { readonly previous?: number } = {}): ByteStream {
  let previous = options.previous;
  return {
    push(id) {
      const bytes = tokenizer.decodeToken(previous, id);
      previous = id;
      return id === tokenizer.bosId || id === tokenizer.eosId ? new Uint8Array(0) : bytes;
    },
  };
}

/** Turns ids into text as they come; bytes that are no UTF-8 become U+FFFD. The first id's predecessor is `previous`. BOS and EOS give no text. */
export function createTextStream(tokenizer: Tokenizer, options: { readonly previous?: number; readonly filter?: TextFilter } = {}): TextStream {
  const filter = options.filter ?? 'all';
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const clean = (text: string): string => (filter === 'printable' ? text.replace(controls, '') : text);
  const stream = createByteStream(tokenizer, options);
  return {
    push(id) {
      const bytes = stream.push(id);
      if (filter === 'run.c' && isUnprintable(bytes)) return '';
      return clean(decoder.decode(bytes, { stream: true }));
    },
    end: () => clean(decoder.decode()),
  };
}

/** The text of all of `ids`, as one stream gives it. */
export function decodeText(tokenizer: Tokenizer, ids: readonly number[]): string {
  const stream = createTextStream(tokenizer);
  return ids.map((id) => stream.push(id)).join('') + stream.end();
}
