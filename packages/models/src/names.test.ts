import { describe, expect, it } from 'vitest';
import { metaNames, nameSchemeOf, nameTable, permuteRopeRows, hfRowOf, metaRowOf, storedName } from './index.js';

describe('names', () => {
  it.each([
    ['tok_embeddings.weight', 'model.embed_tokens.weight', 'transformer.wte.weight', undefined],
    ['layers.11.attention.wk.weight', 'model.layers.11.self_attn.k_proj.weight', 'transformer.h.11.attn.c_attn.weight', 1],
    ['layers.0.attention.wv.bias', 'model.layers.0.self_attn.v_proj.bias', 'transformer.h.0.attn.c_attn.bias', 2],
    ['layers.3.feed_forward.w1.weight', 'model.layers.3.mlp.gate_proj.weight', 'transformer.h.3.mlp.w2.weight', undefined],
    ['layers.3.feed_forward.w3.weight', 'model.layers.3.mlp.up_proj.weight', 'transformer.h.3.mlp.w1.weight', undefined],
    ['layers.3.feed_forward.w2.weight', 'model.layers.3.mlp.down_proj.weight', 'transformer.h.3.mlp.c_proj.weight', undefined],
    ['output.weight', 'lm_head.weight', 'lm_head.weight', undefined],
  ] as const)('%s', (meta, hf, qwen1, third) => {
    expect(storedName(meta, 'meta')).toEqual({ name: meta });
    expect(storedName(meta, 'hf')).toEqual({ name: hf });
    expect(storedName(meta, 'qwen1')).toEqual(third === undefined ? { name: qwen1 } : { name: qwen1, third });
    expect(metaNames(hf, 'hf')).toEqual([meta]);
    expect(metaNames(qwen1, 'qwen1')).toContain(meta);
  });
  it('are one for each weight and scheme, but for Qwen’s c_attn', () => {
    for (const scheme of ['meta', 'hf'] as const) expect(new Set(nameTable.map((row) => row[scheme])).size).toBe(nameTable.length);
    expect(metaNames('transformer.h.7.attn.c_attn.weight', 'qwen1')).toEqual(['q', 'k', 'v'].map((part) => `layers.7.attention.w${part}.weight`));
  });
  it('leave tensors that are no weights alone, and refuse to find them', () => {
    expect(metaNames('model.layers.0.self_attn.rotary_emb.inv_freq', 'hf')).toEqual([]);
    expect(metaNames('layers.0.attention.wq.weight', 'hf')).toEqual([]);
    expect(() => storedName('layers.0.attention.wz.weight', 'hf')).toThrow(RangeError);
  });
  it('tell the scheme by the token embedding', () => {
    expect(nameSchemeOf(['norm.weight', 'tok_embeddings.weight'])).toBe('meta');
    expect(nameSchemeOf(['model.embed_tokens.weight'])).toBe('hf');
    expect(nameSchemeOf(['transformer.wte.weight'])).toBe('qwen1');
    expect(nameSchemeOf(['lm_head.weight'])).toBeUndefined();
  });
});

describe('RoPE row order', () => {
  it('is h·hd + j·hd/2 + i in Hugging Face’s, h·hd + 2i + j in Meta’s', () => {
    const headDim = 8;
    for (const h of [0, 1, 5]) {
      for (const j of [0, 1]) {
        for (let i = 0; i < headDim / 2; i += 1) {
          const [hf, meta] = [h * headDim + (j * headDim) / 2 + i, h * headDim + 2 * i + j];
          expect([metaRowOf(hf, headDim), hfRowOf(meta, headDim)]).toEqual([meta, hf]);
        }
      }
    }
  });
  it('moves rows of any element type, and back', () => {
    // Two heads of four rows of three bytes; the first byte says which row it was.
    const meta = Uint8Array.from({ length: 24 }, (_, i) => (i % 3 === 0 ? i / 3 : 100 + (i % 3)));
    const hf = permuteRopeRows(meta, 3, 4, 'hf');
    expect(Array.from({ length: 8 }, (_, row) => hf[3 * row])).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
    expect(Array.from(hf.subarray(3, 6))).toEqual([2, 101, 102]);
    expect(permuteRopeRows(hf, 3, 4, 'meta')).toEqual(meta);
  });
  it('refuses what is not whole heads', () => {
    for (const [length, rowBytes, headDim] of [[23, 3, 4], [12, 3, 3], [12, 0, 4], [18, 3, 4]] as const) {
      expect(() => permuteRopeRows(new Uint8Array(length), rowBytes, headDim, 'hf')).toThrow(RangeError);
    }
  });
});
