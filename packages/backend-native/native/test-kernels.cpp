// A program of its own: every table of kernels against plain C++ on seeded numbers. What is integer arithmetic, or float arithmetic in
// which nothing is rounded, must agree to the last bit; the rest stays within bounds that are derived below. `test-kernels` ends with
// 0 after naming the tables, or says what was wrong. Built by tools/full/cross.test.ts together with kernels/*.cpp, for qemu.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
#include "kernels/scalar.h"
#include "types.h"
#if defined(__aarch64__)
#include "kernels/arm.h"
#endif

namespace {

using namespace weightspec;

/** Half the distance from 1 to the next f32: the relative error of one operation. */
constexpr double U = 0x1p-24;
const char* const storageNames[] = {"F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "int8 groups", "int8 rows"};

std::string subject;
int checks = 0;
void check(bool holds, const std::string& what) {
  checks++;
  if (holds) return;
  std::fprintf(stderr, "test-kernels: %s: %s\n", subject.c_str(), what.c_str());
  std::exit(1);
}
void checkSame(const void* actual, const void* expected, size_t byteLength, const std::string& what) {
  check(byteLength > 0 && std::memcmp(actual, expected, byteLength) == 0, what + " differ from plain C++");
}
void checkClose(float actual, double expected, double bound, const std::string& what) {
  check(std::fabs(actual - expected) <= bound, what + " is " + std::to_string(actual) + ", not " + std::to_string(expected) + " within " + std::to_string(bound));
}

uint32_t state = 20261122;
uint32_t next() { return (state = state * 1664525u + 1013904223u) >> 8; }
float between(float low, float high) { return low + (high - low) * (static_cast<float>(next() % 65536) / 65536.0f); }
std::vector<float> numbers(int count) {
  std::vector<float> all(static_cast<size_t>(count));
  for (float& x : all) x = between(-1, 1);
  return all;
}

/** Prepared, with memory of its own. */
struct Activations {
  std::vector<uint8_t> memory;
  Prepared prepared;
  Activations(const Kernels& kernels, Storage storage, const std::vector<float>& x) : memory(preparedBytes(static_cast<int>(x.size())) + 64) {
    uint8_t* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
    prepared = preparedAt(aligned, static_cast<int>(x.size()));
    prepared.x = x.data();
    kernels.prepare(storage, x.data(), static_cast<int>(x.size()), prepared);
  }
};

/** Any codes; scales and minimums are powers of two, so that products with whole numbers are not rounded. At an odd address. */
struct Weights {
  std::vector<uint8_t> values, scales;
  Matrix matrix{};
  Weights(Storage storage, int rows, int cols, int groupSize) {
    const int block = blockBytes(storage);
    const size_t rowBytes = block ? static_cast<size_t>(cols / BLOCK * block) : static_cast<size_t>(cols) * (storage == F32 ? 4 : storage == F16 || storage == BF16 ? 2 : 1);
    const size_t byteLength = rowBytes * static_cast<size_t>(rows);
    // Kernels ask for memory ahead but read only what is theirs.
    values.resize(1 + byteLength);
    for (uint8_t& byte : values) byte = static_cast<uint8_t>(next());
    uint8_t* at = values.data() + 1;
    const auto half = [](uint8_t* p, uint32_t bits) { p[0] = static_cast<uint8_t>(bits); p[1] = static_cast<uint8_t>(bits >> 8); };
    // 2^-4 … 2^-1, of either sign for minimums.
    for (size_t b = 0; block && b < byteLength; b += static_cast<size_t>(block)) {
      half(at + b, 0x2c00 + 0x400 * (next() % 4));
      if (hasMinimum(storage)) half(at + b + 2, 0x2c00 + 0x400 * (next() % 4) + 0x8000 * (next() % 2));
    }
    const float size = 0x1p-3f;
    for (size_t i = 0; storage == F32 && i < byteLength; i += 4) { const float x = between(-size, size); std::memcpy(at + i, &x, 4); }
    // Exponents of moderate and of subnormal numbers, and any fraction.
    for (size_t i = 0; storage == F16 && i < byteLength; i += 2) half(at + i, (next() % 16 << 10 | next() % 1024) + 0x8000 * (next() % 2));
    for (size_t i = 0; storage == BF16 && i < byteLength; i += 2) half(at + i, ((112 + next() % 16) << 7 | next() % 128) + 0x8000 * (next() % 2));
    scales.resize(1 + 4 * static_cast<size_t>(storage == INT8_GROUPS ? rows * cols / groupSize : rows));
    for (size_t i = 1; i < scales.size(); i += 4) { const float x = std::ldexp(1.0f, -static_cast<int>(next() % 4)); std::memcpy(scales.data() + i, &x, 4); }
    matrix.storage = storage;
    matrix.rows = rows;
    matrix.cols = cols;
    matrix.rowBytes = rowBytes;
    matrix.values = at;
    matrix.scales = scales.data() + 1;
    matrix.groupSize = groupSize;
    matrix.divisor = 1;
    matrix.int8Activations = storage >= Q4_0;
  }
  static bool hasMinimum(Storage storage) { return storage == Q4_1 || storage == Q5_1; }
};

/** Blocks of every kind of number, rounded: the same bits as plain C++ gives. */
void checkPrepare(const Kernels& kernels) {
  const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-45f, -1e-40f, 1.17549435e-38f, 3.4e38f, -3.4e38f, 127.0f, 0.5f, 1.5f, -2.5f};
  for (int cols : {32, 64, 100, 128, 416}) {
    for (int kind = 0; kind < 40; kind++) {
      std::vector<float> x(static_cast<size_t>(cols));
      // Ordinary numbers; ties of a scale of 1; and either with a few special ones.
      for (float& v : x) v = kind % 2 ? static_cast<float>(static_cast<int>(next() % 509) - 254) / 2 : std::ldexp(between(-1, 1), static_cast<int>(next() % 8) - 4 * (kind % 8));
      for (int i = 0; kind % 2 && i < cols; i += BLOCK) x[static_cast<size_t>(i)] = 127;
      for (int i = 0; i < kind / 8; i++) x[next() % x.size()] = special[next() % (sizeof special / sizeof special[0])];
      for (Storage storage : {Q4_0, Q5_1, Q8_0, INT8_GROUPS, INT8_ROWS}) {
        const Activations ours(kernels, storage, x), plain(scalarKernels, storage, x);
        const int blocks = storage == INT8_ROWS ? 1 : (cols + BLOCK - 1) / BLOCK;
        checkSame(ours.prepared.q, plain.prepared.q, static_cast<size_t>(storage == INT8_ROWS ? cols : blocks * BLOCK), "rounded activations");
        for (int b = 0; b < blocks; b++) {
          const float a = ours.prepared.scale[b], e = plain.prepared.scale[b];
          check(std::isnan(e) ? std::isnan(a) : a == e, "scales of activations differ from plain C++");
        }
      }
    }
  }
}

/** Rows in any ranges give the bits that they give all together. */
template <class Multiply> void checkRanges(const std::vector<float>& all, const std::string& name, const Multiply& multiply) {
  const int rows = static_cast<int>(all.size());
  for (int first = 0, count = 1; first < rows; first += count, count = count % 5 + 1) {
    const int end = first + count < rows ? first + count : rows;
    std::vector<float> some(static_cast<size_t>(end - first));
    multiply(first, end, some.data());
    check(std::memcmp(some.data(), all.data() + first, 4 * some.size()) == 0, name + ": a range of rows gives other bits");
  }
}

void checkInt8(const Kernels& kernels, Storage storage, int cols, int groupSize) {
  constexpr int ROWS = 23;
  const std::string name = std::string(storageNames[storage]) + " by int8, " + std::to_string(cols) + " columns";
  const Weights weights(storage, ROWS, cols, groupSize);
  const auto multiplyOf = [&](const Kernels& by, const Activations& x) {
    return [&](int first, int end, float* out) { by.multiplyInt8[storage](weights.matrix, first, end, x.prepared, out); };
  };
  std::vector<float> x(static_cast<size_t>(cols)), actual(ROWS), expected(ROWS), exact(ROWS);
  // Whole numbers up to 127 have a scale of 1: all sums are multiples of 2^-4 below 2^20, so that no order of adding rounds.
  for (float& v : x) v = static_cast<float>(static_cast<int>(next() % 255) - 127);
  for (int i = 0; i < cols; i += BLOCK) x[static_cast<size_t>(i)] = 127;
  {
    const Activations ours(kernels, storage, x), plain(scalarKernels, storage, x);
    multiplyOf(kernels, ours)(0, ROWS, actual.data());
    multiplyOf(scalarKernels, plain)(0, ROWS, expected.data());
    checkSame(actual.data(), expected.data(), 4 * ROWS, name + ": exact sums");
    checkRanges(actual, name, multiplyOf(kernels, ours));
  }
  x = numbers(cols);
  const Activations ours(kernels, storage, x), plain(scalarKernels, storage, x);
  multiplyOf(kernels, ours)(0, ROWS, actual.data());
  multiplyOf(scalarKernels, plain)(0, ROWS, expected.data());
  if (storage == INT8_ROWS) checkSame(actual.data(), expected.data(), 4 * ROWS, name + ": sums");
  // A block gives exact integers, multiplied by its scales and added up: some 8 roundings and one a block, of at most
  // codes below 2^7 times scales below 1, times what 32 codes stand for, which is at most 1 + 1/254 each.
  const double bound = (cols / BLOCK + 8) * U * 128 * 1.01 * cols;
  for (int row = 0; row < ROWS; row++) checkClose(actual[static_cast<size_t>(row)], expected[static_cast<size_t>(row)], 2 * bound, name);
  checkRanges(actual, name, multiplyOf(kernels, ours));
}

void checkFloat(const Kernels& kernels, Storage storage, int cols, int groupSize) {
  constexpr int ROWS = 11;
  const std::string name = std::string(storageNames[storage]) + " by f32, " + std::to_string(cols) + " columns";
  const Weights weights(storage, ROWS, cols, groupSize);
  const std::vector<float> x = numbers(cols);
  std::vector<float> actual(ROWS), row(static_cast<size_t>(cols)), plainRow(static_cast<size_t>(cols));
  kernels.multiplyFloat[storage](weights.matrix, 0, ROWS, x.data(), actual.data());
  for (int r = 0; r < ROWS; r++) {
    kernels.decodeRow(weights.matrix, r, row.data());
    scalarKernels.decodeRow(weights.matrix, r, plainRow.data());
    checkSame(row.data(), plainRow.data(), 4 * row.size(), name + ": decoded rows");
    double sum = 0, sizes = 0;
    for (size_t i = 0; i < row.size(); i++) {
      sum += static_cast<double>(row[i]) * x[i];
      sizes += std::fabs(static_cast<double>(row[i]) * x[i]);
    }
    // A product is rounded once, and its sum with others at most once for each of them.
    checkClose(actual[static_cast<size_t>(r)], sum, (cols + 1) * U * sizes, name);
  }
  checkRanges(actual, name, [&](int first, int end, float* out) { kernels.multiplyFloat[storage](weights.matrix, first, end, x.data(), out); });
}

void checkVectors(const Kernels& kernels, int count) {
  const std::string length = " of " + std::to_string(count);
  std::vector<float> a = numbers(count), b = numbers(count), out(static_cast<size_t>(count) + 1, 7.0f);
  for (float& v : a) v *= 30;
  kernels.add(out.data(), a.data(), b.data(), count);
  for (size_t i = 0; i < a.size(); i++) check(out[i] == a[i] + b[i], "add" + length);

  kernels.rmsnorm(out.data(), a.data(), b.data(), count, 1e-5f);
  double squares = 0;
  for (float v : a) squares += static_cast<double>(v) * v;
  const double inverse = 1 / std::sqrt(squares / count + static_cast<double>(1e-5f));
  // Squares and their sum: count roundings, halved by the root; then a division, a root, an addition and two multiplications.
  for (size_t i = 0; i < a.size(); i++) checkClose(out[i], a[i] * inverse * b[i], (count / 2.0 + 6) * U * std::fabs(a[i] * inverse * b[i]), "rmsnorm" + length);

  kernels.swiglu(out.data(), a.data(), b.data(), count);
  for (size_t i = 0; i < a.size(); i++) {
    const double value = a[i] / (1 + std::exp(-static_cast<double>(a[i]))) * b[i];
    // e^-|x| within 2 ulp, which are 4 U, on either side of the division; an addition, the division and two multiplications.
    checkClose(out[i], value, 13 * U * std::fabs(value), "swiglu" + length);
  }
  check(out[static_cast<size_t>(count)] == 7.0f, "writes beyond the end" + length);
}

/** One output of attention in f64, for a query and its positions; and how far f32 may be from it. */
struct Attended {
  std::vector<double> values, bounds;
  Attended(const float* q, const std::vector<float>& keys, const std::vector<float>& values_, int positions, size_t dim) : values(dim), bounds(dim) {
    std::vector<double> weights(static_cast<size_t>(positions));
    const double root = std::sqrt(static_cast<double>(dim));
    double largest = -INFINITY, total = 0, sizes = 0;
    for (size_t p = 0; p < weights.size(); p++) {
      double score = 0, size = 0;
      for (size_t d = 0; d < dim; d++) {
        score += static_cast<double>(q[d]) * keys[p * dim + d] / root;
        size += std::fabs(static_cast<double>(q[d]) * keys[p * dim + d]) / root;
      }
      weights[p] = score;
      largest = std::max(largest, score);
      sizes = std::max(sizes, size);
    }
    for (double& weight : weights) total += weight = std::exp(weight - largest);
    // A score is off by a rounding for each product, sum and the factor, which has three of its own, and the difference to the largest,
    // at most 2 · sizes, by another; a weight by e^δ for either score and 4 U of exp, and so is their sum. That and the sum of values
    // add a rounding a position; then a division and a multiplication.
    const double delta = (static_cast<double>(dim) + 6) * U * sizes;
    for (size_t d = 0; d < dim; d++) {
      double size = 0;
      for (size_t p = 0; p < weights.size(); p++) {
        values[d] += weights[p] / total * values_[p * dim + d];
        size += weights[p] / total * std::fabs(values_[p * dim + d]);
      }
      bounds[d] = (2 * std::expm1(2 * delta) + (2 * positions + 16) * U) * size;
    }
  }
};

void checkAttend(const Kernels& kernels, int positions, int headDim) {
  const std::string name = "attention over " + std::to_string(positions) + " positions of " + std::to_string(headDim);
  const int queries = kernels.attendMany ? kernels.queriesAtOnce : 1, longest = positions + queries - 1;
  const size_t dim = static_cast<size_t>(headDim), block = static_cast<size_t>(kernels.keyBlock), stride = dim + 5;
  std::vector<float> q = numbers(static_cast<int>(stride) * queries), keys = numbers(longest * headDim), values = numbers(longest * headDim);
  for (float& v : q) v *= 4;
  // What lies beyond the last position must not matter.
  std::vector<float> blocked(static_cast<size_t>(longest + MOST_KEY_BLOCK) * dim, NAN);
  for (size_t p = 0; p < static_cast<size_t>(longest); p++) for (size_t d = 0; d < dim; d++) blocked[p / block * block * dim + d * block + p % block] = keys[p * dim + d];
  const HeadCache cache{blocked.data(), values.data()};

  std::vector<float> room(static_cast<size_t>(queries) * static_cast<size_t>(longest + 48 + headDim)), out(dim + 1, 7.0f);
  kernels.attend(out.data(), q.data(), cache, positions, headDim, room.data());
  const Attended one(q.data(), keys, values, positions, dim);
  for (size_t d = 0; d < dim; d++) checkClose(out[d], one.values[d], one.bounds[d], name);
  check(out[dim] == 7.0f, name + " writes beyond the end");

  if (!kernels.attendMany) return;
  for (int step : {0, 1}) {
    for (int count = 1; count <= queries; count++) {
      std::vector<float> outs(stride * static_cast<size_t>(count), 7.0f);
      kernels.attendMany(outs.data(), q.data(), stride, count, cache, positions, step, headDim, room.data());
      for (int i = 0; i < count; i++) {
        const float* mine = outs.data() + static_cast<size_t>(i) * stride;
        const Attended each(q.data() + static_cast<size_t>(i) * stride, keys, values, positions + i * step, dim);
        for (size_t d = 0; d < dim; d++) checkClose(mine[d], each.values[d], each.bounds[d], name + ", query " + std::to_string(i) + " of " + std::to_string(count));
        for (size_t d = dim; d < stride; d++) check(mine[d] == 7.0f, name + ": queries write beyond their end");
      }
    }
  }
}

void checkTable(const Kernels& kernels, const char* name) {
  subject = name;
  const int before = checks;
  checkPrepare(kernels);
  for (int s = F32; s < STORAGE_COUNT; s++) {
    const Storage storage = static_cast<Storage>(s);
    for (int cols : {32, 96, 256, 416}) {
      const int groupSize = cols == 256 ? 64 : 32;
      checkFloat(kernels, storage, cols, groupSize);
      if (storage >= Q4_0) checkInt8(kernels, storage, cols, groupSize);
    }
    // No whole number of vectors, and more than are decoded at a time.
    if (storage < Q4_0) for (int cols : {1, 7, 45, 2100}) checkFloat(kernels, storage, cols, 0);
    if (storage == INT8_ROWS) for (int cols : {1, 31, 100}) checkInt8(kernels, storage, cols, 0);
  }
  for (int count = 1; count <= 70; count++) checkVectors(kernels, count);
  for (int positions : {1, 2, 7, 8, 9, 16, 33}) for (int headDim : {4, 8, 12, 31, 40, 64, 128}) checkAttend(kernels, positions, headDim);
  std::printf("test-kernels: %s: %d checks\n", name, checks - before);
}

}  // namespace

int main() {
  for (const Kernels* const* kernels = availableKernels(); *kernels; kernels++) {
#if defined(__aarch64__)
    const bool hasDotprod = *kernels != &neonKernels && *kernels != &scalarKernels;
    checkTable(**kernels, hasDotprod ? "neon with dot products" : (*kernels)->name);
#else
    checkTable(**kernels, (*kernels)->name);
#endif
  }
  return 0;
}
