import { diagnosticFactory, type CodeTable } from '@weightspec/core';

const clause = (number: string) => `packages/tokenizers#${number}`;

/** What can be wrong with a tiktoken rank file. Clauses: README.md, "Rank files". */
export const tiktokenCodes = {
  TIKTOKEN_EMPTY: {
    severity: 'error', clause: clause('R-1'),
    summary: 'The file holds no token.',
    rationale: 'An interrupted download leaves an empty file, and every text would encode to nothing.',
    hint: 'Download the vocabulary again.',
  },
  TIKTOKEN_TOO_LARGE: {
    severity: 'error', clause: clause('R-1'),
    summary: 'The file is larger than 16,777,216 bytes, and so than any vocabulary.',
    rationale: 'Weights given in place of a vocabulary must not be read into memory.',
    hint: 'Name the rank file, e.g. qwen.tiktoken or tokenizer.model.',
  },
  TIKTOKEN_LINE: {
    severity: 'error', clause: clause('R-2'),
    summary: 'A line is not a base64 token, a space and a rank.',
    rationale: 'A web page or a SentencePiece model of the same name looks like this; skipping its lines would shift nothing and lose tokens silently.',
    hint: 'Check that this is a tiktoken rank file; Llama 2 has a tokenizer.model of another kind.',
  },
  TIKTOKEN_BASE64: {
    severity: 'error', clause: clause('R-3'),
    summary: 'A token is not well-formed base64, or stands for no bytes.',
    rationale: 'Lenient decoders turn damaged base64 into other bytes without a word.',
    hint: 'Download the vocabulary again.',
  },
  TIKTOKEN_RANK: {
    severity: 'error', clause: clause('R-4'),
    summary: 'The ranks are not 0, 1, 2, … in the order of the lines.',
    rationale: 'A rank is an id of the model, and special tokens are numbered from the last one on: one lost line shifts them all.',
    hint: 'Download the vocabulary again; do not edit or sort it.',
  },
  TIKTOKEN_DUPLICATE: {
    severity: 'error', clause: clause('R-5'),
    summary: 'Two lines have the same token.',
    rationale: 'Readers keep the last, and the other id can then never be made.',
    hint: 'Download the vocabulary again.',
  },
  TIKTOKEN_BYTES: {
    severity: 'error', clause: clause('R-6'),
    summary: 'Not each of the 256 bytes is a token.',
    rationale: 'A text with a missing byte has no encoding.',
    hint: 'Download the vocabulary again.',
  },
} as const satisfies CodeTable;

export const tiktokenDiagnostic = diagnosticFactory(tiktokenCodes);
