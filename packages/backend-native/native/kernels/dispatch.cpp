/** Which kernels this processor runs. */
#include <cstring>
#include "../types.h"
#include "scalar.h"

namespace weightspec {

const Kernels* const* availableKernels() {
  static const Kernels* list[5] = {};
  if (list[0]) return list;
  int count = 0;
  list[count] = &scalarKernels;
  return list;
}

const Kernels* kernelsNamed(const char* name) {
  for (const Kernels* const* kernels = availableKernels(); *kernels; kernels++) if (std::strcmp((*kernels)->name, name) == 0) return *kernels;
  return nullptr;
}

}  // namespace weightspec
