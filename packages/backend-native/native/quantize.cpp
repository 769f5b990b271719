// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, F16 and BF16 from f32, little-endian, byte for byte as packages/codecs writes them with ggml's
// rounding (layouts and arithmetic are described there, codec by codec). Source: ggml-quants.c quantize_row_*_ref (c0e1eb4).
//
// Each vector kernel does the blocks whose elements, scale and inverse scale are finite, and hands any other block to the scalar
// kernel, which does what C leaves undefined (infinities, NaN, an infinite inverse) as the TypeScript codecs do.
// Every operation rounds to f32 and none may be fused: this file must be compiled with -ffp-contract=off (GCC fuses even
// intrinsics); the pragmas below say so too, and packages/backend-native/src/quantizers.test.ts compares the bytes.

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#include "quantize.h"

#include <cfloat>
#include <cmath>
#include <cstring>

#if defined(__x86_64__) || defined(_M_X64)
#define WEIGHTSPEC_QUANTIZE_X86 1
#include <immintrin.h>
#endif

namespace weightspec {
namespace {

constexpr int kBlock = 32;
constexpr uint32_t kInfinityBits = 0x7f800000;

uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

void writeU16(uint8_t* dst, uint32_t value) {
  dst[0] = static_cast<uint8_t>(value);
  dst[1] = static_cast<uint8_t>(value >> 8);
}

void writeU32(uint8_t* dst, uint32_t value) {
  writeU16(dst, value);
  writeU16(dst + 2, value >> 16);
}

/** To nearest, ties to even; NaN becomes 7E00 with its own sign. */
uint32_t f16FromBits(uint32_t bits) {
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x477ff000) return sign | (magnitude > kInfinityBits ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13);
  // Below 2^-14 the fraction counts multiples of 2^-24, and the implicit leading 1 has to be shifted in.
  const uint32_t shift = 126 - (magnitude >> 23);
  if (shift > 24) return sign;
  const uint32_t significand = (magnitude & 0x7fffff) | 0x800000;
  return sign | ((significand + (1u << (shift - 1)) - 1 + ((significand >> shift) & 1)) >> shift);
}

/** A scale or minimum: NaN is 7E00 whatever its sign, as in JavaScript, which does not tell the signs of NaN apart. */
uint32_t f16OfScale(float value) { return std::isnan(value) ? 0x7e00 : f16FromBits(bitsOf(value)); }

uint32_t bf16FromBits(uint32_t bits) {
  if ((bits & 0x7fffffff) > kInfinityBits) return (bits >> 16) | 0x40;
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

/** JavaScript's `value | 0`: what the codecs define where C leaves a conversion undefined. */
int32_t toInt32(double value) {
  if (!std::isfinite(value)) return 0;
  if (std::fabs(value) < 2147483648.0) return static_cast<int32_t>(value);
  const double rest = std::fmod(std::trunc(value), 4294967296.0);
  return static_cast<int32_t>(static_cast<uint32_t>(static_cast<int64_t>(rest)));
}

float inverseOf(float scale) { return scale == 0 ? 0.0f : 1.0f / scale; }

/** The first element with the greatest magnitude; NaN is passed over, and a block of zeros has +0. */
float extremum(const float* src) {
  float element = 0;
  for (int i = 0; i < kBlock; i++) {
    if (std::fabs(src[i]) > std::fabs(element)) element = src[i];
  }
  return element;
}

struct Range {
  float least;
  float greatest;
};

/** The first of equals, starting from ±FLT_MAX; NaN is passed over. */
Range findRange(const float* src) {
  Range range{FLT_MAX, -FLT_MAX};
  for (int i = 0; i < kBlock; i++) {
    if (src[i] < range.least) range.least = src[i];
    if (src[i] > range.greatest) range.greatest = src[i];
  }
  return range;
}

/** Layout of a block with 4- or 5-bit codes: scale, minimum if it has one, fifth bits if it has them, nibbles. */
template <int Bits, bool HasMinimum>
struct Packed {
  static constexpr bool hasFifthBits = Bits == 5;
  static constexpr int32_t greatestCode = (1 << Bits) - 1;
  /** ggml does not clamp Q5_1, which shows only where a block has NaN. */
  static constexpr bool clamped = !(HasMinimum && hasFifthBits);
  static constexpr int fifthOffset = HasMinimum ? 4 : 2;
  static constexpr int nibblesOffset = fifthOffset + (hasFifthBits ? 4 : 0);
  static constexpr size_t bytesPerBlock = nibblesOffset + 16;
  /** Signed blocks: the scale is extremum / divisor. Blocks with a minimum: range / divisor. */
  static constexpr float divisor = HasMinimum ? static_cast<float>(greatestCode) : -static_cast<float>(1 << (Bits - 1));
  static constexpr float offset = HasMinimum ? 0.5f : static_cast<float>(1 << (Bits - 1)) + 0.5f;
};

using Q4_0 = Packed<4, false>;
using Q4_1 = Packed<4, true>;
using Q5_0 = Packed<5, false>;
using Q5_1 = Packed<5, true>;
constexpr size_t kQ8Bytes = 34;

/** trunc(x · inverse + offset). Two roundings to f32. */
template <typename Layout>
uint32_t codeOf(float x, float inverse) {
  const float scaled = x * inverse;
  const int32_t code = toInt32(scaled + Layout::offset);
  return static_cast<uint32_t>((Layout::clamped && code > Layout::greatestCode ? Layout::greatestCode : code) & Layout::greatestCode);
}

template <typename Layout>
void packNibbles(const float* values, float inverse, uint8_t* dst) {
  uint32_t fifthBits = 0;
  for (int j = 0; j < 16; j++) {
    const uint32_t low = codeOf<Layout>(values[j], inverse);
    const uint32_t high = codeOf<Layout>(values[j + 16], inverse);
    dst[Layout::nibblesOffset + j] = static_cast<uint8_t>((low & 15) | (high << 4));
    fifthBits |= ((low >> 4) << j) | ((high >> 4) << (j + 16));
  }
  if (Layout::hasFifthBits) writeU32(dst + Layout::fifthOffset, fifthBits);
}

template <typename Layout>
void signedBlock(const float* src, uint8_t* dst) {
  const float scale = extremum(src) / Layout::divisor;
  writeU16(dst, f16OfScale(scale));
  packNibbles<Layout>(src, inverseOf(scale), dst);
}

template <typename Layout>
void rangeBlock(const float* src, uint8_t* dst) {
  const Range range = findRange(src);
  const float extent = range.greatest - range.least;
  const float scale = extent / Layout::divisor;
  float above[kBlock];
  for (int i = 0; i < kBlock; i++) above[i] = src[i] - range.least;
  writeU16(dst, f16OfScale(scale));
  writeU16(dst + 2, f16OfScale(range.least));
  packNibbles<Layout>(above, inverseOf(scale), dst);
}

void q8Block(const float* src, uint8_t* dst) {
  // C's MAX(greatest, |x|) is |x| when either is NaN, so that NaN resets the maximum.
  float greatest = 0;
  for (int i = 0; i < kBlock; i++) {
    if (!(greatest > std::fabs(src[i]))) greatest = std::fabs(src[i]);
  }
  const float scale = greatest / 127;
  const float inverse = inverseOf(scale);
  writeU16(dst, f16OfScale(scale));
  for (int i = 0; i < kBlock; i++) {
    const float scaled = src[i] * inverse;
    // The sum is a double: in f32 the largest value below one half would round up.
    const uint32_t magnitude = static_cast<uint32_t>(toInt32(std::fabs(static_cast<double>(scaled)) + 0.5));
    dst[2 + i] = static_cast<uint8_t>(std::signbit(src[i]) ? 0u - magnitude : magnitude);
  }
}

template <void (*Block)(const float*, uint8_t*), size_t BytesPerBlock>
void scalarBlocks(const float* src, uint8_t* dst, size_t blockCount) {
  for (size_t block = 0; block < blockCount; block++) Block(src + block * kBlock, dst + block * BytesPerBlock);
}

template <uint32_t (*Convert)(uint32_t)>
void scalarHalves(const float* src, uint8_t* dst, size_t count) {
  for (size_t i = 0; i < count; i++) writeU16(dst + 2 * i, Convert(bitsOf(src[i])));
}

#ifdef WEIGHTSPEC_QUANTIZE_X86

#if defined(__GNUC__)
#define AVX2 __attribute__((target("avx2,bmi,f16c")))
#define AVX512 __attribute__((target("avx2,bmi,f16c,avx512f,avx512bw,avx512dq,avx512vl")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) inline
#define AVX512_INLINE AVX512 __attribute__((always_inline)) inline
#else
#define AVX2
#define AVX512
#define AVX2_INLINE __forceinline
#define AVX512_INLINE __forceinline
#endif

/** The largest f32 below one half: trunc(|x| + this) rounds half away from zero, while with one half itself 0.49999997 would become 1. */
constexpr float kBelowHalf = 0.49999997f;

/** The inverse may be infinite only where the scalar kernel takes over. */
inline bool isRegular(float scale, float inverse) { return std::fabs(scale) <= FLT_MAX && std::fabs(inverse) <= FLT_MAX; }

// ---- AVX-512: a block is two vectors ----

AVX512_INLINE uint32_t greatestMagnitudeBits512(__m512 low, __m512 high) {
  const __m512i mask = _mm512_set1_epi32(0x7fffffff);
  const __m512i magnitudes = _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(low), mask), _mm512_and_si512(_mm512_castps_si512(high), mask));
  return _mm512_reduce_max_epu32(magnitudes);
}

