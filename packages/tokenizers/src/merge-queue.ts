/** Two neighbouring tokens that may become one. `left` and `right` are places in the merge list, the ids what stood there. */
export interface MergeCandidate {
  readonly score: number;
  readonly left: number;
  readonly right: number;
  readonly leftId: number;
  readonly rightId: number;
  readonly mergedId: number;
}

/** Higher score first; of equal scores the leftmost pair, as a scan from the left that replaces only on `>` finds it. */
const comesBefore = (a: MergeCandidate, b: MergeCandidate): boolean => a.score > b.score || (a.score === b.score && a.left < b.left);

/** Binary heap of merge candidates. */
export class MergeQueue {
  readonly #heap: MergeCandidate[] = [];

  push(candidate: MergeCandidate): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(candidate);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!comesBefore(candidate, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = candidate;
  }

  /** Removes and returns the best candidate. */
  pop(): MergeCandidate | undefined {
    const heap = this.#heap;
    const best = heap[0];
    const last = heap.pop();
    if (best === undefined || last === undefined || heap.length === 0) return best;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && comesBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!comesBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return best;
  }
}
