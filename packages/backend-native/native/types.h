/**
 * What a Program is once compiled: matrices as they lie in their files, and the kernels that multiply them.
 * Little-endian hosts only. Pointers into files have no alignment: read them with memcpy or unaligned loads.
 */
#pragma once
#include <cstddef>
#include <cstdint>

namespace weightspec {

/** Order shared with src/storages.ts. */
enum Storage : int {
  F32, F16, BF16,
  Q4_0, Q4_1, Q5_0, Q5_1, Q8_0,
  /** int8 with one f32 scale for each `groupSize` elements of the flattened tensor (llama2.c). */
  INT8_GROUPS,
  /** int8 with one f32 scale a row, and activations rounded to int8 with one scale a token (LMDeploy). */
  INT8_ROWS,
  STORAGE_COUNT
};

/** Elements of a block of ggml's block types, and of a block of int8 activations. */
constexpr int BLOCK = 32;

/** Bytes of one block, 0 for storages without. */
constexpr int blockBytes(Storage storage) {
  return storage == Q4_0 ? 18 : storage == Q4_1 ? 20 : storage == Q5_0 ? 22 : storage == Q5_1 ? 24 : storage == Q8_0 ? 34 : 0;
}

/** A weight [rows, cols] in its file's own form. A vector has one row. */
struct Matrix {
  Storage storage;
  int rows, cols;
  /** Bytes from one row to the next in `values`. */
  size_t rowBytes;
  const uint8_t* values;
  /** f32 scales of the int8 storages, unaligned. */
  const uint8_t* scales;
  /** Elements that share a scale, for INT8_GROUPS. */
  int64_t groupSize;
  /** INT8_GROUPS: the value is q · scale / divisor (127 for llama2.c's experimental form, else 1). */
  float divisor;
  /** Whether `multiplyPacked` multiplies it, from `packed`: values in an order of the kernels' own. */
  bool packedOrder;
  const uint8_t* packed;
  /** Whether `multiply` takes activations as int8; else as f32. */
  bool int8Activations;
};

/**
 * One token's activations, ready to be multiplied by weights of one storage. Which arrays are filled is between a kernel's
 * `prepare` and its `multiply`. Arrays have room for `paddedCols` elements and are 64-byte aligned.
 */
struct Prepared {
  /** The activations themselves. */
  const float* x;
  /** Rounded to int8, block by block: x ≈ q · scale[block]. Zero from cols to paddedCols. */
  int8_t* q;
  /** q in the order of nibbles: of four blocks, their four first halves, then their four second halves. */
  int8_t* nibbleOrder;
  /** [blocks] */
  float* scale;
  /** [blocks] Σ q */
  int32_t* sum;
  /** [paddedCols / 4] what to start an integer sum of 4 products with, because weights are taken as unsigned: −offset · Σ q. */
  int32_t* start;
  /** [paddedCols / 4] scale, and scale · Σ q, once for each lane of the vector that holds those sums. */
  float* scaleLanes;
  float* sumLanes;
};

/** Elements of x that Prepared has room for: whole groups of four blocks. */
constexpr int paddedCols(int cols) { return (cols + 127) / 128 * 128; }

inline size_t preparedBytes(int cols) {
  const size_t padded = static_cast<size_t>(paddedCols(cols));
  // q and nibbleOrder, scale and sum, start and two kinds of lanes; each rounded up to 64 bytes.
  return 2 * padded + 2 * (padded / BLOCK * 4 + 64) + 3 * padded + 64;
}

inline Prepared preparedAt(uint8_t* memory, int cols) {
  const size_t padded = static_cast<size_t>(paddedCols(cols));
  const size_t perBlock = (padded / BLOCK * 4 + 63) / 64 * 64;
  Prepared p{};
  p.q = reinterpret_cast<int8_t*>(memory); memory += padded;
  p.nibbleOrder = reinterpret_cast<int8_t*>(memory); memory += padded;
  p.scale = reinterpret_cast<float*>(memory); memory += perBlock;
  p.sum = reinterpret_cast<int32_t*>(memory); memory += perBlock;
  p.start = reinterpret_cast<int32_t*>(memory); memory += padded;
  p.scaleLanes = reinterpret_cast<float*>(memory); memory += padded;
  p.sumLanes = reinterpret_cast<float*>(memory);
  return p;
}

/** How keys and values of one kv head lie in the cache. */
struct HeadCache {
  /** [positions / keyBlock][headDim][keyBlock], by Kernels::keyBlock */
  float* keys;
  /** [positions][headDim] */
  float* values;
};

constexpr int MOST_KEY_BLOCK = 16;

/** The batched multiplication of a prompt: see gemm.h. */
struct Gemm;

/** What one instruction set brings. Pointers are set but those with an initializer, which a set may do without. */
struct Kernels {
  const char* name;

  /** Fills `dst` from x [cols] for weights of `storage`. `dst.x` is set by the caller. */
  void (*prepare)(Storage storage, const float* x, int cols, Prepared& dst);
  /** out[row − firstRow] = Σ weight[row, i] · x[i] for rows [firstRow, endRow). Each row's sum has one order, whatever the range. */
  void (*multiplyInt8[STORAGE_COUNT])(const Matrix& w, int firstRow, int endRow, const Prepared& x, float* out);
  void (*multiplyFloat[STORAGE_COUNT])(const Matrix& w, int firstRow, int endRow, const float* x, float* out);
  /** One row as f32. */
  void (*decodeRow)(const Matrix& w, int row, float* out);

  void (*rmsnorm)(float* out, const float* x, const float* weight, int width, float eps);
  void (*swiglu)(float* out, const float* gate, const float* up, int count);
  void (*add)(float* out, const float* a, const float* b, int count);
  /**
   * out = Σ softmax(q · key / sqrt(headDim)) value over `positions` positions, for one query head.
   * `weights`: room for positions + 16 f32.
   */
  void (*attend)(float* out, const float* q, const HeadCache& cache, int positions, int headDim, float* weights);
  /** Positions whose keys lie side by side. Divides MOST_KEY_BLOCK. */
  int keyBlock = 1;
  /**
   * The same for up to `queriesAtOnce` queries of one kv head, `stride` apart as their outputs are; query i looks at positions + i · step
   * positions. `room`: queriesAtOnce · (positions of the last + 48 + headDim) f32.
   */
  int queriesAtOnce = 1;
  void (*attendMany)(float* out, const float* q, size_t stride, int queries, const HeadCache& cache, int positions, int step, int headDim, float* room) = nullptr;

  // 16 rows side by side, in an order of the kernels' own. All four are set or none.
  /** 0 where a matrix gains nothing; else the same for every 16 rows. */
  size_t (*packedBytes)(const Matrix& w) = nullptr;
  /** Packs rows [firstRow, endRow), multiples of 16; `packed` is where row 0 goes. */
  void (*pack)(const Matrix& w, int firstRow, int endRow, uint8_t* packed) = nullptr;
  void (*preparePacked)(Storage storage, const float* x, int cols, Prepared& dst) = nullptr;
  void (*multiplyPacked)(const Matrix& w, int firstRow, int endRow, const Prepared& x, float* out) = nullptr;

  const Gemm* gemm = nullptr;
};

/** Best first; the ones that this build has and this processor runs. Ends with null. */
const Kernels* const* availableKernels();
/** Null when it is not among them. */
const Kernels* kernelsNamed(const char* name);

}  // namespace weightspec
