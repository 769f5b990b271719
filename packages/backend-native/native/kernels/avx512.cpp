/** Kernels for AVX-512 F, BW, DQ, VL and VNNI (Ice Lake, Zen 4 and later). */
#if defined(__x86_64__)
#include <immintrin.h>
#include <cstdlib>
#include <cstring>
#include "../gemm.h"
#include "../types.h"
#include "region.h"
#include "scalar.h"
#include "x86.h"

COMPILE_FOR("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#include "decode.h"

namespace weightspec {
namespace {

#include "vector_avx512.h"
#include "float.inc"

/** Two streams of rows with memory asked for ahead keep a core's line buffers full; four gain nothing here. */
constexpr int ROWS_AT_ONCE = 2;
#include "int8_avx512.inc"
#include "packed_avx512.inc"

}  // namespace

const Kernels avx512Kernels = {
  "avx512",
  prepare,
  {nullptr, nullptr, nullptr, multiplyNibbleRows<Q4_0>, multiplyNibbleRows<Q4_1>, multiplyNibbleRows<Q5_0>, multiplyNibbleRows<Q5_1>, multiplyQ8_0, multiplyGroups, multiplyRows},
  {multiplyPlain<LoadF32>, multiplyPlain<LoadF16>, multiplyPlain<LoadBF16>, multiplyDecoded, multiplyDecoded, multiplyDecoded, multiplyDecoded, multiplyDecoded, multiplyDecoded, multiplyDecoded},
  decodeRow,
  rmsnorm,
  swiglu,
  add,
  attend,
  packedBytes,
  pack,
  preparePacked,
  multiplyPacked,
  &gemm,
};

}  // namespace weightspec
COMPILE_FOR_ANY
#endif
