/** Elements of a weight as f32, in any format. Layouts: ggml-common.h; arithmetic: @weightspec/codecs, every operation rounded to f32. */
import {
  FORMAT_BF16, FORMAT_F16, FORMAT_F32, FORMAT_GROUPS, FORMAT_GROUPS_WMAX, FORMAT_Q4_0, FORMAT_Q4_1, FORMAT_Q5_0, FORMAT_Q5_1, FORMAT_Q8_0,
} from '../layout';
import { floatOfHalf } from './floats';

@inline
function nibble(codes: usize, j: i32): i32 {
  return j < 16 ? load<u8>(codes + j) & 15 : load<u8>(codes + j - 16) >> 4;
}

/** Element `e`, counted from `weight`. `scales`, `groupSize`: of the formats in groups. */
function element(format: i32, weight: usize, scales: usize, groupSize: i32, e: i32): f32 {
  const block = <usize>(e >> 5);
  const j = e & 31;
  switch (format) {
    case FORMAT_F32:
      return load<f32>(weight + ((<usize>e) << 2));
    case FORMAT_F16:
      return floatOfHalf(load<u16>(weight + ((<usize>e) << 1)));
    case FORMAT_BF16:
      return reinterpret<f32>((<i32>load<u16>(weight + ((<usize>e) << 1))) << 16);
    case FORMAT_Q4_0: {
      const at = weight + block * 18;
      return <f32>(nibble(at + 2, j) - 8) * floatOfHalf(load<u16>(at));
    }
    case FORMAT_Q4_1: {
      const at = weight + block * 20;
      return <f32>nibble(at + 4, j) * floatOfHalf(load<u16>(at)) + floatOfHalf(load<u16>(at + 2));
    }
    case FORMAT_Q5_0: {
      const at = weight + block * 22;
      const fifth = ((load<u32>(at + 2) >> j) & 1) << 4;
      return <f32>((nibble(at + 6, j) | <i32>fifth) - 16) * floatOfHalf(load<u16>(at));
    }
    case FORMAT_Q5_1: {
      const at = weight + block * 24;
      const fifth = ((load<u32>(at + 4) >> j) & 1) << 4;
      return <f32>(nibble(at + 8, j) | <i32>fifth) * floatOfHalf(load<u16>(at)) + floatOfHalf(load<u16>(at + 2));
    }
    case FORMAT_Q8_0: {
      const at = weight + block * 34;
      return <f32>load<i8>(at + 2 + j) * floatOfHalf(load<u16>(at));
    }
    case FORMAT_GROUPS:
      return <f32>load<i8>(weight + e) * load<f32>(scales + ((<usize>(e / groupSize)) << 2));
    case FORMAT_GROUPS_WMAX:
      return (<f32>load<i8>(weight + e) * load<f32>(scales + ((<usize>(e / groupSize)) << 2))) / 127;
    default:
      return NaN;
  }
}

/** Decodes elements [first, first + count) into the f32 at `dst`. */
export function decodeElements(format: i32, weight: usize, scales: usize, groupSize: i32, first: i32, count: i32, dst: usize): void {
  for (let i = 0; i < count; i++) store<f32>(dst + ((<usize>i) << 2), element(format, weight, scales, groupSize, first + i));
}
