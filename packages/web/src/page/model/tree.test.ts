import { describe, expect, it } from 'vitest';
import { roleOf, treeOf } from './tree.js';

describe('tensors as a tree of bytes', () => {
  it('puts the tensors of a layer together, by the names of Meta, Hugging Face and Qwen', () => {
    const tensors = ['tok_embeddings.weight', 'layers.0.attention.wq.weight', 'layers.0.ffn_norm.weight', 'model.layers.11.mlp.up_proj.weight', 'transformer.h.2.attn.c_attn.weight'].map((name, i) => ({ name, byteLength: 2 ** i }));
    expect(treeOf(tensors).map(({ label, byteLength, children }) => [label, byteLength, children?.map((child) => child.label)])).toEqual([
      ['tok_embeddings.weight', 1, undefined],
      ['layers.0', 6, ['attention.wq.weight', 'ffn_norm.weight']],
      ['model.layers.11', 8, ['mlp.up_proj.weight']],
      ['transformer.h.2', 16, ['attn.c_attn.weight']],
    ]);
  });
  it('of thousands of tensors puts those of a layer together by what they are for', () => {
    const experts = Array.from({ length: 2100 }, (_, expert) => ({ name: `model.layers.0.mlp.experts.${expert}.up_proj.weight`, byteLength: 2 }));
    const [layer, embedding] = treeOf([...experts, { name: 'model.layers.0.self_attn.q_proj.weight', byteLength: 5 }, { name: 'model.embed_tokens.weight', byteLength: 7 }]);
    expect(layer!.children!.map(({ label, byteLength, role, tensor }) => [label, byteLength, role, tensor])).toEqual([
      ['feed-forward, 2100 tensors', 4200, 'feed-forward', undefined],
      ['self_attn.q_proj.weight', 5, 'attention', 'model.layers.0.self_attn.q_proj.weight'],
    ]);
    expect([layer!.byteLength, embedding!.tensor]).toEqual([4205, 'model.embed_tokens.weight']);
  });
  it.each([
    ['tok_embeddings.weight', 'embedding'], ['output.weight', 'embedding'], ['lm_head.weight', 'embedding'], ['transformer.wte.weight', 'embedding'],
    ['layers.0.attention.wo.weight', 'attention'], ['model.layers.0.self_attn.q_proj.bias', 'attention'],
    ['layers.0.feed_forward.w1.weight', 'feed-forward'], ['transformer.h.0.mlp.c_proj.weight', 'feed-forward'],
    ['layers.0.attention_norm.weight', 'norm'], ['model.norm.weight', 'norm'], ['transformer.ln_f.weight', 'norm'], ['freqs_cos', 'other'],
  ])('takes %s for %s', (name, role) => {
    expect(roleOf(name)).toBe(role);
  });
});
