/** Which kernels this processor runs. */
#include <cstring>
#include "../types.h"
#include "scalar.h"
#if defined(__x86_64__)
#include "x86.h"
#endif

namespace weightspec {

const Kernels* const* availableKernels() {
  static const Kernels* list[5] = {};
  if (list[0]) return list;
  int count = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  if (avx512) list[count++] = &avx512Kernels;
  if (avx2) list[count++] = &avx2Kernels;
#endif
  list[count] = &scalarKernels;
  return list;
}

const Kernels* kernelsNamed(const char* name) {
  for (const Kernels* const* kernels = availableKernels(); *kernels; kernels++) if (std::strcmp((*kernels)->name, name) == 0) return *kernels;
  return nullptr;
}

}  // namespace weightspec
