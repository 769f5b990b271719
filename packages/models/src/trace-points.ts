import type { Program } from '@weightspec/core';

/**
 * Names of the activations of a decoder, by the index of the op that makes them: `embed`, `l0.attn_in` (after the first norm), `l0.q`,
 * `l0.k`, `l0.v`, `l0.q_rope` and `l0.k_rope` (rotated), `l0.attn_ctx` (before wo), `l0.attn_out`, `l0.resid_mid`, `l0.ffn_in` (after the
 * second norm), `l0.gate`, `l0.up`, `l0.ffn_act`, `l0.ffn_out`, `l0.out`, …, `final_norm`, `logits`: every op has one.
 */
export function tracePoints({ ops }: Program): Map<number, string> {
  const points = new Map<number, string>();
  const seen = new Set<string>();
  const attentionOf = new Map(ops.flatMap((op) => (op.op === 'attention' ? [[op.layer, op] as const] : [])));
  const swigluOf = new Map(ops.flatMap((op) => (op.op === 'swiglu' ? [[op.layer, op] as const] : [])));
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
    const swiglu = swigluOf.get(layer);
    const mark = (name: string) => points.set(index, `l${layer}.${name}`);
    if (op.op === 'rmsnorm') mark(firstOrSecond(`norm ${layer}`, 'attn_in', 'ffn_in'));
    if (op.op === 'add') mark(firstOrSecond(`add ${layer}`, 'resid_mid', 'out'));
    if (op.op === 'attention') mark('attn_ctx');
    if (op.op === 'rope' && op.x === attention?.q) mark('q_rope');
    if (op.op === 'rope' && op.x === attention?.k) mark('k_rope');
    if (op.op === 'swiglu') mark('ffn_act');
    if (op.op === 'matmul') {
      // What is read tells the two projections back from the others: they may write where those do.
      const names = [[op.x === attention?.out, 'attn_out'], [op.x === swiglu?.out, 'ffn_out'], [op.out === attention?.q, 'q'], [op.out === attention?.k, 'k'], [op.out === attention?.v, 'v'], [op.out === swiglu?.gate, 'gate'], [op.out === swiglu?.up, 'up']] as const;
      const found = names.find(([applies]) => applies);
      if (found) mark(found[1]);
    }
  });
  return points;
}
