/**
 * The largest token id of a tokenizer file, as far as it can be told without a tokenizer: tokenizer.json (Hugging Face),
 * lines of base64 and rank (tiktoken: Llama 3's tokenizer.model, qwen.tiktoken), and SentencePiece's protobuf, whose
 * field 1 is repeated once a piece (sentencepiece_model.proto); and llama2.c's tokenizer.bin. Clause F-4.7.
 */
import { readTokenizerBin } from '@weightspec/llama2c';

/** In the order in which they are looked for. */
export const tokenizerFiles = ['tokenizer.json', 'tokenizer.model', 'qwen.tiktoken', 'tokenizer.bin'] as const;

/** The largest id; undefined when the bytes are none of these. */
export async function largestTokenId(name: string, bytes: Uint8Array): Promise<number | undefined> {
  if (name.endsWith('.bin')) {
    const { tokenizer, diagnostics } = await readTokenizerBin({ name, size: bytes.length, read: async (offset, length) => bytes.slice(offset, offset + length) });
    return tokenizer && !diagnostics.some(({ severity }) => severity === 'error') ? tokenizer.pieces.length - 1 : undefined;
  }
  if (name.endsWith('.json')) return largestInJson(bytes);
  return largestRank(bytes) ?? sentencePieces(bytes);
}

function largestInJson(bytes: Uint8Array): number | undefined {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
  const { model, added_tokens: added } = (json ?? {}) as { model?: { vocab?: unknown }; added_tokens?: unknown };
  const vocab = model?.vocab;
  // Unigram models list pieces, the others map them to ids.
  const ids = Array.isArray(vocab) ? [vocab.length - 1] : typeof vocab === 'object' && vocab !== null ? Object.values(vocab as Record<string, unknown>) : undefined;
  if (!ids) return undefined;
  const addedIds = Array.isArray(added) ? added.map((token: unknown) => (token as { id?: unknown } | null)?.id) : [];
  return [...ids, ...addedIds].reduce<number>((largest, id) => (typeof id === 'number' && id > largest ? id : largest), -1);
}

function largestRank(bytes: Uint8Array): number | undefined {
  const firstLine = new TextDecoder('latin1').decode(bytes.subarray(0, 256)).split('\n', 1)[0]!;
  if (!/^[A-Za-z0-9+/]+=* \d+$/.test(firstLine)) return undefined;
  let largest = -1;
  for (const line of new TextDecoder('latin1').decode(bytes).split('\n')) {
    if (line === '') continue;
    const rank = /^[A-Za-z0-9+/]+=* (\d{1,9})$/.exec(line)?.[1];
    if (rank === undefined) return undefined;
    largest = Math.max(largest, Number(rank));
  }
  return largest;
}

/** Walks the top-level fields; pieces are counted, everything else is stepped over. */
function sentencePieces(bytes: Uint8Array): number | undefined {
  let at = 0;
  let pieces = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 49; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) return -1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    return -1;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag < 8 || tag % 8 !== 2) return undefined; // the model has messages only at its top level
    const length = varint();
    if (length < 0 || length > bytes.length - at) return undefined;
    if (Math.floor(tag / 8) === 1) pieces++;
    at += length;
  }
  return pieces > 0 ? pieces - 1 : undefined;
}
