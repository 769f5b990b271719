import { weightsOf } from '@weightspec/kernels';
import type { LoadedModel } from '@weightspec/engine';

/** What computes which ops, one line for each kind of op and storage of its weights: `matmul by Q8_0 × 85: wasm, 2 threads`. */
export function placementLines({ program, weights, executable, backendId }: Pick<LoadedModel, 'program' | 'weights' | 'executable' | 'backendId'>): string[] {
  const counts = new Map<string, { readonly op: string; readonly where: string; count: number }>();
  for (const [index, op] of program.ops.entries()) {
    const storages = weightsOf(op).map((name) => weights.get(name)?.storage);
    const described = storages.length === 0 ? op.op : `${op.op} by ${storages[0]}${storages.length > 1 ? ` with bias in ${storages[1]}` : ''}`;
    const where = executable.placement?.[index] ?? backendId;
    const key = `${described}: ${where}`;
    const entry = counts.get(key) ?? { op: described, where, count: 0 };
    entry.count += 1;
    counts.set(key, entry);
  }
  return Array.from(counts.values(), ({ op, where, count }) => `${op} × ${count}: ${where}`);
}
