/**
 * int8 activations and the codes of quantized weights for NEON. Both sides of a product are signed: offsets are taken off the codes, so
 * that of Prepared only q, scale and, where blocks have minimums, sum are used.
 */

/** The 32 codes of a block in natural order. */
struct Codes {
  int8x16_t low, high;
};

inline Codes codesAt(const void* p) {
  const int8_t* q = static_cast<const int8_t*>(p);
  return {vld1q_s8(q), vld1q_s8(q + 16)};
}

/** Rounds one block of x to the numbers of prepareScalar. */
inline void roundBlock(const float* x, int count, Prepared& dst, int block) {
  Vec part[4];
  for (int k = 0; k < 4; k++) {
    const int left = count - 8 * k;
    part[k] = left >= 8 ? Vec::load(x + 8 * k) : left > 0 ? Vec::loadPart(x + 8 * k, left) : Vec::zero();
  }
  // As integers: the order of sizes is the same, and not-a-number is above infinity.
  const auto bits = [&](int k) {
    const Vec size = magnitude(part[k]);
    return vmaxq_u32(vreinterpretq_u32_f32(size.low), vreinterpretq_u32_f32(size.high));
  };
  const uint32_t largestBits = vmaxvq_u32(vmaxq_u32(vmaxq_u32(bits(0), bits(1)), vmaxq_u32(bits(2), bits(3))));
  const bool finite = largestBits < 0x7f800000u;
  const float scale = floatOf(largestBits) / 127.0f;
  const float inverse = scale > 0 && finite ? 1.0f / scale : 0.0f;
  dst.scale[block] = finite ? scale : __builtin_nanf("");
  Codes q = {vdupq_n_s8(0), vdupq_n_s8(0)};
  if (inverse > 0 && inverse <= 3.402823466e38f) {
    const auto words = [&](int k) {
      const Vec steps = part[k] * Vec::all(inverse);
      return vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(steps.low)), vcvtnq_s32_f32(steps.high));
    };
    const auto bytes = [&](int k) { return vmaxq_s8(vqmovn_high_s16(vqmovn_s16(words(k)), words(k + 1)), vdupq_n_s8(-127)); };
    q = {bytes(0), bytes(2)};
  }
  vst1q_s8(dst.q + block * BLOCK, q.low);
  vst1q_s8(dst.q + block * BLOCK + 16, q.high);
  dst.sum[block] = vaddlvq_s8(q.low) + vaddlvq_s8(q.high);
}

void prepare(Storage storage, const float* x, int cols, Prepared& dst) {
  if (storage == INT8_ROWS) return prepareScalar(storage, x, cols, dst);
  for (int b = 0; b * BLOCK < cols; b++) {
    const int left = cols - b * BLOCK;
    roundBlock(x + b * BLOCK, left < BLOCK ? left : BLOCK, dst, b);
  }
}

inline float halfScale(const uint8_t* p) {
  __fp16 half;
  std::memcpy(&half, p, sizeof half);
  return static_cast<float>(half);
}

/** Codes of a block of Q4_0, Q4_1, Q5_0, Q5_1 or Q8_0, less their offset. */
template <Storage S> inline Codes codesOf(const uint8_t* block) {
  if (S == Q8_0) return codesAt(block + 2);
  constexpr bool five = S == Q5_0 || S == Q5_1;
  constexpr int header = hasMinimum<S>() ? 4 : 2;
  const uint8x16_t packed = vld1q_u8(block + header + (five ? 4 : 0));
  uint8x16_t low = vandq_u8(packed, vdupq_n_u8(15)), high = vshrq_n_u8(packed, 4);
  if (five) {
    // Byte i of the vectors looks at bit i of the 32: its byte of the four, then its bit of the eight.
    const uint8x16_t fifth = vreinterpretq_u8_u32(vdupq_n_u32(readAs<uint32_t>(block + header)));
    const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u)), first = vcombine_u8(vdup_n_u8(0), vdup_n_u8(1));
    const auto sixteen = [&](uint8x16_t from) { return vandq_u8(vtstq_u8(vqtbl1q_u8(fifth, from), bit), vdupq_n_u8(16)); };
    low = vorrq_u8(low, sixteen(first));
    high = vorrq_u8(high, sixteen(vaddq_u8(first, vdupq_n_u8(2))));
  }
  const int8x16_t offset = vdupq_n_s8(offsetOf<S>());
  return {vsubq_s8(vreinterpretq_s8_u8(low), offset), vsubq_s8(vreinterpretq_s8_u8(high), offset)};
}
