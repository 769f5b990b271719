/**
 * Four rows of a matrix times one row of f32 activations: [w0·x, w1·x, w2·x, w3·x]. Four at once, because x is loaded once for all,
 * no sum waits for another, and four streams hide the latency of memory. What comes out for a row does not depend on the other three.
 */
import { addProduct, floatsOfHalves, sums4 } from './floats';

export function dotF32(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, columns: i32): v128 {
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
  const whole = <usize>(columns & ~3) << 2;
  let i: usize = 0;
  for (; i < whole; i += 16) {
    const xs = v128.load(x + i);
    s0 = addProduct(s0, v128.load(w0 + i), xs);
    s1 = addProduct(s1, v128.load(w1 + i), xs);
    s2 = addProduct(s2, v128.load(w2 + i), xs);
    s3 = addProduct(s3, v128.load(w3 + i), xs);
  }
  let sums = sums4(s0, s1, s2, s3);
  for (const end = <usize>columns << 2; i < end; i += 4) {
    let ws = v128.load_zero<u32>(w0 + i);
    ws = v128.load_lane<u32>(w1 + i, ws, 1);
    ws = v128.load_lane<u32>(w2 + i, ws, 2);
    ws = v128.load_lane<u32>(w3 + i, ws, 3);
    sums = addProduct(sums, ws, v128.load_splat<f32>(x + i));
  }
  return sums;
}

/** The 16-bit elements at `offset` of four rows, in the upper halves of i32 lanes. */
@inline
function upperHalves(w0: usize, w1: usize, w2: usize, w3: usize): v128 {
  let ws = i32x4.splat(0);
  ws = v128.load_lane<u16>(w0, ws, 1);
  ws = v128.load_lane<u16>(w1, ws, 3);
  ws = v128.load_lane<u16>(w2, ws, 5);
  return v128.load_lane<u16>(w3, ws, 7);
}

export function dotBF16(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, columns: i32): v128 {
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
  const whole = <usize>(columns & ~3) << 1;
  let i: usize = 0;
  for (; i < whole; i += 8) {
    const xs = v128.load(x + (i << 1));
    s0 = addProduct(s0, i32x4.shl(v128.load_ext<u16>(w0 + i), 16), xs);
    s1 = addProduct(s1, i32x4.shl(v128.load_ext<u16>(w1 + i), 16), xs);
    s2 = addProduct(s2, i32x4.shl(v128.load_ext<u16>(w2 + i), 16), xs);
    s3 = addProduct(s3, i32x4.shl(v128.load_ext<u16>(w3 + i), 16), xs);
  }
  let sums = sums4(s0, s1, s2, s3);
  for (const end = <usize>columns << 1; i < end; i += 2) sums = addProduct(sums, upperHalves(w0 + i, w1 + i, w2 + i, w3 + i), v128.load_splat<f32>(x + (i << 1)));
  return sums;
}

/** Whether all f16 of four vectors are normal numbers: exponents 1 to 30. */
@inline
function areNormal(h0: v128, h1: v128, h2: v128, h3: v128): bool {
  return i16x8.all_true(i16x8.min_u(i16x8.min_u(normality(h0), normality(h1)), i16x8.min_u(normality(h2), normality(h3))));
}

/** 0 where an exponent is 0 or 31. */
@inline
function normality(halves: v128): v128 {
  return v128.and(i16x8.add(halves, i16x8.splat(0x0400)), i16x8.splat(0x7800));
}

/** Adds eight f16 times eight of x. Normal numbers: exponents count from 15 in f16 and from 127 in f32. */
@inline
function addNormalHalves(sum: v128, halves: v128, x0: v128, x1: v128): v128 {
  const upper = i16x8.add(v128.and(i16x8.shr_s(halves, 3), i16x8.splat(<i16>0x8fff)), i16x8.splat(112 << 7));
  const lower = i16x8.shl(halves, 13);
  sum = addProduct(sum, v128.shuffle<i16>(lower, upper, 0, 8, 1, 9, 2, 10, 3, 11), x0);
  return addProduct(sum, v128.shuffle<i16>(lower, upper, 4, 12, 5, 13, 6, 14, 7, 15), x1);
}