AVX512_INLINE float floatOf512(uint32_t bits) { return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(bits)))); }

AVX512_INLINE void writeHalf512(uint8_t* dst, float value) { writeU16(dst, static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(value), 0)))); }

AVX512_INLINE __m512i codes512(__m512 values, float inverse, float offset, int greatestCode) {
  const __m512 scaled = _mm512_mul_ps(values, _mm512_set1_ps(inverse));
  return _mm512_min_epi32(_mm512_cvttps_epi32(_mm512_add_ps(scaled, _mm512_set1_ps(offset))), _mm512_set1_epi32(greatestCode));
}

template <typename Layout>
AVX512_INLINE void pack512(__m512 low, __m512 high, float inverse, uint8_t* dst) {
  const __m512i lowCodes = codes512(low, inverse, Layout::offset, Layout::greatestCode);
  const __m512i highCodes = codes512(high, inverse, Layout::offset, Layout::greatestCode);
  if (Layout::hasFifthBits) {
    const __m512i fifth = _mm512_set1_epi32(16);
    writeU32(dst + Layout::fifthOffset, static_cast<uint32_t>(_mm512_test_epi32_mask(lowCodes, fifth)) | static_cast<uint32_t>(_mm512_test_epi32_mask(highCodes, fifth)) << 16);
  }
  // Narrowing keeps the low byte: the fifth bit of a high code is shifted out of it, that of a low code is masked.
  const __m512i lowNibbles = Layout::hasFifthBits ? _mm512_and_si512(lowCodes, _mm512_set1_epi32(15)) : lowCodes;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + Layout::nibblesOffset), _mm512_cvtepi32_epi8(_mm512_or_si512(lowNibbles, _mm512_slli_epi32(highCodes, 4))));
}

