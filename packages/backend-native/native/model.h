/**
 * A Program, its weights and its KV cache, ready to run on a pool of threads.
 * Adjacent ops become phases with one barrier after each: norm + matrices that share its output, matrix + addition, gate + up + swiglu,
 * rotations + attention. A fused op leaves out a buffer only where no later op reads it.
 */
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <vector>
#include "mapping.h"
#include "pool.h"
#include "types.h"

namespace weightspec {

/** Order shared with src/plan.ts. */
enum OpKind : int { EMBED, RMSNORM, MATMUL, ROPE, ATTENTION, SWIGLU, ADD };

/** An op of the Program. Buffers and weights are indices, −1 for none. */
struct Op {
  OpKind kind;
  /** What it reads: x; q, k, v; gate, up; a, b. */
  int inputs[3];
  int out;
  int weight, bias;
  int heads, kvHeads, headDim;
  /** RoPE: pairs (2i, 2i + 1) rather than (i, i + headDim/2). */
  bool interleaved;
  int layer;
  float eps;
  double theta;
};

struct Weight {
  Matrix matrix;
  /** A vector (norm, bias) as f32. */
  std::vector<float> decoded;
};

struct ModelSpec {
  std::vector<int> bufferWidths;
  std::vector<Weight> weights;
  std::vector<Op> ops;
  int vocabSize, maxSeqLen, layers, kvWidth, logits;
  /** Bytes that copies of weights in another order may take. */
  size_t repackBudgetBytes;
  /** What the weights point into. */
  std::vector<std::shared_ptr<Mapping>> mappings;
  std::vector<std::shared_ptr<Memory>> memories;
};

/** A copy of a matrix in faster memory or order, made 16 rows at a time. */
struct Copy {
  /** The matrix over the copy. */
  Matrix matrix{};
  /** Where the copy begins; null where there is none. */
  uint8_t* bytes = nullptr;
  enum State : uint8_t { MISSING, BEING_MADE, THERE };
  /** Of each 16 rows. */
  std::unique_ptr<std::atomic<uint8_t>[]> states;
  /** Of `states`, those that are not THERE. */
  std::atomic<int> left{0};
};

/** What is done between two barriers. */
struct Phase {
  Phase(OpKind phaseKind, int first, int end) : kind(phaseKind), firstOp(first), endOp(end) {}
  OpKind kind;
  /** The ops that it does, by index. */
  int firstOp, endOp;
  /** MATMUL: the norm that goes before, −1 for none. */
  int norm = -1;
  /** MATMUL: the matrices, one after the other; the rows of all are shared out among the threads. */
  std::vector<int> parts;
  /** MATMUL: rows to be shared out: of all parts, but of gate and up of one. */
  int rows = 0;
  /** MATMUL: the addition or swiglu that goes after, −1 for none. */
  int after = -1;
  /** ATTENTION: rotations that go before. */
  int ropeQ = -1, ropeK = -1;
};

class Model {
 public:
  Model(std::shared_ptr<Pool> pool, const Kernels& kernels, ModelSpec spec);

  /** Throws Fault when a file has changed, or there is no memory for so many tokens. Not thread-safe: one run at a time. */
  void begin(const int32_t* tokens, int count, int position, bool all, float* logits);
  /** Runs all phases; false when aborted. Takes the pool's mutex. */
  bool run();
  /** Runs op `index` alone. Takes the pool's mutex. */
  void runOp(int index);
  void abort() { abort_.store(true); }

  Pool& pool() { return *pool_; }
  /** A row of the buffer that op `index` wrote. */
  const float* outputRow(int index, int row) const { return rowAt(opAt(index).out, row); }
  int outputWidth(int index) const { return bufferWidth(opAt(index).out); }
  int bufferWidth(int index) const { return spec_.bufferWidths[static_cast<size_t>(index)]; }
  int vocabSize() const { return spec_.vocabSize; }

 private:
  struct Buffer {
    Memory memory;
    float* data = nullptr;
  };
  /** A thread's own memory. */
  struct Scratch {
    Memory prepared, norm, attention, rows, tile, packedRows;
  };
  /** A share [first, end) of something. */
  struct Share {
    int first, end;
  };
  /** Units that are taken of one thread's range in a phase: from its front in the lower 32 bits, from its back in the upper. */
  struct alignas(64) Taken {
    std::atomic<uint64_t> units{0};
  };

