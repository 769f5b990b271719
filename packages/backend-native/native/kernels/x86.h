#pragma once
#include "../types.h"

namespace weightspec {

/** AVX2, FMA, F16C. */
extern const Kernels avx2Kernels;
/** AVX-512 F, BW, DQ, VL and VNNI. */
extern const Kernels avx512Kernels;
/** The same, and prompts by AMX; defined where the compiler knows it. */
extern const Kernels amxKernels;
/** The same with AMX's tiles in plain C++: slow, for trying what is built on them. */
extern const Kernels emulatedAmxKernels;

}  // namespace weightspec
