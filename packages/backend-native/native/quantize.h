// Quantizers of f32 weights, the bytes of ggml's scalar reference (c0e1eb4): see quantize.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weightspec {

/** blockCount whole blocks: 32 f32 each, or one for f16 and bf16. src and dst may be unaligned and may not overlap. */
using Quantize = void (*)(const float* src, uint8_t* dst, size_t blockCount);

struct Quantizer {
  const char* dtype;
  size_t blockSize;
  size_t bytesPerBlock;
  Quantize scalar;
  Quantize avx2;    // null where this is not an x86-64 build
  Quantize avx512;  // null where this is not an x86-64 build
};

extern const Quantizer kQuantizers[];
extern const size_t kQuantizerCount;

/** The kernel of `isa`, a name of a table of kernels, or with null the best that this processor has; null when it has not got it. */
Quantize quantizeKernel(const Quantizer& quantizer, const char* isa);

}  // namespace weightspec