template <typename Layout>
AVX512 void signedBlocks512(const float* src, uint8_t* dst, size_t blockCount) {
  for (size_t block = 0; block < blockCount; block++, src += kBlock, dst += Layout::bytesPerBlock) {
    const __m512 low = _mm512_loadu_ps(src);
    const __m512 high = _mm512_loadu_ps(src + 16);
    const uint32_t greatest = greatestMagnitudeBits512(low, high);
    const __m512 magnitude = _mm512_set1_ps(floatOf512(greatest));
    const uint32_t where = static_cast<uint32_t>(_mm512_cmp_ps_mask(_mm512_abs_ps(low), magnitude, _CMP_EQ_OQ)) | static_cast<uint32_t>(_mm512_cmp_ps_mask(_mm512_abs_ps(high), magnitude, _CMP_EQ_OQ)) << 16;
    const float first = greatest == 0 || where == 0 ? 0.0f : src[_tzcnt_u32(where)];
    const float scale = first / Layout::divisor;
    const float inverse = inverseOf(scale);
    if (greatest >= kInfinityBits || !isRegular(scale, inverse)) {
      signedBlock<Layout>(src, dst);
      continue;
    }
    writeHalf512(dst, scale);
    pack512<Layout>(low, high, inverse, dst);
  }
}

