/** Kernels for arm64: NEON, which every such processor has, and its dot products (most since Cortex-A75, Neoverse N1, Apple A13). */
#if defined(__aarch64__)
#include <arm_neon.h>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include "../types.h"
#include "arm.h"
#include "decode.h"
#include "region.h"
#include "scalar.h"

namespace weightspec {
namespace {

#include "vector_neon.h"
/** Streams of rows of f32, f16 and bf16, two sums each: half of the registers. */
constexpr int PLAIN_ROWS = 4;
#include "float.inc"
#include "int8_neon.h"

/** Streams of rows of int8 and blocks, as AVX2 has; not measured on such a processor. */
constexpr int ROWS_AT_ONCE = 4;

namespace plain {
/** Two products fit an int16: |q| ≤ 127 on one side, ≤ 128 on the other, and 2 · 127 · 128 < 2^15. */
inline int16x8_t pairsOf(int8x16_t a, int8x16_t b) { return vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b); }
inline int32x4_t productsOf(Codes w, Codes x) { return vpadalq_s16(vpaddlq_s16(pairsOf(w.low, x.low)), pairsOf(w.high, x.high)); }
#include "int8_neon.inc"
}  // namespace plain

}  // namespace

const Kernels neonKernels = plain::kernels;

}  // namespace weightspec

#ifdef WEIGHTSPEC_HAS_DOTPROD
#ifndef __ARM_FEATURE_DOTPROD
COMPILE_FOR("arch=armv8.2-a+dotprod")
#endif
namespace weightspec {
namespace {
namespace dotprod {
inline int32x4_t productsOf(Codes w, Codes x) { return vdotq_s32(vdotq_s32(vdupq_n_s32(0), w.low, x.low), w.high, x.high); }
#include "int8_neon.inc"
}  // namespace dotprod
}  // namespace

const Kernels dotprodKernels = dotprod::kernels;

}  // namespace weightspec
#ifndef __ARM_FEATURE_DOTPROD
COMPILE_FOR_ANY
#endif
#endif
#endif
