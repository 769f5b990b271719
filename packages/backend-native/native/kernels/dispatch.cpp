/** Which kernels this processor runs. */
#include <cmath>
#include <cstring>
#include <vector>
#include "../gemm.h"
#include "../types.h"
#include "scalar.h"
#if defined(__x86_64__)
#include <cpuid.h>
#include "x86.h"
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__)
#include "arm.h"
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#endif

namespace weightspec {

namespace {

#if defined(__x86_64__)
bool hasAvx2() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

bool hasAvx512() {
  return hasAvx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

#if defined(__linux__) && (__GNUC__ >= 11 || (defined(__clang__) && __clang_major__ >= 12))
/** Whether tiles give what plain C++ does: 48 rows by 37 tokens of Q8_0, sizes that fill no tile, columns beyond one panel. */
bool agreesWithScalar(const Gemm& gemm) {
  constexpr int ROWS = 48, COLS = 17 * BLOCK, TOKENS = 37;
  std::vector<uint8_t> values(static_cast<size_t>(ROWS) * COLS / BLOCK * 34);
  std::vector<float> x(static_cast<size_t>(TOKENS) * COLS), y, expected(ROWS);
  uint32_t state = 1;
  const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 16; };
  for (size_t i = 0; i < values.size(); i++) values[i] = static_cast<uint8_t>(i % 34 == 1 ? 0x2c : next());
  for (float& v : x) v = static_cast<float>(static_cast<int>(next() % 2001) - 1000) / 1000.0f;
  Matrix w{};
  w.storage = Q8_0;
  w.rows = ROWS;
  w.cols = COLS;
  w.rowBytes = COLS / BLOCK * 34;
  w.values = values.data();
  w.int8Activations = true;
  const int tiles = (TOKENS + gemm.tokensPerTile - 1) / gemm.tokensPerTile;
  std::vector<uint8_t> packed(static_cast<size_t>(tiles) * gemm.packedTileBytes(w)), scratch(gemm.scratchBytes(w));
  y.resize(static_cast<size_t>(tiles * gemm.tokensPerTile * gemm.rowsPerTile));
  for (int t = 0; t < tiles; t++) {
    const int first = t * gemm.tokensPerTile, count = TOKENS - first < gemm.tokensPerTile ? TOKENS - first : gemm.tokensPerTile;
    gemm.packTile(w, x.data() + static_cast<size_t>(first) * COLS, COLS, count, packed.data() + static_cast<size_t>(t) * gemm.packedTileBytes(w));
  }
  for (int row = 0; row < ROWS; row += gemm.rowsPerTile) {
    const int rows = ROWS - row < gemm.rowsPerTile ? ROWS - row : gemm.rowsPerTile;
    gemm.multiply(w, row, rows, packed.data(), TOKENS, scratch.data(), y.data());
    for (int t = 0; t < TOKENS; t++) {
      scalarKernels.multiplyFloat[Q8_0](w, row, row + rows, x.data() + static_cast<size_t>(t) * COLS, expected.data());
      for (int r = 0; r < rows; r++) {
        // |weight| < 128 · 2^-3.9, |x| ≤ 1: sums of some 200; two roundings to bf16 of 544 products move them by less than 1.
        if (!(std::fabs(y[static_cast<size_t>(t * gemm.rowsPerTile + r)] - expected[static_cast<size_t>(r)]) < 2.0f)) return false;
      }
    }
  }
  return true;
}

/** The processor has it, the kernel lets this process use it (XTILEDATA, component 18), and it computes what it should. */
bool hasAmx() {
  unsigned a, b, c, d;
  constexpr unsigned BF16_AND_TILE = 1u << 22 | 1u << 24;
  if (!hasAvx512() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & BF16_AND_TILE) != BF16_AND_TILE) return false;
  constexpr long ARCH_REQ_XCOMP_PERM = 0x1023;
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, 18) == 0 && agreesWithScalar(*amxKernels.gemm);
}
const Kernels* amx() { return hasAmx() ? &amxKernels : nullptr; }
#else
const Kernels* amx() { return nullptr; }
#endif
#elif defined(__aarch64__)
#ifdef WEIGHTSPEC_HAS_DOTPROD
/** Where the operating system says nothing of it, what the addon was compiled for counts. */
bool hasDotprod() {
#if defined(__ARM_FEATURE_DOTPROD)
  return true;
#elif defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__APPLE__)
  int has = 0;
  size_t size = sizeof has;
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, nullptr, 0) == 0 && has == 1;
#else
  return false;
#endif
}
#endif

/** One name for both: which products of bytes there are changes nothing else. */
const Kernels* neon() {
#ifdef WEIGHTSPEC_HAS_DOTPROD
  if (hasDotprod()) return &dotprodKernels;
#endif
  return &neonKernels;
}
#endif

}  // namespace

const Kernels* const* availableKernels() {
  static const Kernels* list[5] = {};
  if (list[0]) return list;
  int count = 0;
#if defined(__x86_64__)
  if (const Kernels* best = amx()) list[count++] = best;
  if (hasAvx512()) list[count++] = &avx512Kernels;
  if (hasAvx2()) list[count++] = &avx2Kernels;
#elif defined(__aarch64__)
  list[count++] = neon();
#endif
  list[count] = &scalarKernels;
  return list;
}

const Kernels* kernelsNamed(const char* name) {
  for (const Kernels* const* kernels = availableKernels(); *kernels; kernels++) if (std::strcmp((*kernels)->name, name) == 0) return *kernels;
#if defined(__x86_64__)
  if (hasAvx512() && std::strcmp(name, emulatedAmxKernels.name) == 0) return &emulatedAmxKernels;
#endif
  return nullptr;
}

}  // namespace weightspec
