/**
 * Four blocks of 32 codes times one block of 32 activations, as integers: [Σ w0·x, Σ w1·x, Σ w2·x, Σ w3·x]. Both modules give the
 * same integers:
 *
 *   SIMD128        multiplies i16 (i32x4.dot_i16x8_s), so that x is kept as i16 and weights are widened
 *   relaxed SIMD   multiplies i8 by i7 (i16x8.relaxed_dot_i8x16_i7x16_s), and machines agree as long as the second operand is 0 … 127:
 *                  codes of 4 and 5 bits are; of int8 codes times x the two operands are the codes and max(x, 0), and the codes and
 *                  max(−x, 0), since |x| ≤ 127 while a weight may be −128
 *
 * 64 bytes of x either way: i16 in natural order; i16 as dotNibbles16 unpacks codes; max(x, 0) and max(−x, 0) in bytes; 32 bytes of x.
 */
import { ORDER_NIBBLES } from '../layout';

/** Writes 32 activations, i16 in a … d with |x| ≤ 127, to the 64 bytes at `x`. */
@inline
export function storeCodes(x: usize, order: i32, a: v128, b: v128, c: v128, d: v128): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    const low = i8x16.narrow_i16x8_s(a, b);
    const high = i8x16.narrow_i16x8_s(c, d);
    if (order == ORDER_NIBBLES) {
      v128.store(x, low);
      v128.store(x, high, 16);
    } else {
      const zero = i8x16.splat(0);
      v128.store(x, i8x16.max_s(low, zero));
      v128.store(x, i8x16.max_s(high, zero), 16);
      v128.store(x, i8x16.max_s(i8x16.neg(low), zero), 32);
      v128.store(x, i8x16.max_s(i8x16.neg(high), zero), 48);
    }
  } else if (order == ORDER_NIBBLES) {
    // Elements 0, 2 … 14; 16, 18 … 30; 1, 3 … 15; 17, 19 … 31.
    v128.store(x, v128.shuffle<i16>(a, b, 0, 2, 4, 6, 8, 10, 12, 14));
    v128.store(x, v128.shuffle<i16>(c, d, 0, 2, 4, 6, 8, 10, 12, 14), 16);
    v128.store(x, v128.shuffle<i16>(a, b, 1, 3, 5, 7, 9, 11, 13, 15), 32);
    v128.store(x, v128.shuffle<i16>(c, d, 1, 3, 5, 7, 9, 11, 13, 15), 48);
  } else {
    v128.store(x, a);
    v128.store(x, b, 16);
    v128.store(x, c, 32);
    v128.store(x, d, 48);
  }
}

/** 32 int8 a block. */
@inline
export function byteSums(w0: usize, w1: usize, w2: usize, w3: usize, x: usize): v128 {
  const x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
  if (ASC_FEATURE_RELAXED_SIMD) return integerSums4(dotSigned(w0, x0, x1, x2, x3), dotSigned(w1, x0, x1, x2, x3), dotSigned(w2, x0, x1, x2, x3), dotSigned(w3, x0, x1, x2, x3));
  return integerSums4(dotBytes16(w0, x0, x1, x2, x3), dotBytes16(w1, x0, x1, x2, x3), dotBytes16(w2, x0, x1, x2, x3), dotBytes16(w3, x0, x1, x2, x3));
}

/** 16 bytes a block, of which the low nibbles are the first 16 codes. */
@inline
export function nibbleSums(w0: usize, w1: usize, w2: usize, w3: usize, x: usize): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    const low = v128.load(x), high = v128.load(x, 16);
    const ab = pairs16(dotNibbles8(w0, low, high), dotNibbles8(w1, low, high));
    const cd = pairs16(dotNibbles8(w2, low, high), dotNibbles8(w3, low, high));
    // Of eight products of at most 15 · 127 each, so that i16 hold sixteen.
    return i32x4.extadd_pairwise_i16x8_s(i16x8.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3)));
  }
  const x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
  return integerSums4(dotNibbles16(w0, x0, x1, x2, x3), dotNibbles16(w1, x0, x1, x2, x3), dotNibbles16(w2, x0, x1, x2, x3), dotNibbles16(w3, x0, x1, x2, x3));
}

/** 20 bytes a block: 32 fifth bits, then as nibbleSums. */
@inline
export function fiveBitSums(w0: usize, w1: usize, w2: usize, w3: usize, x: usize): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    const low = v128.load(x), high = v128.load(x, 16);
    // Of eight products of at most 31 · 127 each: i16 hold no more.
    const ab = i32x4.extadd_pairwise_i16x8_s(pairs16(dotFiveBits8(w0, low, high), dotFiveBits8(w1, low, high)));
    const cd = i32x4.extadd_pairwise_i16x8_s(pairs16(dotFiveBits8(w2, low, high), dotFiveBits8(w3, low, high)));
    return i32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3));
  }
  const x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48);
  return integerSums4(dotFiveBits16(w0, x0, x1, x2, x3), dotFiveBits16(w1, x0, x1, x2, x3), dotFiveBits16(w2, x0, x1, x2, x3), dotFiveBits16(w3, x0, x1, x2, x3));
}

