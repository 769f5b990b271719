/**
 * Causal attention with a KV cache in blocks of positions. A block holds, for each layer, its keys and then its values:
 * [kvHeads][positions of a block][headDim] f32, so that one head's keys follow each other.
 */
import { KV_BLOCK_POSITIONS, KV_LAYER_BYTES, KV_TABLE, POSITION, ROWS } from '../layout';
import { dotF32 } from './dot-floats';
import { addProduct, exp4, sum4 } from './floats';
import { address, argument, shareOf, takePiece } from './step';

/** Keys of `kvHead` in block `block`; values are `KV_LAYER_BYTES / 2` further. */
@inline
function headInBlock(block: i32, layer: i32, kvHead: i32, headDim: i32): usize {
  const base = <usize>load<u32>(<usize>load<u32>(KV_TABLE) + (<usize>block << 2));
  return base + <usize>layer * load<u32>(KV_LAYER_BYTES) + (<usize>(kvHead * load<i32>(KV_BLOCK_POSITIONS) * headDim) << 2);
}

function copyFloats(from: usize, to: usize, count: i32): void {
  for (let i: usize = 0; i < <usize>count << 2; i += 4) store<f32>(to + i, load<f32>(from + i));
}

/** 0 k, 1 v, 2 kvHeads, 3 headDim, 4 layer */
export function storeKv(step: usize, thread: i32, threads: i32): void {
  const kvHeads = argument(step, 2);
  const headDim = argument(step, 3);
  const positions = load<i32>(KV_BLOCK_POSITIONS);
  const count = kvHeads * load<i32>(ROWS);
  const end = shareOf(count, thread + 1, threads);
  for (let i = shareOf(count, thread, threads); i < end; i++) {
    const position = load<i32>(POSITION) + i / kvHeads;
    const key = headInBlock(position / positions, argument(step, 4), i % kvHeads, headDim) + (<usize>((position % positions) * headDim) << 2);
    const from = <usize>(i * headDim) << 2;
    copyFloats(address(step, 0) + from, key, headDim);
    copyFloats(address(step, 1) + from, key + (load<u32>(KV_LAYER_BYTES) >> 1), headDim);
  }
}

/** 0 q, 1 out, 2 heads, 3 kvHeads, 4 headDim, 5 layer. `scores`: an f32 a position, up to a multiple of 4. */
export function attention(step: usize, scores: usize): void {
  const heads = argument(step, 2);
  const headsPerKv = heads / argument(step, 3);
  const headDim = argument(step, 4);
  const count = heads * load<i32>(ROWS);
  // The last rows see the most positions: they go first, so that no thread is left with one at the end.
  for (let piece = takePiece(step); piece < count; piece = takePiece(step)) {
    const i = count - 1 - piece;
    const at = <usize>(i * headDim) << 2;
    attendHead(address(step, 0) + at, address(step, 1) + at, argument(step, 5), (i % heads) / headsPerKv, headDim, load<i32>(POSITION) + i / heads + 1, scores);
  }
}

/** One query head of one token over positions [0, positions). */
function attendHead(q: usize, out: usize, layer: i32, kvHead: i32, headDim: i32, positions: i32, scores: usize): void {
  const blockPositions = load<i32>(KV_BLOCK_POSITIONS);
  const scale: f32 = 1 / Mathf.sqrt(<f32>headDim);
  for (let first = 0, block = 0; first < positions; first += blockPositions, block++) {
    scoreBlock(q, headInBlock(block, layer, kvHead, headDim), headDim, min<i32>(blockPositions, positions - first), scale, scores + (<usize>first << 2));
  }
  const inverse: f32 = 1 / exponentiate(scores, positions);
  let d = 0;
  for (; d + 16 <= headDim; d += 16) mixValues16(out, layer, kvHead, headDim, positions, scores, inverse, d);
  for (; d + 4 <= headDim; d += 4) mixValues4(out, layer, kvHead, headDim, positions, scores, inverse, d);
  for (; d < headDim; d++) mixValue(out, layer, kvHead, headDim, positions, scores, inverse, d);
}