  void planCopies();
  void multiply(int weight, int firstRow, int endRow, const Prepared& x, float* out, int thread);
  bool makeCopy(int weight, int firstRow, int endRow);
  std::vector<Phase> plan(bool fuse) const;
  bool readLater(int buffer, int afterOp) const;
  Share claim(int phaseIndex, int units, int most, int thread);
  void reserve(int tokens);
  void fillRopeTables();
  void perform(const std::vector<Phase>& phases);
  void performShare(const Phase& phase, int phaseIndex, int thread);

  void embed(const Op& op, int thread);
  void rmsnorm(const Op& op, int thread);
  void rope(const Op& op, int thread);
  void rotate(const Op& op, int head, int row);
  void storeKeys(const Op& op, int kvHead, int row);
  void attention(const Phase& phase, int thread);
  void attendQueries(const Op& op, int head, int row, int count, bool ofTokens, int thread);
  void elementwise(const Op& op, int thread);
  void matmul(const Phase& phase, int phaseIndex, int thread);
  void matmulOne(const Phase& phase, int row, int phaseIndex, int thread);
  void matmulBatch(const Phase& phase, int phaseIndex, int thread);
  void matmulTiles(const Phase& phase, int phaseIndex, int thread);
  void finish(const Phase& phase, int part, int row, int firstRow, int rows, float* y, float* gate);
  template <class Body> void forShare(const Phase& phase, int phaseIndex, int thread, int unit, int chunk, const Body& body);
  const float* normed(const Phase& phase, int row, float* room) const;
  Share shareOf(int total, int unit, int thread) const;
  float* rowAt(int buffer, int row) const;
  HeadCache headCache(int layer, int kvHead) const;
  /** Whole blocks of keys. */
  size_t cachePositions() const { return static_cast<size_t>((spec_.maxSeqLen + MOST_KEY_BLOCK - 1) / MOST_KEY_BLOCK * MOST_KEY_BLOCK); }
  bool useTiles(const Phase& phase, int tokens) const;

  float* rowOf(int buffer, int row) const { return buffers_[static_cast<size_t>(buffer)].data + static_cast<size_t>(row) * static_cast<size_t>(bufferWidth(buffer)); }
  const Op& opAt(int index) const { return spec_.ops[static_cast<size_t>(index)]; }
  const Weight& weightAt(int index) const { return spec_.weights[static_cast<size_t>(index)]; }
  const Matrix& matrixOf(int opIndex) const { return weightAt(opAt(opIndex).weight).matrix; }

  std::shared_ptr<Pool> pool_;
  const Kernels& kernels_;
  ModelSpec spec_;
  std::vector<Phase> fused_, single_;
  std::vector<Buffer> buffers_;
  std::vector<Scratch> scratches_;
  /** [layers][keys, values][kvHeads][cachePositions][headDim], keys in blocks: by the kv heads of the layer's attention. */
  Memory cache_;
  /** By weight, and what they point into. */
  std::unique_ptr<Copy[]> copies_;
  Memory copyMemory_;
  /** Activations of a whole batch, prepared or packed for the matrices of one phase. */
  Memory packed_;
  /** By (headDim, theta): [rows][headDim / 2] pairs of cos, sin. */
  struct RopeTable {
    std::vector<float> frequencies;
    std::vector<float> cosines, sines;
  };
  std::map<std::pair<int, double>, RopeTable> ropeTables_;
  int widest_ = 0, rowCapacity_ = 0;
  bool logitsDirect_ = false;

  /** [phases][threads] */
  std::unique_ptr<Taken[]> taken_;

  // The run at hand.
  std::vector<int32_t> tokens_;
  int rows_ = 0, position_ = 0;
  /** Runs begun so far, up to 2. */
  int runs_ = 0;
  /** What this run may still copy. */
  std::atomic<int64_t> copyBytesLeft_{0};
  bool all_ = false;
  float* logits_ = nullptr;
  std::atomic<bool> abort_{false};
};

}  // namespace weightspec
