/**
 * Decoding of single elements, in plain C++: the scalar kernels, tails and embeddings. Layouts: ggml-common.h, llama2.c export.py.
 */
#pragma once
#include <cstring>
#include "../types.h"

namespace weightspec {
namespace {

template <class T> inline T readAs(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline float floatOf(uint32_t bits) { return readAs<float>(&bits); }

/** IEEE binary16 → f32, exactly. */
inline float halfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) return floatOf(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  if (magnitude >= 0x0400u) return floatOf(sign | (magnitude + 0x1c000u) << 13);
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24f;
  return sign ? -subnormal : subnormal;
}

inline float halfAt(const uint8_t* p) { return halfToFloat(readAs<uint16_t>(p)); }

/** Code of element i of a block, before scale and minimum; unsigned where the type has an offset. */
template <Storage S> inline int codeOf(const uint8_t* block, int i) {
  if (S == Q8_0) return static_cast<int8_t>(block[2 + i]);
  const int header = S == Q4_0 || S == Q5_0 ? 2 : 4;
  const bool five = S == Q5_0 || S == Q5_1;
  const uint8_t byte = block[header + (five ? 4 : 0) + (i & 15)];
  const int low = i < 16 ? byte & 15 : byte >> 4;
  return five ? low | static_cast<int>(readAs<uint32_t>(block + header) >> i & 1u) << 4 : low;
}
/** What is subtracted from a code. */
template <Storage S> constexpr int offsetOf() { return S == Q4_0 ? 8 : S == Q5_0 ? 16 : 0; }
constexpr bool hasMinimumAtRunTime(Storage storage) { return storage == Q4_1 || storage == Q5_1; }
template <Storage S> constexpr bool hasMinimum() { return hasMinimumAtRunTime(S); }

template <Storage S> void decodeBlocks(const uint8_t* from, int count, float* out) {
  for (int at = 0; at < count; at += BLOCK, from += blockBytes(S)) {
    const float scale = halfAt(from);
    const float minimum = hasMinimum<S>() ? halfAt(from + 2) : 0.0f;
    for (int i = 0; i < BLOCK; i++) {
      const float value = static_cast<float>(codeOf<S>(from, i) - offsetOf<S>()) * scale;
      out[at + i] = hasMinimum<S>() ? value + minimum : value;
    }
  }
}

/** Scale of element `index` of the flattened tensor. */
inline float groupScale(const Matrix& w, int64_t index) {
  const int64_t group = w.storage == INT8_ROWS ? index / w.cols : index / w.groupSize;
  return readAs<float>(w.scales + 4 * group);
}

inline void decodeGroups(const Matrix& w, int64_t first, int count, float* out) {
  const int8_t* q = reinterpret_cast<const int8_t*>(w.values) + first;
  for (int i = 0; i < count; i++) out[i] = static_cast<float>(q[i]) * groupScale(w, first + i) / w.divisor;
}

/** Elements [first, first + count) of row `row` as f32; whole blocks where the storage has blocks. */
inline void decodePart(const Matrix& w, int row, int first, int count, float* out) {
  const uint8_t* start = w.values + static_cast<size_t>(row) * w.rowBytes;
  const uint8_t* from = start + static_cast<size_t>(first / BLOCK) * static_cast<size_t>(blockBytes(w.storage));
  switch (w.storage) {
    case F32: std::memcpy(out, start + 4 * static_cast<size_t>(first), 4 * static_cast<size_t>(count)); break;
    case F16: for (int i = 0; i < count; i++) out[i] = halfAt(start + 2 * (first + i)); break;
    case BF16: for (int i = 0; i < count; i++) out[i] = floatOf(static_cast<uint32_t>(readAs<uint16_t>(start + 2 * (first + i))) << 16); break;
    case Q4_0: decodeBlocks<Q4_0>(from, count, out); break;
    case Q4_1: decodeBlocks<Q4_1>(from, count, out); break;
    case Q5_0: decodeBlocks<Q5_0>(from, count, out); break;
    case Q5_1: decodeBlocks<Q5_1>(from, count, out); break;
    case Q8_0: decodeBlocks<Q8_0>(from, count, out); break;
    default: decodeGroups(w, static_cast<int64_t>(row) * w.cols + first, count, out);
  }
}

/** Row `row` as f32. */
inline void decodeRow(const Matrix& w, int row, float* out) { decodePart(w, row, 0, w.cols, out); }

/** Elements that are decoded at a time where a row is multiplied piece by piece: 8 KiB, a fraction of the first cache. */
constexpr int DECODED_ELEMENTS = 2048;

}  // namespace
}  // namespace weightspec
