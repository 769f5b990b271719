/**
 * Activations as integers. The codes are i16, because that is what SIMD128 multiplies (i32x4.dot_i16x8_s).
 *
 *   in blocks   32 elements share the scale max|x| / 127, an f32 that is not rounded further; codes half to even
 *   in rows     one scale a token, half away from zero, as LMDeploy has it (specs/smoothquant#S-4.2)
 */
import { BLOCK_INFO_BYTES, ROWS } from '../layout';
import { storeCodes } from './block-sums';
import { address, argument, shareOf } from './step';

@inline
function largest4(v: v128): f32 {
  const pairs = f32x4.max(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return max<f32>(f32x4.extract_lane(pairs, 0), f32x4.extract_lane(pairs, 1));
}

@inline
function codes8(x: usize, inverse: v128): v128 {
  const low = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), inverse)));
  const high = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x, 16), inverse)));
  return i16x8.narrow_i32x4_s(low, high);
}

/** 32 f32 at `x` to 32 i16 at `codes` and what is known of them at `info`. NaN and infinities make the scale NaN or infinite. */
function roundBlock(x: usize, codes: usize, info: usize, order: i32): void {
  let magnitudes = f32x4.splat(0);
  for (let i: usize = 0; i < 128; i += 16) magnitudes = f32x4.max(magnitudes, f32x4.abs(v128.load(x + i)));
  const largest = largest4(magnitudes);
  let inverse: f32 = <f32>127 / largest;
  let scale: f32 = largest / 127;
  // Below 3.7e-37 there is no finite inverse; such a block counts as zeros.
  if (largest < 4e-37) {
    inverse = 0;
    scale = 0;
  }
  const factor = f32x4.splat(inverse);
  const a = codes8(x, factor);
  const b = codes8(x + 32, factor);
  const c = codes8(x + 64, factor);
  const d = codes8(x + 96, factor);
  storeCodes(codes, order, a, b, c, d);
  const quads = i32x4.dot_i16x8_s(i16x8.add(i16x8.add(a, b), i16x8.add(c, d)), i16x8.splat(1));
  const sum = i32x4.extract_lane(quads, 0) + i32x4.extract_lane(quads, 1) + i32x4.extract_lane(quads, 2) + i32x4.extract_lane(quads, 3);
  store<f32>(info, scale);
  store<i32>(info, sum, 4);
  store<f32>(info, scale * <f32>sum, 8);
}

/** 0 x, 1 its columns, 2 rounded rows, 3 their stride in bytes, 4 order. A rounded row: codes, then the infos of its blocks. */
export function roundBlocks(step: usize, thread: i32, threads: i32): void {
  const x = address(step, 0);
  const columns = argument(step, 1);
  const rounded = address(step, 2);
  const stride = address(step, 3);
  const order = argument(step, 4);
  const blocksPerRow = columns >> 5;
  const blocks = blocksPerRow * load<i32>(ROWS);
  const end = shareOf(blocks, thread + 1, threads);
  for (let i = shareOf(blocks, thread, threads); i < end; i++) {
    const row = rounded + <usize>(i / blocksPerRow) * stride;
    const block = <usize>(i % blocksPerRow);
    roundBlock(x + ((<usize>i) << 7), row + (block << 6), row + ((<usize>columns) << 1) + block * BLOCK_INFO_BYTES, order);
  }
}

/** x / scale, half away from zero, as i32. Truncating |x| and looking at what is left is exact, adding one half is not. */
@inline
function codesAway4(x: v128, scale: v128): v128 {
  const scaled = f32x4.div(x, scale);
  const magnitude = f32x4.abs(scaled);
  const whole = f32x4.trunc(magnitude);
  const up = f32x4.ge(f32x4.sub(magnitude, whole), f32x4.splat(0.5));
  const rounded = f32x4.add(whole, v128.and(up, f32x4.splat(1)));
  return i32x4.trunc_sat_f32x4_s(v128.bitselect(scaled, rounded, i32x4.splat(0x80000000)));
}

/** Arguments as of roundBlocks, without an order. A rounded row: codes, padded to 16 bytes, then its scale. */
export function roundRows(step: usize, thread: i32, threads: i32): void {
  const columns = argument(step, 1);
  const rows = load<i32>(ROWS);
  const end = shareOf(rows, thread + 1, threads);
  for (let row = shareOf(rows, thread, threads); row < end; row++) {
    const x = address(step, 0) + (<usize>(row * columns) << 2);
    roundRow(x, columns, address(step, 2) + <usize>row * address(step, 3));
  }
}

function roundRow(x: usize, columns: i32, codes: usize): void {
  const whole = columns & ~3;
  let magnitudes = f32x4.splat(1e-7);
  let i = 0;
  for (; i < whole; i += 4) magnitudes = f32x4.max(magnitudes, f32x4.abs(v128.load(x + (<usize>i << 2))));
  for (; i < columns; i++) magnitudes = f32x4.max(magnitudes, f32x4.abs(v128.load_splat<f32>(x + (<usize>i << 2))));
  const scale: f32 = largest4(magnitudes) / 127;
  const divisor = f32x4.splat(scale);
  for (i = 0; i < whole; i += 4) {
    const rounded = codesAway4(v128.load(x + (<usize>i << 2)), divisor);
    v128.store_lane<u64>(codes + (<usize>i << 1), i16x8.narrow_i32x4_s(rounded, rounded), 0);
  }
  for (; i < columns; i++) {
    const rounded = codesAway4(v128.load_splat<f32>(x + (<usize>i << 2)), divisor);
    store<i16>(codes + (<usize>i << 1), <i16>i32x4.extract_lane(rounded, 0));
  }
  store<f32>(codes + paddedCodeBytes(columns), scale);
}

@inline
export function paddedCodeBytes(columns: i32): usize {
  return ((<usize>columns << 1) + 15) & ~15;
}
