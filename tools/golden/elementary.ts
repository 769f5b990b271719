/**
 * exp, ln, sin, cos and f16/bf16 rounding made of + − × ÷ alone.
 *
 * Why not Math.exp and friends: ECMAScript leaves their last bit to the implementation, and goldens must come out
 * byte for byte on every Node. + − × ÷, Math.sqrt, Math.fround and Math.round are exact by IEEE 754 / ECMA-262.
 * Accuracy: within 2 ulp of the true value in the ranges used here (tested against Math.*); |x| < 1e5 for sin and cos.
 */

/** ln 2 and π/2 as a head with trailing zero bits (so that k · head is exact for small k) and a tail (fdlibm's constants). */
const LN2_HEAD = 6.93147180369123816490e-1;
const LN2_TAIL = 1.90821492927058770002e-10;
const HALF_PI_HEAD = 1.57079632673412561417;
const HALF_PI_TAIL = 6.07710050650619224932e-11;

/** 2^k for an integer k; repeated doubling is exact, which `**` does not promise. */
export function powerOfTwo(k: number): number {
  let value = 1;
  for (let i = 0; i < Math.abs(k); i++) value *= k < 0 ? 0.5 : 2;
  return value;
}

/** e^x by x = k·ln 2 + r, |r| ≤ ln 2 / 2, and 18 Taylor terms of e^r (remainder < 1e-24). */
export function exp(x: number): number {
  if (x > 709) return Infinity;
  if (x < -745) return 0;
  const k = Math.round(x / Math.LN2);
  const r = x - k * LN2_HEAD - k * LN2_TAIL;
  let sum = 1;
  for (let n = 18; n >= 1; n--) sum = 1 + (r / n) * sum;
  return sum * powerOfTwo(k);
}

/** ln x for x > 0 by x = m·2^k, m in [√½, √2), and ln m = 2 artanh((m − 1) / (m + 1)). */
export function ln(x: number): number {
  let m = x;
  let k = 0;
  while (m >= Math.SQRT2) {
    m /= 2;
    k++;
  }
  while (m < Math.SQRT1_2) {
    m *= 2;
    k--;
  }
  const s = (m - 1) / (m + 1);
  let sum = 0;
  for (let n = 41; n >= 1; n -= 2) sum = 1 / n + s * s * sum;
  return k * LN2_HEAD + (2 * s * sum + k * LN2_TAIL);
}

/** base^exponent for a positive base. */
export function power(base: number, exponent: number): number {
  return exp(exponent * ln(base));
}

function sineNearZero(r: number): number {
  let sum = 1;
  for (let n = 20; n >= 2; n -= 2) sum = 1 - ((r * r) / (n * (n + 1))) * sum;
  return r * sum;
}

function cosineNearZero(r: number): number {
  let sum = 1;
  for (let n = 19; n >= 1; n -= 2) sum = 1 - ((r * r) / (n * (n + 1))) * sum;
  return sum;
}

/** Sine of x + quarterTurns · π/2. */
function sineOfQuarter(x: number, quarterTurns: number): number {
  const k = Math.round(x / HALF_PI_HEAD);
  const r = x - k * HALF_PI_HEAD - k * HALF_PI_TAIL;
  const quadrant = (((k + quarterTurns) % 4) + 4) % 4;
  const magnitude = quadrant % 2 === 0 ? sineNearZero(r) : cosineNearZero(r);
  return quadrant < 2 ? magnitude : -magnitude;
}

export const sin = (x: number): number => sineOfQuarter(x, 0);
export const cos = (x: number): number => sineOfQuarter(x, 1);

/** Integer nearest to x, ties to even. */
export function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const fraction = x - below;
  if (fraction !== 0.5) return fraction < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/** Nearest value with `significandBits` bits (the leading one included) and exponents not below `minExponent`. */
function roundToFormat(x: number, significandBits: number, minExponent: number): number {
  let ulp = powerOfTwo(minExponent - significandBits + 1);
  const ulpsPerBinade = powerOfTwo(significandBits);
  while (Math.abs(x) >= ulp * ulpsPerBinade) ulp *= 2;
  return roundHalfEven(x / ulp) * ulp;
}

/** Nearest IEEE binary16 value, ties to even. No overflow handling: weights are far below 65504. */
export const roundToF16 = (x: number): number => roundToFormat(x, 11, -14);
/** Nearest bfloat16 value, ties to even. */
export const roundToBF16 = (x: number): number => roundToFormat(x, 8, -126);
