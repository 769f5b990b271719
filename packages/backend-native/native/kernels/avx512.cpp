/** Kernels for AVX-512 F, BW, DQ, VL and VNNI (Ice Lake, Zen 4 and later). */
#if defined(__x86_64__)
#include <immintrin.h>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include "../gemm.h"
#include "../types.h"
#include "region.h"
#include "scalar.h"
#include "x86.h"

// gcc 11 and clang 12 know AMX.
#if defined(__linux__) && (__GNUC__ >= 11 || (defined(__clang__) && __clang_major__ >= 12))
#define WEIGHTSPEC_HAS_AMX
COMPILE_FOR("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,amx-tile,amx-bf16")
#else
COMPILE_FOR("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#endif
#include "decode.h"

namespace weightspec {
namespace {

#include "vector_avx512.h"
/** Streams of rows of f32, f16 and bf16, two sums each: half of the registers. */
constexpr int PLAIN_ROWS = 8;
#include "float.inc"

/** Streams of rows of int8 and blocks. */
constexpr int ROWS_AT_ONCE = 4;
#include "int8_avx512.inc"
#include "packed_avx512.inc"
#include "amx_tiles.h"
#include "amx.inc"

#ifdef WEIGHTSPEC_HAS_AMX
const Gemm amxGemm = {"AMX bf16", AMX_ROWS, 4, amxSupports, AMX_TOKENS, amxPackedTileBytes, amxPackTile, amxScratchBytes, amxMultiply<HardwareTiles>};
#endif

/** The three tables differ in how prompts are multiplied. */
constexpr Kernels kernelsWith(const char* name, const Gemm* batches) {
  return {
    name,
    prepare,
    {nullptr, nullptr, nullptr, multiplyNibbleRows<Q4_0>, multiplyNibbleRows<Q4_1>, multiplyNibbleRows<Q5_0>, multiplyNibbleRows<Q5_1>, multiplyQ8_0, multiplyGroups, multiplyRows},
    {multiplyPlain<LoadF32>, multiplyPlain<LoadF16>, multiplyPlain<LoadBF16>, multiplyDecoded, multiplyDecoded, multiplyDecoded, multiplyDecoded, multiplyDecoded, multiplyDecoded, multiplyDecoded},
    decodeRow,
    rmsnorm,
    swiglu,
    add,
    attend,
    KEY_BLOCK,
    QUERIES_AT_ONCE,
    attendMany,
    packedBytes,
    pack,
    preparePacked,
    multiplyPacked,
    batches,
  };
}

}  // namespace

const Kernels avx512Kernels = kernelsWith("avx512", &gemm);
const Kernels emulatedAmxKernels = kernelsWith("amx-emulated", &emulatedAmxGemm);
#ifdef WEIGHTSPEC_HAS_AMX
const Kernels amxKernels = kernelsWith("amx", &amxGemm);
#endif

}  // namespace weightspec
COMPILE_FOR_ANY
#endif
