/** Makes small tokenizer.bin files of every generation from the clauses T-1 of specs/llama2c/README.md. For tests; shares no code with any reader or writer. */
import { seededRandom } from './generate-llama2c.js';
import type { Llama2cTokenizerGeneration } from './llama2c-tokenizer.kaitai.js';

/** `<unk>`, BOS, EOS, the 256 byte tokens and `extraPieces` words; little-endian. */
export function generateLlama2cTokenizer(generation: Llama2cTokenizerGeneration, extraPieces: number, seed: number): Uint8Array {
  const random = seededRandom(seed);
  const byteToken = (byte: number) => (generation === 'gen5' ? `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>` : String.fromCharCode(byte));
  const word = () => Array.from({ length: 1 + Math.floor(random() * 6) }, () => ' abcdefghijklmnopqrstuvwxyzäöü€🙂'.at(Math.floor(random() * 28))!).join('');
  const pieces = ['<unk>', '\n<s>\n', '\n</s>\n', ...Array.from({ length: 256 }, (_, byte) => byteToken(byte)), ...Array.from({ length: extraPieces }, word)]
    .map((piece) => new TextEncoder().encode(piece));
  const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
  const f32 = (value: number) => new Uint8Array(Float32Array.of(value).buffer);
  const score = (id: number) => f32(id < 259 ? 0 : 258 - id);

  const parts: Uint8Array[] = [];
  if (generation === 'gen1') {
    let offset = 0;
    parts.push(u32(pieces.length + 1), u32(0), ...pieces.map((piece) => u32((offset += piece.length))), ...pieces);
  } else if (generation === 'gen2') {
    for (const piece of pieces) parts.push(u32(piece.length), piece);
  } else if (generation === 'gen3') {
    for (const [id, piece] of pieces.entries()) parts.push(u32(piece.length), score(id), piece);
  } else {
    parts.push(u32(Math.max(...pieces.map((piece) => piece.length))));
    for (const [id, piece] of pieces.entries()) parts.push(score(id), u32(piece.length), piece);
  }
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