template <typename Layout>
AVX512 void rangeBlocks512(const float* src, uint8_t* dst, size_t blockCount) {
  for (size_t block = 0; block < blockCount; block++, src += kBlock, dst += Layout::bytesPerBlock) {
    const __m512 low = _mm512_loadu_ps(src);
    const __m512 high = _mm512_loadu_ps(src + 16);
    const uint32_t magnitude = greatestMagnitudeBits512(low, high);
    float least = _mm512_reduce_min_ps(_mm512_min_ps(low, high));
    // Adding zero makes −0 positive: a range of zeros is +0.
    const float greatest = _mm512_reduce_max_ps(_mm512_max_ps(low, high)) + 0.0f;
    if (least == 0 && magnitude < kInfinityBits) {
      // The first of the zeros decides the sign of the minimum.
      const __m512 zero = _mm512_setzero_ps();
      const uint32_t where = static_cast<uint32_t>(_mm512_cmp_ps_mask(low, zero, _CMP_EQ_OQ)) | static_cast<uint32_t>(_mm512_cmp_ps_mask(high, zero, _CMP_EQ_OQ)) << 16;
      least = src[_tzcnt_u32(where)];
    }
    const float scale = (greatest - least) / Layout::divisor;
    const float inverse = inverseOf(scale);
    if (magnitude >= kInfinityBits || !isRegular(scale, inverse)) {
      rangeBlock<Layout>(src, dst);
      continue;
    }
    writeHalf512(dst, scale);
    writeHalf512(dst + 2, least);
    const __m512 minimum = _mm512_set1_ps(least);
    pack512<Layout>(_mm512_sub_ps(low, minimum), _mm512_sub_ps(high, minimum), inverse, dst);
  }
}

AVX512_INLINE __m128i roundHalfAway512(__m512 values, float inverse) {
  const __m512 scaled = _mm512_mul_ps(values, _mm512_set1_ps(inverse));
  // Bitwise (sign & scaled) | half: one half with the sign of the value.
  const __m512i half = _mm512_ternarylogic_epi32(_mm512_set1_epi32(static_cast<int>(0x80000000)), _mm512_castps_si512(scaled), _mm512_castps_si512(_mm512_set1_ps(kBelowHalf)), 0xea);
  return _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(_mm512_add_ps(scaled, _mm512_castsi512_ps(half))));
}

AVX512 void q8Blocks512(const float* src, uint8_t* dst, size_t blockCount) {
  for (size_t block = 0; block < blockCount; block++, src += kBlock, dst += kQ8Bytes) {
    const __m512 low = _mm512_loadu_ps(src);
    const __m512 high = _mm512_loadu_ps(src + 16);
    const uint32_t greatest = greatestMagnitudeBits512(low, high);
    const float scale = floatOf512(greatest) / 127;
    const float inverse = inverseOf(scale);
    if (greatest >= kInfinityBits || !isRegular(scale, inverse)) {
      q8Block(src, dst);
      continue;
    }
    writeHalf512(dst, scale);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + 2), roundHalfAway512(low, inverse));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + 18), roundHalfAway512(high, inverse));
  }
}

AVX512 void f16Values512(const float* src, uint8_t* dst, size_t count) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m512 values = _mm512_loadu_ps(src + i);
    __m256i halves = _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT);
    const __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
    // The instruction keeps the payload of NaN; ggml does not.
    halves = _mm256_mask_blend_epi16(nan, halves, _mm256_or_si256(_mm256_and_si256(halves, _mm256_set1_epi16(static_cast<short>(0x8000))), _mm256_set1_epi16(0x7e00)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + 2 * i), halves);
  }
  scalarHalves<f16FromBits>(src + i, dst + 2 * i, count - i);
}

