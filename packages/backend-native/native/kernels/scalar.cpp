/** Kernels in plain C++, for any processor, and what the others are checked against. */
#include "scalar.h"
#include <cmath>
#include "decode.h"

namespace weightspec {
namespace {

/** Blocks of 32 with scale max|x| / 127, rounded half to even; for INT8_ROWS one scale for all, rounded half away from zero. */
void prepare(Storage storage, const float* x, int cols, Prepared& dst) {
  prepareScalar(storage, x, cols, dst);
}

template <Storage S> void multiplyBlocks(const Matrix& w, int firstRow, int endRow, const Prepared& x, float* out) {
  for (int row = firstRow; row < endRow; row++) {
    const uint8_t* block = w.values + static_cast<size_t>(row) * w.rowBytes;
    float total = 0;
    for (int b = 0; b < w.cols / BLOCK; b++, block += blockBytes(S)) {
      int32_t sum = 0;
      for (int i = 0; i < BLOCK; i++) sum += codeOf<S>(block, i) * x.q[b * BLOCK + i];
      sum -= offsetOf<S>() * x.sum[b];
      total += static_cast<float>(sum) * (halfAt(block) * x.scale[b]);
      if (hasMinimum<S>()) total += halfAt(block + 2) * (x.scale[b] * static_cast<float>(x.sum[b]));
    }
    out[row - firstRow] = total;
  }
}

/** Groups hold whole blocks of activations, and rows whole groups: the caller has seen to it. */
void multiplyGroups(const Matrix& w, int firstRow, int endRow, const Prepared& x, float* out) {
  for (int row = firstRow; row < endRow; row++) {
    const int64_t first = static_cast<int64_t>(row) * w.cols;
    const int8_t* q = reinterpret_cast<const int8_t*>(w.values) + first;
    float total = 0;
    for (int b = 0; b < w.cols / BLOCK; b++) {
      int32_t sum = 0;
      for (int i = 0; i < BLOCK; i++) sum += q[b * BLOCK + i] * x.q[b * BLOCK + i];
      total += static_cast<float>(sum) * (groupScale(w, first + b * BLOCK) / w.divisor * x.scale[b]);
    }
    out[row - firstRow] = total;
  }
}

void multiplyRows(const Matrix& w, int firstRow, int endRow, const Prepared& x, float* out) {
  for (int row = firstRow; row < endRow; row++) {
    const int8_t* q = reinterpret_cast<const int8_t*>(w.values) + static_cast<int64_t>(row) * w.cols;
    int32_t sum = 0;
    for (int i = 0; i < w.cols; i++) sum += q[i] * x.q[i];
    out[row - firstRow] = static_cast<float>(sum) * (readAs<float>(w.scales + 4 * static_cast<size_t>(row)) * x.scale[0]);
  }
}

void multiplyFloat(const Matrix& w, int firstRow, int endRow, const float* x, float* out) {
  float decoded[DECODED_ELEMENTS];
  for (int row = firstRow; row < endRow; row++) {
    // Four sums: one would wait for each addition to finish.
    float sums[4] = {0, 0, 0, 0};
    for (int first = 0; first < w.cols; first += DECODED_ELEMENTS) {
      const int count = w.cols - first < DECODED_ELEMENTS ? w.cols - first : DECODED_ELEMENTS;
      decodePart(w, row, first, count, decoded);
      int i = 0;
      for (; i + 4 <= count; i += 4) for (int k = 0; k < 4; k++) sums[k] += decoded[i + k] * x[first + i + k];
      for (; i < count; i++) sums[0] += decoded[i] * x[first + i];
    }
    out[row - firstRow] = sums[0] + sums[1] + (sums[2] + sums[3]);
  }
}

void rmsnorm(float* out, const float* x, const float* weight, int width, float eps) {
  double squares = 0;
  for (int i = 0; i < width; i++) squares += static_cast<double>(x[i]) * x[i];
  const float inverse = static_cast<float>(1.0 / std::sqrt(squares / width + eps));
  for (int i = 0; i < width; i++) out[i] = x[i] * inverse * weight[i];
}

void swiglu(float* out, const float* gate, const float* up, int count) {
  for (int i = 0; i < count; i++) {
    // e^−|x| never overflows, and the sigmoid of a negative number keeps its precision.
    const float e = std::exp(-std::fabs(gate[i]));
    out[i] = gate[i] * ((gate[i] < 0 ? e : 1.0f) / (1.0f + e)) * up[i];
  }
}

void add(float* out, const float* a, const float* b, int count) {
  for (int i = 0; i < count; i++) out[i] = a[i] + b[i];
}

void attend(float* out, const float* q, const HeadCache& cache, int positions, int headDim, float* weights) {
  const float factor = 1.0f / std::sqrt(static_cast<float>(headDim));
  float largest = -INFINITY;
  for (int p = 0; p < positions; p++) {
    float score = 0;
    for (int d = 0; d < headDim; d++) score += q[d] * cache.keys[static_cast<size_t>(p) * headDim + d];
    weights[p] = score * factor;
    largest = weights[p] > largest ? weights[p] : largest;
  }
  float total = 0;
  for (int p = 0; p < positions; p++) total += weights[p] = std::exp(weights[p] - largest);
  for (int d = 0; d < headDim; d++) out[d] = 0;
  for (int p = 0; p < positions; p++) for (int d = 0; d < headDim; d++) out[d] += weights[p] * cache.values[static_cast<size_t>(p) * headDim + d];
  for (int d = 0; d < headDim; d++) out[d] /= total;
}

}  // namespace

void prepareScalar(Storage storage, const float* x, int cols, Prepared& dst) {
  const int padded = paddedCols(cols);
  if (storage == INT8_ROWS) {
    float largest = 1e-7f;
    for (int i = 0; i < cols; i++) largest = std::fabs(x[i]) > largest || std::isnan(x[i]) ? std::fabs(x[i]) : largest;
    const float scale = largest / 127.0f;
    dst.scale[0] = scale;
    for (int i = 0; i < padded; i++) {
      const float scaled = i < cols ? x[i] / scale : 0;
      // The largest may come out a little above 127; what is not a number has spoilt the scale already.
      dst.q[i] = static_cast<int8_t>(scaled >= 127.0f ? 127.0f : scaled > -127.0f ? std::round(scaled) : -127.0f);
    }
    // Not a number spoils the whole token, as it does upstream.
    if (!(largest <= 3.402823466e38f)) dst.scale[0] = NAN;
    return;
  }
  for (int b = 0; b < padded / BLOCK; b++) {
    float largest = 0;
    bool finite = true;
    const int count = cols - b * BLOCK < BLOCK ? cols - b * BLOCK : BLOCK;
    for (int i = 0; i < count; i++) {
      const float size = std::fabs(x[b * BLOCK + i]);
      finite = finite && size <= 3.402823466e38f;
      largest = size > largest ? size : largest;
    }
    const float scale = largest / 127.0f;
    const float inverse = scale > 0 && finite ? 1.0f / scale : 0.0f;
    // A subnormal scale has an infinite inverse; such activations are nothing beside any others.
    const float factor = inverse <= 3.402823466e38f ? inverse : 0.0f;
    int32_t sum = 0;
    for (int i = 0; i < BLOCK; i++) {
      const int q = i < count && factor > 0 ? static_cast<int>(std::nearbyint(x[b * BLOCK + i] * factor)) : 0;
      dst.q[b * BLOCK + i] = static_cast<int8_t>(q > 127 ? 127 : q < -127 ? -127 : q);
      sum += dst.q[b * BLOCK + i];
    }
    dst.scale[b] = finite ? scale : NAN;
    dst.sum[b] = sum;
  }
}

const Kernels scalarKernels = {
  "scalar",
  prepare,
  {nullptr, nullptr, nullptr, multiplyBlocks<Q4_0>, multiplyBlocks<Q4_1>, multiplyBlocks<Q5_0>, multiplyBlocks<Q5_1>, multiplyBlocks<Q8_0>, multiplyGroups, multiplyRows},
  {multiplyFloat, multiplyFloat, multiplyFloat, multiplyFloat, multiplyFloat, multiplyFloat, multiplyFloat, multiplyFloat, multiplyFloat, multiplyFloat},
  decodeRow,
  rmsnorm,
  swiglu,
  add,
  attend,
};

}  // namespace weightspec
