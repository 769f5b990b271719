#pragma once
#include "../types.h"

// gcc 8 and clang 16 have them in single functions; others where all of the addon is compiled for them, as for Apple's processors.
#if defined(__ARM_FEATURE_DOTPROD) || (defined(__clang__) ? __clang_major__ >= 16 : __GNUC__ >= 8)
#define WEIGHTSPEC_HAS_DOTPROD
#endif

namespace weightspec {

/** NEON. */
extern const Kernels neonKernels;
/** The same with dot products of bytes. */
extern const Kernels dotprodKernels;

}  // namespace weightspec