AVX512 void bf16Values512(const float* src, uint8_t* dst, size_t count) {
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m512 values = _mm512_loadu_ps(src + i);
    const __m512i bits = _mm512_castps_si512(values);
    const __m512i upper = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), 16);
    const __mmask16 nan = _mm512_cmp_ps_mask(values, values, _CMP_UNORD_Q);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + 2 * i), _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(rounded, nan, upper, _mm512_set1_epi32(0x40))));
  }
  scalarHalves<bf16FromBits>(src + i, dst + 2 * i, count - i);
}

// ---- AVX2: a block is four vectors ----

struct Block256 {
  __m256 v[4];
};

AVX2_INLINE Block256 load256(const float* src) { return {{_mm256_loadu_ps(src), _mm256_loadu_ps(src + 8), _mm256_loadu_ps(src + 16), _mm256_loadu_ps(src + 24)}}; }

AVX2_INLINE __m256 magnitudes256(__m256 values) { return _mm256_and_ps(values, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff))); }

AVX2_INLINE __m256i magnitudeBits256(__m256 values) { return _mm256_castps_si256(magnitudes256(values)); }

/** Magnitudes order like their bits, and unlike maxps this does not lose NaN. */
AVX2_INLINE uint32_t greatestMagnitudeBits256(const Block256& block) {
  const __m256i low = _mm256_max_epu32(magnitudeBits256(block.v[0]), magnitudeBits256(block.v[1]));
  const __m256i four = _mm256_max_epu32(low, _mm256_max_epu32(magnitudeBits256(block.v[2]), magnitudeBits256(block.v[3])));
  __m128i m = _mm_max_epu32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(m));
}

AVX2_INLINE float least256(const Block256& block) {
  const __m256 four = _mm256_min_ps(_mm256_min_ps(block.v[0], block.v[1]), _mm256_min_ps(block.v[2], block.v[3]));
  __m128 m = _mm_min_ps(_mm256_castps256_ps128(four), _mm256_extractf128_ps(four, 1));
  m = _mm_min_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_min_ss(m, _mm_movehdup_ps(m)));
}

AVX2_INLINE float greatest256(const Block256& block) {
  const __m256 four = _mm256_max_ps(_mm256_max_ps(block.v[0], block.v[1]), _mm256_max_ps(block.v[2], block.v[3]));
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(four), _mm256_extractf128_ps(four, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

AVX2_INLINE float floatOf256(uint32_t bits) { return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(bits)))); }

AVX2_INLINE void writeHalf256(uint8_t* dst, float value) { writeU16(dst, static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(value), 0)))); }

/** Index of the first element that is `wanted`, or whose magnitude is; 0 where none is, as in a block with NaN. */
AVX2_INLINE unsigned firstEqual256(const Block256& block, float wanted, bool magnitude) {
  const __m256 target = _mm256_set1_ps(wanted);
  uint32_t where = 0;
  for (int i = 0; i < 4; i++) {
    const __m256 values = magnitude ? magnitudes256(block.v[i]) : block.v[i];
    where |= static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(values, target, _CMP_EQ_OQ))) << (8 * i);
  }
  return where == 0 ? 0 : _tzcnt_u32(where);
}

AVX2_INLINE __m256i codes256(__m256 values, float inverse, float offset, int greatestCode) {
  const __m256 scaled = _mm256_mul_ps(values, _mm256_set1_ps(inverse));
  return _mm256_min_epi32(_mm256_cvttps_epi32(_mm256_add_ps(scaled, _mm256_set1_ps(offset))), _mm256_set1_epi32(greatestCode));
}

/** The low bytes of 4 × 8 small i32, in order. */
AVX2_INLINE __m256i narrow256(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

template <typename Layout>
AVX2_INLINE void pack256(const Block256& block, float inverse, uint8_t* dst) {
  __m256i codes[4];
  for (int i = 0; i < 4; i++) codes[i] = codes256(block.v[i], inverse, Layout::offset, Layout::greatestCode);
  const __m256i bytes = narrow256(codes[0], codes[1], codes[2], codes[3]);
  // Bit 4 of every byte becomes its sign.
  if (Layout::hasFifthBits) writeU32(dst + Layout::fifthOffset, static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_slli_epi16(bytes, 3))));
  const __m256i nibbles = _mm256_and_si256(bytes, _mm256_set1_epi8(15));
  const __m128i high = _mm_slli_epi16(_mm256_extracti128_si256(nibbles, 1), 4);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + Layout::nibblesOffset), _mm_or_si128(_mm256_castsi256_si128(nibbles), high));
}

