import type { Program } from '@weightspec/core';

/**
 * Names of the activations that a decoder's goldens keep, by the index of the op that makes them: `embed`, `l0.attn_in` (after the
 * first norm), `l0.q_rope` and `l0.k_rope` (rotated), `l0.v`, `l0.attn_ctx` (before wo), `l0.resid_mid`, `l0.ffn_in` (after the second
 * norm), `l0.out`, …, `final_norm`, `logits`. Ops between them have none.
 */
export function tracePoints({ ops }: Program): Map<number, string> {
  const points = new Map<number, string>();
  const seen = new Set<string>();
  const attentionOf = new Map(ops.flatMap((op) => (op.op === 'attention' ? [[op.layer, op] as const] : [])));
  /** Norms and additions come twice in a layer. */
  const firstOrSecond = (what: string, first: string, second: string): string => {
    if (seen.has(what)) return second;
    seen.add(what);
    return first;
  };
  ops.forEach((op, index) => {
    const { layer } = op;
    if (op.op === 'embed') points.set(index, 'embed');
    if (layer === undefined) {
      if (op.op === 'rmsnorm') points.set(index, 'final_norm');
      if (op.op === 'matmul') points.set(index, 'logits');
      return;
    }
    const attention = attentionOf.get(layer);
    const mark = (name: string) => points.set(index, `l${layer}.${name}`);
    if (op.op === 'rmsnorm') mark(firstOrSecond(`norm ${layer}`, 'attn_in', 'ffn_in'));
    if (op.op === 'add') mark(firstOrSecond(`add ${layer}`, 'resid_mid', 'out'));
    if (op.op === 'attention') mark('attn_ctx');
    if (op.op === 'rope' && op.x === attention?.q) mark('q_rope');
    if (op.op === 'rope' && op.x === attention?.k) mark('k_rope');
    if (op.op === 'matmul' && op.out === attention?.v) mark('v');
  });
  return points;
}
