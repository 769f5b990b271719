#pragma once
#include "../types.h"

namespace weightspec {

extern const Kernels scalarKernels;

/** Rounds x to int8 in plain C++: q, scale and sum of `dst`. The other instruction sets round to the very same numbers. */
void prepareScalar(Storage storage, const float* x, int cols, Prepared& dst);

}  // namespace weightspec
