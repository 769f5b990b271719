/**
 * Four rows of quantized blocks times one row of activations that round.as has rounded: integers within a block, f32 between blocks.
 * What comes out for a row does not depend on the other three, and sums of integers not on their order.
 */
import { BLOCK_INFO_BYTES } from '../layout';
import { floatsOfHalves, integerSums4 } from './floats';

/** The f16 at four addresses as f32. */
@inline
function scales4(w0: usize, w1: usize, w2: usize, w3: usize): v128 {
  let bits = i32x4.splat(0);
  bits = v128.load_lane<u16>(w0, bits, 1);
  bits = v128.load_lane<u16>(w1, bits, 3);
  bits = v128.load_lane<u16>(w2, bits, 5);
  bits = v128.load_lane<u16>(w3, bits, 7);
  return floatsOfHalves(bits);
}

/** sum + integers · (scale of the weights · scale of x) */
@inline
function addScaled(sum: v128, integers: v128, scales: v128, info: usize): v128 {
  return f32x4.add(sum, f32x4.mul(f32x4.convert_i32x4_s(integers), f32x4.mul(scales, v128.load_splat<f32>(info))));
}

@inline
function dot32(a: v128, b: v128, c: v128, d: v128, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  return i32x4.add(i32x4.add(i32x4.dot_i16x8_s(a, x0), i32x4.dot_i16x8_s(b, x1)), i32x4.add(i32x4.dot_i16x8_s(c, x2), i32x4.dot_i16x8_s(d, x3)));
}

@inline
function dotCodes(w: usize, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  return dot32(v128.load_ext<i8>(w), v128.load_ext<i8>(w, 8), v128.load_ext<i8>(w, 16), v128.load_ext<i8>(w, 24), x0, x1, x2, x3);
}

/** Blocks: f16 scale, 32 int8. x in natural order. */
export function dotQ8_0(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, columns: i32): v128 {
  let sum = f32x4.splat(0);
  let info = x + (<usize>columns << 1);
  for (const end = info; x < end; x += 64) {
    const x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
    const integers = integerSums4(dotCodes(w0 + 2, x0, x1, x2, x3), dotCodes(w1 + 2, x0, x1, x2, x3), dotCodes(w2 + 2, x0, x1, x2, x3), dotCodes(w3 + 2, x0, x1, x2, x3));
    sum = addScaled(sum, integers, scales4(w0, w1, w2, w3), info);
    w0 += 34;
    w1 += 34;
    w2 += 34;
    w3 += 34;
    info += BLOCK_INFO_BYTES;
  }
  return sum;
}

/** 16 bytes of two nibbles each, taken as eight i16 of four: what ORDER_NIBBLES sorts x for. */
@inline
function dotNibbles(w: usize, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  const codes = v128.load(w);
  const mask = i16x8.splat(15);
  return dot32(v128.and(codes, mask), v128.and(i16x8.shr_u(codes, 4), mask), v128.and(i16x8.shr_u(codes, 8), mask), i16x8.shr_u(codes, 12), x0, x1, x2, x3);
}

/** Blocks: f16 scale, 32 nibbles that count from −8. */
export function dotQ4_0(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, columns: i32): v128 {
  let sum = f32x4.splat(0);
  let info = x + (<usize>columns << 1);
  for (const end = info; x < end; x += 64) {
    const x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
    const integers = integerSums4(dotNibbles(w0 + 2, x0, x1, x2, x3), dotNibbles(w1 + 2, x0, x1, x2, x3), dotNibbles(w2 + 2, x0, x1, x2, x3), dotNibbles(w3 + 2, x0, x1, x2, x3));
    const offset = i32x4.shl(v128.load_splat<u32>(info + 4), 3);
    sum = addScaled(sum, i32x4.sub(integers, offset), scales4(w0, w1, w2, w3), info);
    w0 += 18;
    w1 += 18;
    w2 += 18;
    w3 += 18;
    info += BLOCK_INFO_BYTES;
  }
  return sum;
}

/** Blocks: f16 scale, f16 minimum, 32 nibbles. */
export function dotQ4_1(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, columns: i32): v128 {
  let sum = f32x4.splat(0);
  let info = x + (<usize>columns << 1);
  for (const end = info; x < end; x += 64) {
    const x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
    const integers = integerSums4(dotNibbles(w0 + 4, x0, x1, x2, x3), dotNibbles(w1 + 4, x0, x1, x2, x3), dotNibbles(w2 + 4, x0, x1, x2, x3), dotNibbles(w3 + 4, x0, x1, x2, x3));
    sum = addScaled(sum, integers, scales4(w0, w1, w2, w3), info);
    sum = f32x4.add(sum, f32x4.mul(scales4(w0 + 2, w1 + 2, w2 + 2, w3 + 2), v128.load_splat<f32>(info + 8)));
    w0 += 20;
    w1 += 20;
    w2 += 20;
    w3 += 20;
    info += BLOCK_INFO_BYTES;
  }
  return sum;
}

