/** Reads tokenizer.bin files with the parsers generated from specs/llama2c/llama2c_tokenizer_gen*.ksy. */
import type { Llama2cTokenizerGen1 } from '../generated/Llama2cTokenizerGen1.js';
import type { Llama2cTokenizerGen2 } from '../generated/Llama2cTokenizerGen2.js';
import type { Llama2cTokenizerGen3 } from '../generated/Llama2cTokenizerGen3.js';
import type { Llama2cTokenizerGen4 } from '../generated/Llama2cTokenizerGen4.js';
import type { Llama2cTokenizerGen5 } from '../generated/Llama2cTokenizerGen5.js';
import { loadGenerated } from './generated.js';
import { PagedKaitaiStream } from './paged-kaitai-stream.js';
import { openBytes } from './sync-bytes.js';

const parsers = loadGenerated('Llama2cTokenizerGen1', 'Llama2cTokenizerGen2', 'Llama2cTokenizerGen3', 'Llama2cTokenizerGen4', 'Llama2cTokenizerGen5') as {
  Llama2cTokenizerGen1: typeof Llama2cTokenizerGen1;
  Llama2cTokenizerGen2: typeof Llama2cTokenizerGen2;
  Llama2cTokenizerGen3: typeof Llama2cTokenizerGen3;
  Llama2cTokenizerGen4: typeof Llama2cTokenizerGen4;
  Llama2cTokenizerGen5: typeof Llama2cTokenizerGen5;
};

export const tokenizerGenerations = ['gen1', 'gen2', 'gen3', 'gen4', 'gen5'] as const;
export type Llama2cTokenizerGeneration = (typeof tokenizerGenerations)[number];

export interface TokenizerReading {
  /** Bytes of each piece, by id. */
  readonly pieces: readonly Uint8Array[];
  /** By id; absent in gen1 and gen2. */
  readonly scores?: readonly number[];
  /** gen4 and gen5. */
  readonly maxTokenLength?: number;
}

/** Reads an array or the file at a path as one generation; undefined where a rule of it is broken. gen4 and gen5 have one framing. */
export function readTokenizerWithKaitai(input: Uint8Array | string, generation: Llama2cTokenizerGeneration): TokenizerReading | undefined {
  const source = openBytes(input);
  const io = new PagedKaitaiStream(source);
  try {
    if (generation === 'gen1') return { pieces: new parsers.Llama2cTokenizerGen1(io).tokens.map(({ piece }) => piece) };
    if (generation === 'gen2') return { pieces: new parsers.Llama2cTokenizerGen2(io).tokens.map(({ piece }) => piece) };
    const file = generation === 'gen3' ? new parsers.Llama2cTokenizerGen3(io) : generation === 'gen4' ? new parsers.Llama2cTokenizerGen4(io) : new parsers.Llama2cTokenizerGen5(io);
    return {
      pieces: file.tokens.map(({ piece }) => piece),
      scores: file.tokens.map(({ score }) => score),
      ...('maxTokenLength' in file ? { maxTokenLength: file.maxTokenLength } : {}),
    };
  } catch (error) {
    if (!(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError) throw error;
    return undefined;
  } finally {
    source.close();
  }
}
