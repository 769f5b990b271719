import { MergeQueue } from './merge-queue.js';

/** run.c starts its search for the best pair at this score, so that a piece scored lower is never made. */
const LOWEST_SCORE = Math.fround(-1e10);

/**
 * Merges the neighbouring pair with the best-scored concatenation until no pair makes a piece. run.c scans every pair before
 * each merge, O(n²); a heap of candidates over a linked list gives the same sequence of merges in O(n log n).
 */
export function mergeByScore(ids: readonly number[], pieces: readonly string[], idOfPiece: ReadonlyMap<string, number>, scores: ArrayLike<number>): number[] {
  const END = -1;
  const idAt = [...ids];
  const next = ids.map((_, at) => (at + 1 < ids.length ? at + 1 : END));
  const previous = ids.map((_, at) => at - 1);
  const gone = new Uint8Array(ids.length);
  const queue = new MergeQueue();

  const consider = (left: number, right: number): void => {
    if (left === END || right === END) return;
    const leftId = idAt[left]!;
    const rightId = idAt[right]!;
    const mergedId = idOfPiece.get(pieces[leftId]! + pieces[rightId]!);
    if (mergedId === undefined) return;
    const score = scores[mergedId]!;
    if (score > LOWEST_SCORE) queue.push({ score, left, right, leftId, rightId, mergedId });
  };

  for (let at = 0; at + 1 < ids.length; at += 1) consider(at, at + 1);
  for (let best = queue.pop(); best; best = queue.pop()) {
    const { left, right } = best;
    const stale = gone[left] === 1 || next[left] !== right || idAt[left] !== best.leftId || idAt[right] !== best.rightId;
    if (stale) continue;
    idAt[left] = best.mergedId;
    gone[right] = 1;
    const after = next[right]!;
    next[left] = after;
    if (after !== END) previous[after] = left;
    consider(previous[left]!, left);
    consider(left, after);
  }
  return idAt.filter((_, at) => gone[at] === 0);
}
