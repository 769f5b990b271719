import { describe, expect, it } from 'vitest';
import { decoderProgram, tracePoints, type DecoderConfig } from './index.js';

const config: DecoderConfig = { architecture: 'llama', dim: 4, hiddenDim: 8, layers: 2, heads: 2, kvHeads: 1, headDim: 2, vocabSize: 9, maxSeqLen: 3, normEps: 1e-5, ropeTheta: 10000, ropeStyle: 'halves', tiedEmbeddings: false };

describe('tracePoints', () => {
  it('names what every op makes, in the order of the forward', () => {
    const program = decoderProgram(config);
    const points = tracePoints(program);
    const layer = (n: number) => ['attn_in', 'q', 'k', 'v', 'q_rope', 'k_rope', 'attn_ctx', 'attn_out', 'resid_mid', 'ffn_in', 'gate', 'up', 'ffn_act', 'ffn_out', 'out'].map((name) => `l${n}.${name}`);
    expect(program.ops.map((_, index) => points.get(index))).toEqual(['embed', ...layer(0), ...layer(1), 'final_norm', 'logits']);
  });
});
