/**
 * What LMDeploy's int8 layers multiply: a token's activations rounded to int8 with one scale (specs/smoothquant#S-4.2).
 * scale = max(max|x|, 1e-7) / 127 rounded to f32; q = round half away from zero(x / scale); out = q · scale.
 *
 * WGSL's division may be 2.5 ulp off, which could flip a code next to a tie, so both divisions are settled in integers: the scale
 * by long division of the significand, a code by comparing 2x with (2q ± 1) · scale. The quotient is thus exact where upstream
 * rounds it to f32 first; the two differ only for quotients within 2^-25 of a tie. NaN and infinities are not provided for:
 * WGSL may assume that there are none.
 */
import { abilitiesName, kernel, type Abilities, type Kernel } from './kernel.js';
import { reduction } from './reduce.js';

export function roundActivationsKernel(abilities: Abilities): Kernel {
  const max = reduction('max', abilities);
  return kernel({
    name: `round activations${abilitiesName(abilities)}`,
    bindings: [{ name: 'x', type: 'f32', access: 'read' }, { name: 'out', type: 'f32', access: 'write' }],
    constants: [['stride', 'u32']],
    workgroupSize: abilities.invocations,
    reductions: [max],
    declarations: `fn significand(value: f32) -> u32 { return (bitcast<u32>(value) & 0x7fffffu) | 0x800000u; }
fn exponent(value: f32) -> i32 { return i32((bitcast<u32>(value) >> 23u) & 255u); }

/* value / 127, rounded half to even; a tie cannot be, 127 being odd. */
fn over127(value: f32) -> f32 {
  let numerator = significand(value) << 7u;
  var quotient = numerator / 127u;
  let rest = numerator % 127u;
  var power = u32(exponent(value) - 7);
  if (quotient < 0x1000000u) {
    quotient += select(0u, 1u, 2u * rest > 127u);
  } else {
    // One bit too many: it and the rest decide.
    let odd = quotient & 1u;
    quotient >>= 1u;
    power += 1u;
    quotient += select(0u, 1u, odd == 1u && (rest > 0u || (quotient & 1u) == 1u));
  }
  return bitcast<f32>((power << 23u) + (quotient - 0x800000u));
}

/* 2 · magnitude ≥ factor · scale, exactly; for quotients magnitude / scale from 1/16 to 127.5, whose products fit 32 bits. */
fn reaches(magnitude: f32, scale: f32, factor: u32) -> bool {
  let shift = exponent(magnitude) - exponent(scale);
  let left = 2u * significand(magnitude);
  let right = factor * significand(scale);
  return select(left >= (right << u32(max(-shift, 0))), (left << u32(max(shift, 0))) >= right, shift >= 0);
}

fn code(magnitude: f32, scale: f32) -> f32 {
  if (exponent(magnitude) - exponent(scale) < -3) { return 0.0; }
  var guess = u32(magnitude / scale + 0.5);
  if (guess > 0u && !reaches(magnitude, scale, 2u * guess - 1u)) { guess -= 1u; }
  else if (guess < 127u && reaches(magnitude, scale, 2u * guess + 1u)) { guess += 1u; }
  return f32(guess);
}`,
    body: `  if (group >= batch.rowCount) { return; }
  let start = (batch.firstRow + group) * op.stride;
  var largest = 1e-7;
  for (var i = local; i < op.stride; i += WORKGROUP) { largest = max(largest, abs(x[start + i])); }
  let scale = over127(${max.call('largest')});
  for (var i = local; i < op.stride; i += WORKGROUP) {
    let value = x[start + i];
    out[start + i] = sign(value) * code(abs(value), scale) * scale;
  }`,
  });
}
