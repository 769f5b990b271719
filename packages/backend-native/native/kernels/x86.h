#pragma once
#include "../types.h"

namespace weightspec {

/** AVX2, FMA, F16C. */
extern const Kernels avx2Kernels;
/** AVX-512 F, BW, DQ, VL and VNNI. */
extern const Kernels avx512Kernels;

}  // namespace weightspec