template <typename Layout>
AVX2 void signedBlocks256(const float* src, uint8_t* dst, size_t blockCount) {
  for (size_t index = 0; index < blockCount; index++, src += kBlock, dst += Layout::bytesPerBlock) {
    const Block256 block = load256(src);
    const uint32_t greatest = greatestMagnitudeBits256(block);
    const float first = greatest == 0 ? 0.0f : src[firstEqual256(block, floatOf256(greatest), true)];
    const float scale = first / Layout::divisor;
    const float inverse = inverseOf(scale);
    if (greatest >= kInfinityBits || !isRegular(scale, inverse)) {
      signedBlock<Layout>(src, dst);
      continue;
    }
    writeHalf256(dst, scale);
    pack256<Layout>(block, inverse, dst);
  }
}

template <typename Layout>
AVX2 void rangeBlocks256(const float* src, uint8_t* dst, size_t blockCount) {
  for (size_t index = 0; index < blockCount; index++, src += kBlock, dst += Layout::bytesPerBlock) {
    const Block256 block = load256(src);
    const uint32_t magnitude = greatestMagnitudeBits256(block);
    float least = least256(block);
    const float greatest = greatest256(block) + 0.0f;
    if (least == 0 && magnitude < kInfinityBits) least = src[firstEqual256(block, 0, false)];
    const float scale = (greatest - least) / Layout::divisor;
    const float inverse = inverseOf(scale);
    if (magnitude >= kInfinityBits || !isRegular(scale, inverse)) {
      rangeBlock<Layout>(src, dst);
      continue;
    }
    writeHalf256(dst, scale);
    writeHalf256(dst + 2, least);
    Block256 above;
    for (int i = 0; i < 4; i++) above.v[i] = _mm256_sub_ps(block.v[i], _mm256_set1_ps(least));
    pack256<Layout>(above, inverse, dst);
  }
}

AVX2_INLINE __m256i roundHalfAway256(__m256 values, float inverse) {
  const __m256 scaled = _mm256_mul_ps(values, _mm256_set1_ps(inverse));
  const __m256 sign = _mm256_and_ps(scaled, _mm256_set1_ps(-0.0f));
  return _mm256_cvttps_epi32(_mm256_add_ps(scaled, _mm256_or_ps(sign, _mm256_set1_ps(kBelowHalf))));
}

AVX2 void q8Blocks256(const float* src, uint8_t* dst, size_t blockCount) {
  for (size_t index = 0; index < blockCount; index++, src += kBlock, dst += kQ8Bytes) {
    const Block256 block = load256(src);
    const uint32_t greatest = greatestMagnitudeBits256(block);
    const float scale = floatOf256(greatest) / 127;
    const float inverse = inverseOf(scale);
    if (greatest >= kInfinityBits || !isRegular(scale, inverse)) {
      q8Block(src, dst);
      continue;
    }
    writeHalf256(dst, scale);
    const __m256i codes = narrow256(roundHalfAway256(block.v[0], inverse), roundHalfAway256(block.v[1], inverse), roundHalfAway256(block.v[2], inverse), roundHalfAway256(block.v[3], inverse));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + 2), codes);
  }
}

AVX2 void f16Values256(const float* src, uint8_t* dst, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 values = _mm256_loadu_ps(src + i);
    // Such a group is rare, and the instruction would keep the payload of its NaN.
    if (_mm256_movemask_ps(_mm256_cmp_ps(values, values, _CMP_UNORD_Q)) != 0) scalarHalves<f16FromBits>(src + i, dst + 2 * i, 8);
    else _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + 2 * i), _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
  }
  scalarHalves<f16FromBits>(src + i, dst + 2 * i, count - i);
}

