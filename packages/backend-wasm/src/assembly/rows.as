/** The operations that work row by row: embed, rmsnorm, rope, swiglu, add. */
import { ROWS } from '../layout';
import { decodeElements } from './decode';
import { exp4, sum4 } from './floats';
import { address, argument, shareOf } from './step';

/** 0 table of what to decode for each token: [weight, scales, first element]; 1 format, 2 group size, 3 columns, 4 out */
export function embed(step: usize, thread: i32, threads: i32): void {
  const columns = argument(step, 3);
  const rows = load<i32>(ROWS);
  const end = shareOf(rows, thread + 1, threads);
  for (let row = shareOf(rows, thread, threads); row < end; row++) {
    const entry = address(step, 0) + <usize>row * 12;
    decodeElements(argument(step, 1), load<u32>(entry), load<u32>(entry, 4), argument(step, 2), load<i32>(entry, 8), columns, address(step, 4) + (<usize>(row * columns) << 2));
  }
}

/** 0 x, 1 weight, 2 width, 3 eps, 4 out. May work in place. */
export function rmsnorm(step: usize, thread: i32, threads: i32): void {
  const width = argument(step, 2);
  const rows = load<i32>(ROWS);
  const end = shareOf(rows, thread + 1, threads);
  for (let row = shareOf(rows, thread, threads); row < end; row++) {
    const at = <usize>(row * width) << 2;
    normalizeRow(address(step, 0) + at, address(step, 1), width, reinterpret<f32>(argument(step, 3)), address(step, 4) + at);
  }
}

function normalizeRow(x: usize, weight: usize, width: i32, eps: f32, out: usize): void {
  const whole = <usize>(width & ~3) << 2;
  const end = <usize>width << 2;
  let squares = f32x4.splat(0);
  let i: usize = 0;
  for (; i < whole; i += 16) squares = f32x4.add(squares, f32x4.mul(v128.load(x + i), v128.load(x + i)));
  let sum: f64 = sum4(squares);
  for (; i < end; i += 4) sum += load<f32>(x + i) * load<f32>(x + i);
  const inverse: f32 = <f32>(1 / Math.sqrt(sum / width + eps));
  const factor = f32x4.splat(inverse);
  for (i = 0; i < whole; i += 16) v128.store(out + i, f32x4.mul(f32x4.mul(v128.load(x + i), factor), v128.load(weight + i)));
  for (; i < end; i += 4) store<f32>(out + i, load<f32>(x + i) * inverse * load<f32>(weight + i));
}

/**
 * 0 x, 1 heads, 2 headDim, 3 table of cos and then sin, [rows, headDim / 2] each, 4 bytes from cos to sin,
 * 5 elements between the pairs, 6 elements between the two of a pair
 */
export function rope(step: usize, thread: i32, threads: i32): void {
  const heads = argument(step, 1);
  const headDim = argument(step, 2);
  const half = headDim >> 1;
  const count = heads * load<i32>(ROWS);
  const end = shareOf(count, thread + 1, threads);
  for (let i = shareOf(count, thread, threads); i < end; i++) {
    const cos = address(step, 3) + (<usize>((i / heads) * half) << 2);
    rotate(address(step, 0) + (<usize>(i * headDim) << 2), cos, cos + address(step, 4), half, address(step, 5) << 2, address(step, 6) << 2);
  }
}

function rotate(first: usize, cos: usize, sin: usize, half: i32, step: usize, apart: usize): void {
  for (let i = 0; i < half; i++) {
    const a = load<f32>(first), b = load<f32>(first + apart);
    const c = load<f32>(cos), s = load<f32>(sin);
    store<f32>(first, a * c - b * s);
    store<f32>(first + apart, a * s + b * c);
    first += step;
    cos += 4;
    sin += 4;
  }
}

/** gate / (1 + e^−gate) · up; by e^−|gate|, which never overflows where the result is still a number. */
@inline
function swiglu4(gate: v128, up: v128): v128 {
  const e = exp4(f32x4.neg(f32x4.abs(gate)));
  const numerator = v128.bitselect(gate, f32x4.mul(gate, e), f32x4.ge(gate, f32x4.splat(0)));
  return f32x4.mul(f32x4.div(numerator, f32x4.add(f32x4.splat(1), e)), up);
}

/** 0 gate, 1 up, 2 width, 3 out. May work in place. */
export function swiglu(step: usize, thread: i32, threads: i32): void {
  const count = argument(step, 2) * load<i32>(ROWS);
  const gate = address(step, 0), up = address(step, 1), out = address(step, 3);
  const end = shareBytes(count, thread + 1, threads);
  let i = shareBytes(count, thread, threads);
  const whole = i + ((end - i) & ~15);
  for (; i < whole; i += 16) v128.store(out + i, swiglu4(v128.load(gate + i), v128.load(up + i)));
  for (; i < end; i += 4) store<f32>(out + i, f32x4.extract_lane(swiglu4(v128.load_splat<f32>(gate + i), v128.load_splat<f32>(up + i)), 0));
}

/** 0 a, 1 b, 2 width, 3 out. May work in place. */
export function add(step: usize, thread: i32, threads: i32): void {
  const count = argument(step, 2) * load<i32>(ROWS);
  const a = address(step, 0), b = address(step, 1), out = address(step, 3);
  const end = shareBytes(count, thread + 1, threads);
  let i = shareBytes(count, thread, threads);
  const whole = i + ((end - i) & ~15);
  for (; i < whole; i += 16) v128.store(out + i, f32x4.add(v128.load(a + i), v128.load(b + i)));
  for (; i < end; i += 4) store<f32>(out + i, load<f32>(a + i) + load<f32>(b + i));
}

/** Bytes of the f32 that come before this thread's share: whole cache lines, so that no two threads write to one. */
@inline
function shareBytes(count: i32, thread: i32, threads: i32): usize {
  return <usize>min<i32>(count, shareOf((count + 15) >> 4, thread, threads) << 4) << 2;
}