/** As addNormalHalves, of any f16. */
@inline
function addHalves(sum: v128, halves: v128, x0: v128, x1: v128): v128 {
  const zero = i16x8.splat(0);
  sum = addProduct(sum, floatsOfAnyHalves(v128.shuffle<i16>(zero, halves, 0, 8, 1, 9, 2, 10, 3, 11)), x0);
  return addProduct(sum, floatsOfAnyHalves(v128.shuffle<i16>(zero, halves, 4, 12, 5, 13, 6, 14, 7, 15)), x1);
}

/** As floatsOfHalves, but never by way of subnormal f32, on which processors lose more time than on all of this. */
@inline
function floatsOfAnyHalves(upper: v128): v128 {
  const sign = v128.and(upper, i32x4.splat(0x80000000));
  const magnitude = v128.and(i32x4.shr_s(upper, 3), i32x4.splat(0x0fffe000));
  const counted = i32x4.add(magnitude, i32x4.splat(112 << 23));
  // Exponent 0 stands for 2^-14 · 0.m, and has become 2^-15 · 1.m.
  const subnormal = f32x4.sub(f32x4.add(counted, counted), f32x4.splat(reinterpret<f32>(0x38800000)));
  const finite = v128.bitselect(subnormal, counted, i32x4.lt_s(magnitude, i32x4.splat(1 << 23)));
  const notFinite = i32x4.ge_s(magnitude, i32x4.splat(31 << 23));
  return v128.or(v128.or(finite, sign), v128.and(notFinite, i32x4.splat(0x7f800000)));
}

/** Of weights that spread by 0.02, one in 400 is subnormal: few steps over 32 of them have one. */
export function dotF16(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, columns: i32): v128 {
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
  const whole = <usize>(columns & ~7) << 1;
  let i: usize = 0;
  for (; i < whole; i += 16) {
    const h0 = v128.load(w0 + i), h1 = v128.load(w1 + i), h2 = v128.load(w2 + i), h3 = v128.load(w3 + i);
    const x0 = v128.load(x + (i << 1)), x1 = v128.load(x + (i << 1), 16);
    if (areNormal(h0, h1, h2, h3)) {
      s0 = addNormalHalves(s0, h0, x0, x1);
      s1 = addNormalHalves(s1, h1, x0, x1);
      s2 = addNormalHalves(s2, h2, x0, x1);
      s3 = addNormalHalves(s3, h3, x0, x1);
    } else {
      s0 = addHalves(s0, h0, x0, x1);
      s1 = addHalves(s1, h1, x0, x1);
      s2 = addHalves(s2, h2, x0, x1);
      s3 = addHalves(s3, h3, x0, x1);
    }
  }
  let sums = sums4(s0, s1, s2, s3);
  for (const end = <usize>columns << 1; i < end; i += 2) sums = addProduct(sums, floatsOfHalves(upperHalves(w0 + i, w1 + i, w2 + i, w3 + i)), v128.load_splat<f32>(x + (i << 1)));
  return sums;
}

/** Adds eight codes of a row, which are int8, times eight of x. */
@inline
function addCodes(sum: v128, w: usize, x0: v128, x1: v128): v128 {
  const codes = v128.load_ext<i8>(w);
  const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(codes));
  const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(codes));
  return addProduct(addProduct(sum, low, x0), high, x1);
}

/** int8 groups that rows fill and whose size is a multiple of 8; s0 … s3: the scales of each row's groups. */
export function dotGroups(w0: usize, w1: usize, w2: usize, w3: usize, s0: usize, s1: usize, s2: usize, s3: usize, x: usize, columns: i32, groupSize: i32): v128 {
  let sums = f32x4.splat(0);
  const groups = columns / groupSize;
  for (let group: i32 = 0, i: usize = 0; group < groups; group++) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    for (const end = i + <usize>groupSize; i < end; i += 8) {
      const x0 = v128.load(x + (i << 2));
      const x1 = v128.load(x + (i << 2), 16);
      a = addCodes(a, w0 + i, x0, x1);
      b = addCodes(b, w1 + i, x0, x1);
      c = addCodes(c, w2 + i, x0, x1);
      d = addCodes(d, w3 + i, x0, x1);
    }
    const at = <usize>group << 2;
    let scales = v128.load_zero<u32>(s0 + at);
    scales = v128.load_lane<u32>(s1 + at, scales, 1);
    scales = v128.load_lane<u32>(s2 + at, scales, 2);
    scales = v128.load_lane<u32>(s3 + at, scales, 3);
    sums = addProduct(sums, sums4(a, b, c, d), scales);
  }
  return sums;
}
