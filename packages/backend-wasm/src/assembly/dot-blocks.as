/**
 * Four rows of quantized blocks times one row of activations that round.as has rounded: integers within a block, f32 between blocks.
 * What comes out for a row does not depend on the other three, and sums of integers not on their order.
 */
import { BLOCK_INFO_BYTES } from '../layout';
import { byteSums, fiveBitSums, integerSums4, nibbleSums } from './block-sums';
import { floatsOfHalves } from './floats';

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

/** Blocks: f16 scale, 32 int8. */
export function dotQ8_0(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, columns: i32): v128 {
  let sum = f32x4.splat(0);
  let info = x + (<usize>columns << 1);
  for (const end = info; x < end; x += 64) {
    const integers = byteSums(w0 + 2, w1 + 2, w2 + 2, w3 + 2, x);
    sum = addScaled(sum, integers, scales4(w0, w1, w2, w3), info);
    w0 += 34;
    w1 += 34;
    w2 += 34;
    w3 += 34;
    info += BLOCK_INFO_BYTES;
  }
  return sum;
}

/** Blocks: f16 scale, 32 nibbles that count from −8. */
export function dotQ4_0(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, columns: i32): v128 {
  let sum = f32x4.splat(0);
  let info = x + (<usize>columns << 1);
  for (const end = info; x < end; x += 64) {
    const integers = nibbleSums(w0 + 2, w1 + 2, w2 + 2, w3 + 2, x);
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
    const integers = nibbleSums(w0 + 4, w1 + 4, w2 + 4, w3 + 4, x);
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

/** Blocks: f16 scale, 32 fifth bits, 32 nibbles; codes count from −16. */
export function dotQ5_0(w0: usize, w1: usize, w2: usize, w3: usize, x: usize, columns: i32): v128 {
  let sum = f32x4.splat(0);
  let info = x + (<usize>columns << 1);
  for (const end = info; x < end; x += 64) {
    const integers = fiveBitSums(w0 + 2, w1 + 2, w2 + 2, w3 + 2, x);
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
    const integers = fiveBitSums(w0 + 4, w1 + 4, w2 + 4, w3 + 4, x);
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
