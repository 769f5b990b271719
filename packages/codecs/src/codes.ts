import type { CodeTable } from '@weightspec/core';

/** Why a tensor cannot be encoded. Clauses: specs/codecs/README.md. */
export const codecCodes = {
  CODEC_NON_FINITE_INPUT: {
    severity: 'error',
    summary: 'A weight to be quantized is NaN or infinite.',
    clause: 'specs/codecs#C-1.1',
    rationale: 'One NaN or infinity spoils its whole block, silently: the codecs leave NaN out of the maximum, and C leaves the cast to a code undefined.',
    hint: 'Find out which step of training or merging made it; a checkpoint with such weights is damaged.',
  },
  CODEC_RANGE_OVERFLOW: {
    severity: 'error',
    summary: 'The difference between the largest and smallest weight of a block overflows f32.',
    clause: 'specs/codecs#C-1.2',
    rationale: 'The scale would be infinite and every code of the block 0.',
    hint: 'Weights of this size are not those of a trained model: check the dtype and byte order of the source.',
  },
  CODEC_SCALE_OVERFLOW: {
    severity: 'error',
    summary: 'The scale of a block is too large for f16.',
    clause: 'specs/codecs#C-1.3',
    rationale: 'It is stored as infinity, and the whole block decodes to infinities and NaN.',
    hint: 'Keep this tensor in BF16 or F32.',
  },
  CODEC_MINIMUM_OVERFLOW: {
    severity: 'error',
    summary: 'The minimum of a block is too large for f16.',
    clause: 'specs/codecs#C-1.4',
    rationale: 'It is stored as an infinity, and the whole block decodes to it.',
    hint: 'Keep this tensor in BF16 or F32, or use Q4_0, Q5_0 or Q8_0, which store no minimum.',
  },
  CODEC_VALUE_OVERFLOW: {
    severity: 'error',
    summary: 'A finite weight is too large for the element type.',
    clause: 'specs/codecs#C-1.5',
    rationale: 'It would be stored as infinity.',
    hint: 'Keep this tensor in BF16 or F32.',
  },
} satisfies CodeTable;

export type CodecCode = keyof typeof codecCodes;
