/** f16, exp and sums of vectors. */

/** sum + a · b. Relaxed SIMD rounds once where the machine can, and twice elsewhere. */
@inline
export function addProduct(sum: v128, a: v128, b: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, sum) : f32x4.add(sum, f32x4.mul(a, b));
}

@inline
export function sum4(v: v128): f32 {
  const pairs = f32x4.add(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/** [Σa, Σb, Σc, Σd] of four f32x4. */
@inline
export function sums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3));
}

/** f32 of four f16 that stand in the upper halves of i32 lanes; the lower halves are ignored. Exact, subnormals, infinities and NaN too. */
@inline
export function floatsOfHalves(upper: v128): v128 {
  const shifted = v128.and(i32x4.shr_s(upper, 3), i32x4.splat(0x8fffe000));
  const exponent = i32x4.splat(0x0f800000);
  const notFinite = i32x4.eq(v128.and(shifted, exponent), exponent);
  // 2^112 makes up for the difference of the exponents' biases, and normalizes subnormals.
  return v128.or(f32x4.mul(shifted, f32x4.splat(reinterpret<f32>(0x77800000))), v128.and(notFinite, i32x4.splat(0x7f800000)));
}

/** f32 of one f16. */
export function floatOfHalf(bits: i32): f32 {
  return f32x4.extract_lane(floatsOfHalves(i32x4.splat(bits << 16)), 0);
}

/**
 * e^x, within 2 ulp; infinite above 88.73, 0 below −103.98, NaN of NaN. x = n·ln 2 + r with |r| ≤ ln 2 / 2; ln 2 in two parts keeps r exact;
 * e^r by the polynomial of Cephes' expf (S. L. Moshier, coefficients of the minimax approximation).
 */
export function exp4(x: v128): v128 {
  const clamped = f32x4.max(f32x4.min(x, f32x4.splat(104.0)), f32x4.splat(-104.0));
  const n = f32x4.nearest(f32x4.mul(clamped, f32x4.splat(1.44269504088896341)));
  const r = f32x4.sub(f32x4.sub(clamped, f32x4.mul(n, f32x4.splat(0.693359375))), f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  let p = f32x4.splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  p = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r), f32x4.splat(1.0));
  // 2^n in two factors: n reaches ±150, beyond what one exponent holds.
  const whole = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(whole, 1);
  const bias = i32x4.splat(127);
  const first = i32x4.shl(i32x4.add(half, bias), 23);
  const second = i32x4.shl(i32x4.add(i32x4.sub(whole, half), bias), 23);
  return f32x4.mul(f32x4.mul(p, first), second);
}
