/** Kernels for AVX2, FMA and F16C (Haswell, Zen 1 and later). */
#if defined(__x86_64__)
#include <immintrin.h>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include "../types.h"
#include "region.h"
#include "scalar.h"
#include "x86.h"

COMPILE_FOR("avx2,fma,f16c")
#include "decode.h"

namespace weightspec {
namespace {

#include "vector_avx2.h"
/** Streams of rows of f32, f16 and bf16, two sums each: half of the registers. */
constexpr int PLAIN_ROWS = 4;
#include "float.inc"

/** Streams of rows of int8 and blocks. One alone waits for memory: 8.3 GB/s of Q4_0 against 16.8 with four. */
constexpr int ROWS_AT_ONCE = 4;
#include "int8_avx2.inc"

}  // namespace

const Kernels avx2Kernels = {
  "avx2",
  prepare,
  {nullptr, nullptr, nullptr, multiplyBlockRows<Q4_0>, multiplyBlockRows<Q4_1>, multiplyBlockRows<Q5_0>, multiplyBlockRows<Q5_1>, multiplyBlockRows<Q8_0>, multiplyGroups, multiplyRows},
  {multiplyPlain<LoadF32>, multiplyPlain<LoadF16>, multiplyPlain<LoadBF16>, multiplyDecoded, multiplyDecoded, multiplyDecoded, multiplyDecoded, multiplyDecoded, multiplyDecoded, multiplyDecoded},
  decodeRow,
  rmsnorm,
  swiglu,
  add,
  attend,
  KEY_BLOCK,
  QUERIES_AT_ONCE,
  attendMany,
};

}  // namespace weightspec
COMPILE_FOR_ANY
#endif