AVX2 void bf16Values256(const float* src, uint8_t* dst, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 values = _mm256_loadu_ps(src + i);
    const __m256i bits = _mm256_castps_si256(values);
    const __m256i upper = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
    const __m256i chosen = _mm256_blendv_epi8(rounded, _mm256_or_si256(upper, _mm256_set1_epi32(0x40)), nan);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + 2 * i), _mm_packus_epi32(_mm256_castsi256_si128(chosen), _mm256_extracti128_si256(chosen, 1)));
  }
  scalarHalves<bf16FromBits>(src + i, dst + 2 * i, count - i);
}

#define WEIGHTSPEC_X86_KERNELS(avx2, avx512) avx2, avx512
#else
#define WEIGHTSPEC_X86_KERNELS(avx2, avx512) nullptr, nullptr
#endif

}  // namespace

const Quantizer kQuantizers[] = {
  {"Q4_0", kBlock, Q4_0::bytesPerBlock, scalarBlocks<signedBlock<Q4_0>, Q4_0::bytesPerBlock>, WEIGHTSPEC_X86_KERNELS(signedBlocks256<Q4_0>, signedBlocks512<Q4_0>)},
  {"Q4_1", kBlock, Q4_1::bytesPerBlock, scalarBlocks<rangeBlock<Q4_1>, Q4_1::bytesPerBlock>, WEIGHTSPEC_X86_KERNELS(rangeBlocks256<Q4_1>, rangeBlocks512<Q4_1>)},
  {"Q5_0", kBlock, Q5_0::bytesPerBlock, scalarBlocks<signedBlock<Q5_0>, Q5_0::bytesPerBlock>, WEIGHTSPEC_X86_KERNELS(signedBlocks256<Q5_0>, signedBlocks512<Q5_0>)},
  {"Q5_1", kBlock, Q5_1::bytesPerBlock, scalarBlocks<rangeBlock<Q5_1>, Q5_1::bytesPerBlock>, WEIGHTSPEC_X86_KERNELS(rangeBlocks256<Q5_1>, rangeBlocks512<Q5_1>)},
  {"Q8_0", kBlock, kQ8Bytes, scalarBlocks<q8Block, kQ8Bytes>, WEIGHTSPEC_X86_KERNELS(q8Blocks256, q8Blocks512)},
  {"F16", 1, 2, scalarHalves<f16FromBits>, WEIGHTSPEC_X86_KERNELS(f16Values256, f16Values512)},
  {"BF16", 1, 2, scalarHalves<bf16FromBits>, WEIGHTSPEC_X86_KERNELS(bf16Values256, bf16Values512)},
};
const size_t kQuantizerCount = sizeof kQuantizers / sizeof kQuantizers[0];

static bool processorHas(const char* isa) {
#if defined(WEIGHTSPEC_QUANTIZE_X86) && defined(__GNUC__)
  if (std::strcmp(isa, "avx512") == 0) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  // Every processor with AVX2 has F16C and BMI; GCC 12 cannot ask for F16C by name.
  if (std::strcmp(isa, "avx2") == 0) return __builtin_cpu_supports("avx2");
#endif
  return std::strcmp(isa, "scalar") == 0;
}

/** Sets of kernels that have none for quantizing do it as these, to the same bytes. */
static const char* quantizesAs(const char* isa) {
  if (std::strcmp(isa, "amx") == 0 || std::strcmp(isa, "amx-emulated") == 0) return "avx512";
#if defined(__aarch64__)
  if (std::strcmp(isa, "neon") == 0) return "scalar";
#endif
  return isa;
}

Quantize quantizeKernel(const Quantizer& quantizer, const char* isa) {
  if (isa == nullptr) {
    if (processorHas("avx512")) return quantizer.avx512;
    return processorHas("avx2") ? quantizer.avx2 : quantizer.scalar;
  }
  isa = quantizesAs(isa);
  if (!processorHas(isa)) return nullptr;
  if (std::strcmp(isa, "avx512") == 0) return quantizer.avx512;
  return std::strcmp(isa, "avx2") == 0 ? quantizer.avx2 : quantizer.scalar;
}

}  // namespace weightspec
