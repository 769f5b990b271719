/** How far two tensors are apart, in one pass over both. Sums are in float64. */
import { codecOf, type Codec } from '@weightspec/codecs';
import { dtype, dtypes, elementCount, type TensorInfo } from '@weightspec/core';
import { floatsAt } from '../views.js';

export interface Difference {
  /** Every value is the same f32; NaN equals NaN. */
  readonly equal: boolean;
  readonly maxAbs: number;
  /** Root mean square of A − B. */
  readonly rmse: number;
  /** rmse relative to the root mean square of A; null where A is all zeros. */
  readonly relative: number | null;
  /** 20 · log10(rms A / rmse); null where either is zero. */
  readonly snrDb: number | null;
  /** Null where either side is all zeros. */
  readonly cosine: number | null;
  /** Elements that are NaN or infinite on one side at least; they are in none of the figures above. */
  readonly nonFinite: number;
}

const CHUNK_ELEMENTS = 1 << 18;

/** Told about every pair of chunks. `first` is a multiple of the unit. */
export type ChunkObserver = (a: Float32Array, b: Float32Array, first: number) => void;

/** a, b: F32, of one element count. `unit`: chunks are multiples of it. Throws what reading throws. */
export async function differenceOf(a: TensorInfo, b: TensorInfo, unit: number, observe: ChunkObserver): Promise<Difference> {
  const elements = elementCount(a.shape);
  const step = Math.max(1, Math.floor(CHUNK_ELEMENTS / unit)) * unit;
  const sums = { aa: 0, bb: 0, ab: 0, dd: 0, max: 0, nonFinite: 0, unequal: 0 };
  for (let first = 0; first < elements; first += step) {
    const count = Math.min(step, elements - first);
    const [left, right] = await Promise.all([floatsAt(a, first, count), floatsAt(b, first, count)]);
    accumulate(sums, left, right);
    observe(left, right, first);
  }
  const finite = Math.max(1, elements - sums.nonFinite);
  const rmse = Math.sqrt(sums.dd / finite);
  const rms = Math.sqrt(sums.aa / finite);
  return {
    equal: sums.unequal === 0,
    maxAbs: sums.max,
    rmse,
    relative: rms > 0 ? rmse / rms : null,
    snrDb: rms > 0 && rmse > 0 ? 20 * Math.log10(rms / rmse) : null,
    cosine: sums.aa > 0 && sums.bb > 0 ? sums.ab / Math.sqrt(sums.aa * sums.bb) : null,
    nonFinite: sums.nonFinite,
  };
}

interface Sums {
  aa: number;
  bb: number;
  ab: number;
  dd: number;
  max: number;
  nonFinite: number;
  unequal: number;
}

function accumulate(sums: Sums, a: Float32Array, b: Float32Array): void {
  let { aa, bb, ab, dd, max, nonFinite, unequal } = sums;
  for (let i = 0; i < a.length; i++) {
    const x = a[i]!;
    const y = b[i]!;
    const d = x - y;
    if (d !== 0) {
      if (!(Math.abs(x) < Infinity && Math.abs(y) < Infinity)) {
        nonFinite++;
        if (!Object.is(x, y)) unequal++;
        continue;
      }
      unequal++;
      if (d > max) max = d;
      else if (-d > max) max = -d;
      dd += d * d;
    }
    aa += x * x;
    bb += y * y;
    ab += x * y;
  }
  Object.assign(sums, { aa, bb, ab, dd, max, nonFinite, unequal });
}

/** Half a unit in the last place of 16-bit floats: the unquantized side may itself be rounded from what was quantized. */
const halfUnits: Readonly<Record<string, number>> = { F16: 2 ** -11, BF16: 2 ** -8 };

/** Counts the elements of `plain` that are farther from `quantized` than the quantizer can put them. */
export interface BoundCheck {
  readonly unit: number;
  observe(plain: Float32Array, quantized: Float32Array): void;
  exceeding(): number;
}

/**
 * The codec's bound; where rounding by `slack` may have made the other end of the range the greatest magnitude, which decides on which
 * side Q4_0 and Q5_0 have one code more, the larger of both bounds.
 */
function wholeBound(codec: Codec, block: Float32Array, slack: number): Float64Array {
  const bound = codec.errorBound(block);
  const [least, greatest] = [Math.min(...block), Math.max(...block)];
  if (Math.abs(least + greatest) > 4 * slack * Math.max(-least, greatest)) return bound;
  const [low, high] = [least, greatest].map((end) => codec.errorBound(block.map((value) => (value === end ? value * (1 + 8 * slack) : value))));
  return bound.map((_, i) => Math.max(low![i]!, high![i]!));
}

/** For a block type, or llama2.c's int8 in groups of `groupSize` (scale s = max/127, error s · (½ + 2⁻¹⁵): specs/codecs, section 4). */
export function boundCheck(storage: string, groupSize: number | undefined, plainStorage: string): BoundCheck {
  const codec = dtypes.has(storage) ? codecOf(dtype(storage)) : undefined;
  const unit = codec?.dtype.blockSize ?? groupSize ?? 1;
  const slack = halfUnits[plainStorage] ?? 0;
  let exceeding = 0;
  return {
    unit,
    observe(plain, quantized) {
      for (let start = 0; start < plain.length; start += unit) {
        const block = plain.subarray(start, start + unit);
        let greatest = 0;
        for (const value of block) greatest = Math.max(greatest, Math.abs(value));
        const bound = codec && wholeBound(codec, block, slack);
        const groupBound = (greatest / 127) * (0.5 + 2 ** -15);
        for (let i = 0; i < block.length; i++) {
          const allowed = (bound ? bound[i]! : groupBound) + slack * (greatest + Math.abs(block[i]!));
          if (!(Math.abs(block[i]! - quantized[start + i]!) <= allowed)) exceeding++;
        }
      }
    },
    exceeding: () => exceeding,
  };
}