/** Bits of `bits` that `select` picks, one a lane, as 16 or 0. */
@inline
function sixteens(bits: v128, select: v128): v128 {
  return v128.and(i16x8.eq(v128.and(bits, select), select), i16x8.splat(16));
}

/** As dotNibbles, with the fifth bits of the codes in 4 bytes before the nibbles. */
@inline
function dotFiveBits(w: usize, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  const codes = v128.load(w, 4);
  const low = v128.load_splat<u16>(w);
  const high = v128.load_splat<u16>(w + 2);
  const mask = i16x8.splat(15);
  const even = i16x8(1, 4, 16, 64, 256, 1024, 4096, 16384);
  const odd = i16x8(2, 8, 32, 128, 512, 2048, 8192, -32768);
  return dot32(
    v128.or(v128.and(codes, mask), sixteens(low, even)),
    v128.or(v128.and(i16x8.shr_u(codes, 4), mask), sixteens(high, even)),
    v128.or(v128.and(i16x8.shr_u(codes, 8), mask), sixteens(low, odd)),
    v128.or(i16x8.shr_u(codes, 12), sixteens(high, odd)),
    x0, x1, x2, x3,
  );
}

/** Blocks: f16 scale, 32 fifth bits, 32 nibbles; codes count from −16. */
export function dotQ5_0(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, columns: i32): v128 {
  let sum = f32x4.splat(0);
  let info = x + (<usize>columns << 1);
  for (const end = info; x < end; x += 64) {
    const x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
    const integers = integerSums4(dotFiveBits(w0 + 2, x0, x1, x2, x3), dotFiveBits(w1 + 2, x0, x1, x2, x3), dotFiveBits(w2 + 2, x0, x1, x2, x3), dotFiveBits(w3 + 2, x0, x1, x2, x3));
    const offset = i32x4.shl(v128.load_splat<u32>(info + 4), 4);
    sum = addScaled(sum, i32x4.sub(integers, offset), scales4(w0, w1, w2, w3), info);
    w0 += 22;
    w1 += 22;
    w2 += 22;
    w3 += 22;
    info += BLOCK_INFO_BYTES;
  }
  return sum;
}

/** Blocks: f16 scale, f16 minimum, 32 fifth bits, 32 nibbles. */
export function dotQ5_1(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, columns: i32): v128 {
  let sum = f32x4.splat(0);
  let info = x + (<usize>columns << 1);
  for (const end = info; x < end; x += 64) {
    const x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
    const integers = integerSums4(dotFiveBits(w0 + 4, x0, x1, x2, x3), dotFiveBits(w1 + 4, x0, x1, x2, x3), dotFiveBits(w2 + 4, x0, x1, x2, x3), dotFiveBits(w3 + 4, x0, x1, x2, x3));
    sum = addScaled(sum, integers, scales4(w0, w1, w2, w3), info);
    sum = f32x4.add(sum, f32x4.mul(scales4(w0 + 2, w1 + 2, w2 + 2, w3 + 2), v128.load_splat<f32>(info + 8)));
    w0 += 24;
    w1 += 24;
    w2 += 24;
    w3 += 24;
    info += BLOCK_INFO_BYTES;
  }
  return sum;
}

/** int8 rows by int8 activations (round.as roundRows): integer sums, which f32 holds exactly up to 2^24. columns ≤ 2^17. */
export function dotInt8Rows(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, columns: i32): v128 {
  let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
  const whole = <usize>(columns & ~7);
  let i: usize = 0;
  for (; i < whole; i += 8) {
    const xs = v128.load(x + (i << 1));
    s0 = i32x4.add(s0, i32x4.dot_i16x8_s(v128.load_ext<i8>(w0 + i), xs));
    s1 = i32x4.add(s1, i32x4.dot_i16x8_s(v128.load_ext<i8>(w1 + i), xs));
    s2 = i32x4.add(s2, i32x4.dot_i16x8_s(v128.load_ext<i8>(w2 + i), xs));
    s3 = i32x4.add(s3, i32x4.dot_i16x8_s(v128.load_ext<i8>(w3 + i), xs));
  }
  let sums = integerSums4(s0, s1, s2, s3);
  for (; i < <usize>columns; i++) {
    const code = <i32>load<i16>(x + (i << 1));
    let products = i32x4.splat(load<i8>(w0 + i) * code);
    products = i32x4.replace_lane(products, 1, load<i8>(w1 + i) * code);
    products = i32x4.replace_lane(products, 2, load<i8>(w2 + i) * code);
    products = i32x4.replace_lane(products, 3, load<i8>(w3 + i) * code);
    sums = i32x4.add(sums, products);
  }
  return f32x4.convert_i32x4_s(sums);
}