/** Four keys at a time; where fewer are left, the last one again, and a score too many that is overwritten or ignored. */
function scoreBlock(q: usize, keys: usize, headDim: i32, count: i32, scale: f32, scores: usize): void {
  const bytes = <usize>headDim << 2;
  const last = keys + <usize>(count - 1) * bytes;
  const factor = f32x4.splat(scale);
  for (let i = 0; i < count; i += 4) {
    const k0 = keys + <usize>i * bytes;
    const sums = dotF32(k0, min<usize>(k0 + bytes, last), min<usize>(k0 + 2 * bytes, last), min<usize>(k0 + 3 * bytes, last), q, headDim);
    v128.store(scores + (<usize>i << 2), f32x4.mul(sums, factor));
  }
}

/** Turns scores[0, count) into exp(score − max) and returns their sum. */
function exponentiate(scores: usize, count: i32): f32 {
  let largest: f32 = -Infinity;
  for (let i = 0; i < count; i++) largest = max<f32>(largest, load<f32>(scores + (<usize>i << 2)));
  // The lanes after the last score count for nothing.
  for (let i = count; i & 3; i++) store<f32>(scores + (<usize>i << 2), -Infinity);
  const shift = f32x4.splat(largest);
  let total = f32x4.splat(0);
  for (let i = 0; i < count; i += 4) {
    const at = scores + (<usize>i << 2);
    const weights = exp4(f32x4.sub(v128.load(at), shift));
    v128.store(at, weights);
    total = f32x4.add(total, weights);
  }
  return sum4(total);
}

/** Values of a head at element `d`, block by block. */
@inline
function valuesAt(block: i32, layer: i32, kvHead: i32, headDim: i32, d: i32): usize {
  return headInBlock(block, layer, kvHead, headDim) + (load<u32>(KV_LAYER_BYTES) >> 1) + (<usize>d << 2);
}

function mixValues16(out: usize, layer: i32, kvHead: i32, headDim: i32, positions: i32, weights: usize, inverse: f32, d: i32): void {
  const blockPositions = load<i32>(KV_BLOCK_POSITIONS);
  let a = f32x4.splat(0), b = a, c = a, e = a;
  for (let first = 0, block = 0; first < positions; first += blockPositions, block++) {
    let value = valuesAt(block, layer, kvHead, headDim, d);
    for (let i = first, end = min<i32>(first + blockPositions, positions); i < end; i++, value += <usize>headDim << 2) {
      const weight = v128.load_splat<f32>(weights + (<usize>i << 2));
      a = addProduct(a, weight, v128.load(value));
      b = addProduct(b, weight, v128.load(value, 16));
      c = addProduct(c, weight, v128.load(value, 32));
      e = addProduct(e, weight, v128.load(value, 48));
    }
  }
  const factor = f32x4.splat(inverse);
  const at = out + (<usize>d << 2);
  v128.store(at, f32x4.mul(a, factor));
  v128.store(at, f32x4.mul(b, factor), 16);
  v128.store(at, f32x4.mul(c, factor), 32);
  v128.store(at, f32x4.mul(e, factor), 48);
}

function mixValues4(out: usize, layer: i32, kvHead: i32, headDim: i32, positions: i32, weights: usize, inverse: f32, d: i32): void {
  const blockPositions = load<i32>(KV_BLOCK_POSITIONS);
  let sum = f32x4.splat(0);
  for (let first = 0, block = 0; first < positions; first += blockPositions, block++) {
    let value = valuesAt(block, layer, kvHead, headDim, d);
    for (let i = first, end = min<i32>(first + blockPositions, positions); i < end; i++, value += <usize>headDim << 2) {
      sum = addProduct(sum, v128.load_splat<f32>(weights + (<usize>i << 2)), v128.load(value));
    }
  }
  v128.store(out + (<usize>d << 2), f32x4.mul(sum, f32x4.splat(inverse)));
}

function mixValue(out: usize, layer: i32, kvHead: i32, headDim: i32, positions: i32, weights: usize, inverse: f32, d: i32): void {
  const blockPositions = load<i32>(KV_BLOCK_POSITIONS);
  let sum: f32 = 0;
  for (let first = 0, block = 0; first < positions; first += blockPositions, block++) {
    let value = valuesAt(block, layer, kvHead, headDim, d);
    for (let i = first, end = min<i32>(first + blockPositions, positions); i < end; i++, value += <usize>headDim << 2) {
      sum += load<f32>(weights + (<usize>i << 2)) * load<f32>(value);
    }
  }
  store<f32>(out + (<usize>d << 2), sum * inverse);
}