/** [Σa, Σb, Σc, Σd] of four i32x4. */
@inline
export function integerSums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3));
}

// --- SIMD128

@inline
function dot32(a: v128, b: v128, c: v128, d: v128, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  return i32x4.add(i32x4.add(i32x4.dot_i16x8_s(a, x0), i32x4.dot_i16x8_s(b, x1)), i32x4.add(i32x4.dot_i16x8_s(c, x2), i32x4.dot_i16x8_s(d, x3)));
}

@inline
function dotBytes16(w: usize, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  return dot32(v128.load_ext<i8>(w), v128.load_ext<i8>(w, 8), v128.load_ext<i8>(w, 16), v128.load_ext<i8>(w, 24), x0, x1, x2, x3);
}

/** 16 bytes of two nibbles each, taken as eight i16 of four: what storeCodes sorts x for. */
@inline
function dotNibbles16(w: usize, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  const codes = v128.load(w);
  const mask = i16x8.splat(15);
  return dot32(v128.and(codes, mask), v128.and(i16x8.shr_u(codes, 4), mask), v128.and(i16x8.shr_u(codes, 8), mask), i16x8.shr_u(codes, 12), x0, x1, x2, x3);
}

/** Bits of `bits` that `select` picks, one a lane, as 16 or 0. */
@inline
function sixteens16(bits: v128, select: v128): v128 {
  return v128.and(i16x8.eq(v128.and(bits, select), select), i16x8.splat(16));
}

@inline
function dotFiveBits16(w: usize, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  const codes = v128.load(w, 4);
  const low = v128.load_splat<u16>(w);
  const high = v128.load_splat<u16>(w + 2);
  const mask = i16x8.splat(15);
  const even = i16x8(1, 4, 16, 64, 256, 1024, 4096, 16384);
  const odd = i16x8(2, 8, 32, 128, 512, 2048, 8192, -32768);
  return dot32(
    v128.or(v128.and(codes, mask), sixteens16(low, even)),
    v128.or(v128.and(i16x8.shr_u(codes, 4), mask), sixteens16(high, even)),
    v128.or(v128.and(i16x8.shr_u(codes, 8), mask), sixteens16(low, odd)),
    v128.or(i16x8.shr_u(codes, 12), sixteens16(high, odd)),
    x0, x1, x2, x3,
  );
}

// --- Relaxed SIMD

/** [a0 + a2, b0 + b2, a1 + a3, b1 + b3] of pairs of i16. */
@inline
function pairs16(a: v128, b: v128): v128 {
  return i16x8.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
}

/** Of two products of x one is 0, so that i16 hold their difference. */
@inline
function dotSigned(w: usize, positive0: v128, positive1: v128, negative0: v128, negative1: v128): v128 {
  const a = v128.load(w), b = v128.load(w, 16);
  return i32x4.add(
    i32x4.extadd_pairwise_i16x8_s(i16x8.sub(i16x8.relaxed_dot_i8x16_i7x16_s(a, positive0), i16x8.relaxed_dot_i8x16_i7x16_s(a, negative0))),
    i32x4.extadd_pairwise_i16x8_s(i16x8.sub(i16x8.relaxed_dot_i8x16_i7x16_s(b, positive1), i16x8.relaxed_dot_i8x16_i7x16_s(b, negative1))),
  );
}

@inline
function dotNibbles8(w: usize, low: v128, high: v128): v128 {
  const codes = v128.load(w);
  const mask = i8x16.splat(15);
  return i16x8.add(i16x8.relaxed_dot_i8x16_i7x16_s(low, v128.and(codes, mask)), i16x8.relaxed_dot_i8x16_i7x16_s(high, v128.and(i16x8.shr_u(codes, 4), mask)));
}

@inline
function sixteens8(bits: v128): v128 {
  const select = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  return v128.and(i8x16.eq(v128.and(bits, select), select), i8x16.splat(16));
}

@inline
function dotFiveBits8(w: usize, low: v128, high: v128): v128 {
  const fifths = v128.load_splat<u32>(w);
  const codes = v128.load(w, 4);
  const mask = i8x16.splat(15);
  return i16x8.add(
    i16x8.relaxed_dot_i8x16_i7x16_s(low, v128.or(v128.and(codes, mask), sixteens8(v128.shuffle<i8>(fifths, fifths, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1)))),
    i16x8.relaxed_dot_i8x16_i7x16_s(high, v128.or(v128.and(i16x8.shr_u(codes, 4), mask), sixteens8(v128.shuffle<i8>(fifths, fifths, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3)))),
  );
}
