#include "model.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include "faults.h"
#include "gemm.h"

namespace weightspec {

namespace {

/** Rows of a matrix that one thread or another takes. */
constexpr int UNIT_ROWS = 16;
/** Rows of a matrix that are multiplied, and their results finished, while those are in the first cache. */
constexpr int CHUNK_ROWS = 128;
/** The same where a thread has fewer than SHORT_SHARE_ROWS. */
constexpr int SHORT_CHUNK_ROWS = 64, SHORT_SHARE_ROWS = 1024;
/** The same for few tokens at once: weights are read once for all of them. */
constexpr int BATCH_CHUNK_ROWS = 16;

size_t floatBytes(size_t count) { return (count * sizeof(float) + 63) / 64 * 64; }

void grow(Memory& memory, size_t byteLength) {
  if (memory.byteLength() < byteLength) memory = Memory(byteLength);
}

void multiplyRows(const Kernels& kernels, const Matrix& w, int firstRow, int endRow, const Prepared& x, float* out) {
  if (w.packedOrder) kernels.multiplyPacked(w, firstRow, endRow, x, out);
  else if (w.int8Activations) kernels.multiplyInt8[w.storage](w, firstRow, endRow, x, out);
  else kernels.multiplyFloat[w.storage](w, firstRow, endRow, x.x, out);
}

void prepare(const Kernels& kernels, const Matrix& w, Prepared& x) {
  if (w.packedOrder) kernels.preparePacked(w.storage, x.x, w.cols, x);
  else if (w.int8Activations) kernels.prepare(w.storage, x.x, w.cols, x);
}

/** Rows [firstRow, endRow) of a matrix as one of its own. */
Matrix rowsOf(Matrix w, int firstRow, int endRow) {
  w.values += static_cast<size_t>(firstRow) * w.rowBytes;
  if (w.storage == INT8_GROUPS) w.scales += 4 * (static_cast<int64_t>(firstRow) * w.cols / w.groupSize);
  if (w.storage == INT8_ROWS) w.scales += 4 * static_cast<size_t>(firstRow);
  w.rows = endRow - firstRow;
  return w;
}

/** Threads whose ranges a thread looks at when its own is done: with very many, looking would take longer than helping saves. */
constexpr int MOST_VICTIMS = 8;

/** Some 30 ms: no token waits long for copies. */
constexpr int64_t COPIED_BYTES_A_RUN = 64 << 20;

}  // namespace

Model::Model(std::shared_ptr<Pool> pool, const Kernels& kernels, ModelSpec spec) : pool_(std::move(pool)), kernels_(kernels), spec_(std::move(spec)) {
  planCopies();
  fused_ = plan(true);
  single_ = plan(false);
  taken_ = std::make_unique<Taken[]>(std::max(fused_.size(), single_.size()) * static_cast<size_t>(pool_->threads()));
  buffers_.resize(spec_.bufferWidths.size());
  for (int width : spec_.bufferWidths) widest_ = std::max(widest_, width);
  for (const Op& op : spec_.ops) {
    if (op.kind != ROPE) continue;
    RopeTable& table = ropeTables_[{op.headDim, op.theta}];
    // Exponent, power and frequency are each rounded to f32, as torch and run.c round them: models were trained with these angles.
    for (int i = 0; i < op.headDim / 2 && static_cast<int>(table.frequencies.size()) < op.headDim / 2; i++) {
      const float exponent = static_cast<float>(2.0 * i / op.headDim);
      table.frequencies.push_back(static_cast<float>(1.0 / static_cast<float>(std::pow(op.theta, static_cast<double>(exponent)))));
    }
  }
  const Op& last = spec_.ops.back();
  logitsDirect_ = last.kind == MATMUL && last.out == spec_.logits;
  for (size_t i = 0; i + 1 < spec_.ops.size(); i++) {
    const Op& op = spec_.ops[i];
    if (op.out == spec_.logits || std::find(op.inputs, op.inputs + 3, spec_.logits) != op.inputs + 3) logitsDirect_ = false;
  }
  cache_ = Memory(floatBytes(static_cast<size_t>(spec_.layers) * 2 * cachePositions() * static_cast<size_t>(spec_.kvWidth)));
  const size_t widest = static_cast<size_t>(widest_);
  size_t packedRowsBytes = 0;
  for (const Weight& weight : spec_.weights) {
    const Matrix& w = weight.matrix;
    if (w.packedOrder) packedRowsBytes = std::max(packedRowsBytes, kernels_.packedBytes(w) / static_cast<size_t>(w.rows / UNIT_ROWS));
  }
  int longestHead = 0;
  for (const Op& op : spec_.ops) longestHead = std::max(longestHead, op.headDim);
  for (int i = 0; i < pool_->threads(); i++) {
    Scratch scratch;
    scratch.prepared = Memory(preparedBytes(widest_));
    scratch.norm = Memory(floatBytes(widest + 64));
    scratch.attention = Memory(floatBytes(static_cast<size_t>(kernels_.queriesAtOnce) * static_cast<size_t>(spec_.maxSeqLen + 48 + longestHead)));
    scratch.rows = Memory(floatBytes(2 * CHUNK_ROWS));
    scratch.packedRows = Memory(packedRowsBytes);
    scratches_.push_back(std::move(scratch));
  }
  reserve(1);
}

/**
 * Which matrices get copies, one after the other while the budget lasts: in the kernels' own order where they have one, else as they
 * are, in large pages. Whether a copy is there yet changes no bit: until then rows are packed on the fly, or read where they lie.
 */
void Model::planCopies() {
  copies_ = std::make_unique<Copy[]>(spec_.weights.size());
  if (spec_.repackBudgetBytes == 0) return;
  const bool largePages = hasLargePages();
  std::vector<std::pair<int, size_t>> places;
  size_t total = 0;
  for (const Op& op : spec_.ops) {
    if (op.kind != MATMUL) continue;
    Copy& copy = copies_[static_cast<size_t>(op.weight)];
    if (copy.states) continue;
    Matrix& w = spec_.weights[static_cast<size_t>(op.weight)].matrix;
    const size_t packedBytes = kernels_.pack && w.int8Activations ? kernels_.packedBytes(w) : 0;
    const size_t byteLength = packedBytes > 0 ? packedBytes : largePages ? static_cast<size_t>(w.rows) * w.rowBytes : 0;
    const size_t padded = (byteLength + 63) / 64 * 64;
    if (byteLength == 0 || total + padded > spec_.repackBudgetBytes) continue;
    w.packedOrder = packedBytes > 0;
    const int units = (w.rows + UNIT_ROWS - 1) / UNIT_ROWS;
    copy.states = std::make_unique<std::atomic<uint8_t>[]>(static_cast<size_t>(units));
    for (int i = 0; i < units; i++) copy.states[static_cast<size_t>(i)].store(Copy::MISSING);
    copy.left.store(units);
    places.emplace_back(op.weight, total);
    total += padded;
  }
  copyMemory_ = Memory(total, true);
  for (const auto& [weight, at] : places) {
    Copy& copy = copies_[static_cast<size_t>(weight)];
    copy.bytes = copyMemory_.bytes() + at;
    copy.matrix = spec_.weights[static_cast<size_t>(weight)].matrix;
    (copy.matrix.packedOrder ? copy.matrix.packed : copy.matrix.values) = copy.bytes;
  }
}

/** Copies 16 rows, if nobody else does and this run has not copied enough. False when they are not there afterwards. */
bool Model::makeCopy(int weight, int firstRow, int endRow) {
  Copy& copy = copies_[static_cast<size_t>(weight)];
  const Matrix& w = weightAt(weight).matrix;
  const int64_t byteLength = static_cast<int64_t>(endRow - firstRow) * static_cast<int64_t>(w.rowBytes);
  uint8_t missing = Copy::MISSING;
  std::atomic<uint8_t>& state = copy.states[static_cast<size_t>(firstRow / UNIT_ROWS)];
  if (copyBytesLeft_.load(std::memory_order_relaxed) < byteLength || !state.compare_exchange_strong(missing, Copy::BEING_MADE)) return false;
  copyBytesLeft_.fetch_sub(byteLength, std::memory_order_relaxed);
  if (w.packedOrder) kernels_.pack(w, firstRow, endRow, copy.bytes);
  else std::memcpy(copy.bytes + static_cast<size_t>(firstRow) * w.rowBytes, w.values + static_cast<size_t>(firstRow) * w.rowBytes, static_cast<size_t>(byteLength));
  state.store(Copy::THERE, std::memory_order_release);
  copy.left.fetch_sub(1, std::memory_order_release);
  return true;
}

/** Rows [firstRow, endRow) by x, firstRow being a multiple of 16: from the copy as far as there is one. */
void Model::multiply(int weight, int firstRow, int endRow, const Prepared& x, float* out, int thread) {
  const Matrix& w = weightAt(weight).matrix;
  const Copy& copy = copies_[static_cast<size_t>(weight)];
  if (copy.bytes && copy.left.load(std::memory_order_acquire) == 0) return multiplyRows(kernels_, copy.matrix, firstRow, endRow, x, out);
  if (!copy.bytes) return multiplyRows(kernels_, w, firstRow, endRow, x, out);
  for (int row = firstRow; row < endRow; row += UNIT_ROWS) {
    const int end = std::min(endRow, row + UNIT_ROWS);
    float* y = out + (row - firstRow);
    const bool there = copy.states[static_cast<size_t>(row / UNIT_ROWS)].load(std::memory_order_acquire) == Copy::THERE;
    if (there || makeCopy(weight, row, end)) {
      multiplyRows(kernels_, copy.matrix, row, end, x, y);
    } else if (w.packedOrder) {
      uint8_t* packed = scratches_[static_cast<size_t>(thread)].packedRows.bytes();
      Matrix rows = rowsOf(w, row, end);
      kernels_.pack(rows, 0, end - row, packed);
      rows.packed = packed;
      multiplyRows(kernels_, rows, 0, end - row, x, y);
    } else {
      multiplyRows(kernels_, w, row, end, x, y);
    }
  }
}

/** Whether the matrices of a phase are multiplied by tiles, for so many tokens. */
bool Model::useTiles(const Phase& phase, int tokens) const {
  const Gemm* gemm = kernels_.gemm;
  return gemm && tokens >= gemm->minTokens && gemm->supports(matrixOf(phase.parts[0]));
}

void Model::reserve(int tokens) {
  if (tokens <= rowCapacity_) return;
  for (size_t i = 0; i < buffers_.size(); i++) {
    if (logitsDirect_ && static_cast<int>(i) == spec_.logits) continue;
    grow(buffers_[i].memory, floatBytes(static_cast<size_t>(tokens) * static_cast<size_t>(spec_.bufferWidths[i])));
    buffers_[i].data = buffers_[i].memory.floats();
  }
  size_t packedBytes = 0;
  size_t tileBytes = 0, rowsBytes = 0;
  for (const Phase& phase : fused_) {
    if (phase.kind != MATMUL) continue;
    const Matrix& w = matrixOf(phase.parts[0]);
    packedBytes = std::max(packedBytes, static_cast<size_t>(tokens) * (floatBytes(static_cast<size_t>(w.cols)) + preparedBytes(w.cols)));
    if (const Gemm* gemm = kernels_.gemm; gemm && gemm->supports(w)) {
      const size_t tiles = static_cast<size_t>((tokens + gemm->tokensPerTile - 1) / gemm->tokensPerTile);
      packedBytes = std::max(packedBytes, tiles * gemm->packedTileBytes(w));
      tileBytes = std::max(tileBytes, gemm->scratchBytes(w));
      const size_t results = tiles * static_cast<size_t>(gemm->tokensPerTile * gemm->rowsPerTile);
      rowsBytes = std::max({rowsBytes, floatBytes(2 * results), floatBytes(static_cast<size_t>(gemm->tokensPerTile) * static_cast<size_t>(w.cols))});
    }
  }
  rowsBytes = std::max(rowsBytes, floatBytes(2 * CHUNK_ROWS));
  if (tokens > 1) grow(packed_, packedBytes);
  for (Scratch& scratch : scratches_) {
    if (tokens > 1) grow(scratch.tile, tileBytes);
    grow(scratch.rows, rowsBytes);
  }
  for (auto& [key, table] : ropeTables_) {
    table.cosines.resize(static_cast<size_t>(tokens) * table.frequencies.size());
    table.sines.resize(table.cosines.size());
  }
  tokens_.reserve(static_cast<size_t>(tokens));
  rowCapacity_ = tokens;
}

void Model::begin(const int32_t* tokens, int count, int position, bool all, float* logits) {
  for (const auto& mapping : spec_.mappings) mapping->assertUnchanged();
  reserve(count);
  tokens_.assign(tokens, tokens + count);
  rows_ = count;
  position_ = position;
  all_ = all;
  logits_ = logits;
  abort_.store(false);
  // The first token is not kept waiting: it packs on the fly, and reads the rest where it lies.
  copyBytesLeft_.store(runs_ == 0 ? 0 : COPIED_BYTES_A_RUN);
  runs_ = std::min(runs_ + 1, 2);
  fillRopeTables();
}

void Model::fillRopeTables() {
  for (auto& [key, table] : ropeTables_) {
    const size_t half = table.frequencies.size();
    for (int row = 0; row < rows_; row++) {
      for (size_t i = 0; i < half; i++) {
        const float angle = static_cast<float>(position_ + row) * table.frequencies[i];
        table.cosines[static_cast<size_t>(row) * half + i] = static_cast<float>(std::cos(static_cast<double>(angle)));
        table.sines[static_cast<size_t>(row) * half + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
      }
    }
  }
}

bool Model::run() {
  perform(fused_);
  if (abort_.load()) return false;
  if (!logitsDirect_) {
    const int first = all_ ? 0 : rows_ - 1;
    const size_t width = static_cast<size_t>(spec_.vocabSize);
    std::memcpy(logits_, rowOf(spec_.logits, first), static_cast<size_t>(rows_ - first) * width * sizeof(float));
  }
  return true;
}

void Model::runOp(int index) {
  perform({single_[static_cast<size_t>(index)]});
}

void Model::perform(const std::vector<Phase>& phases) {
  for (size_t i = 0; i < phases.size() * static_cast<size_t>(pool_->threads()); i++) taken_[i].units.store(0, std::memory_order_relaxed);
  struct Job {
    Model* model;
    const std::vector<Phase>* phases;
  } job{this, &phases};
  pool_->run(
      [](void* context, int thread) {
        const Job& work = *static_cast<Job*>(context);
        Pool& pool = *work.model->pool_;
        for (size_t i = 0; i < work.phases->size(); i++) {
          work.model->performShare((*work.phases)[i], static_cast<int>(i), thread);
          // The end of the job is a barrier of its own.
          if (i + 1 < work.phases->size() && pool.barrier(work.model->abort_)) return;
        }
      },
      &job);
}

void Model::performShare(const Phase& phase, int phaseIndex, int thread) {
  const Op& op = opAt(phase.firstOp);
  switch (phase.kind) {
    case EMBED: return embed(op, thread);
    case RMSNORM: return rmsnorm(op, thread);
    case MATMUL: return matmul(phase, phaseIndex, thread);
    case ROPE: return rope(op, thread);
    case ATTENTION: return attention(phase, thread);
    default: return elementwise(op, thread);
  }
}

/** An even share of `total` rows for a thread; borders are multiples of `unit`. */
Model::Share Model::shareOf(int total, int unit, int thread) const {
  const int64_t units = (total + unit - 1) / unit;
  const int threads = pool_->threads();
  const auto border = [&](int t) { return static_cast<int>(std::min<int64_t>(total, units * t / threads * unit)); };
  return {border(thread), border(thread + 1)};
}

float* Model::rowAt(int buffer, int row) const {
  if (buffer == spec_.logits && logitsDirect_) return logits_ + static_cast<size_t>(all_ ? row : 0) * static_cast<size_t>(spec_.vocabSize);
  return rowOf(buffer, row);
}

void Model::embed(const Op& op, int thread) {
  for (int row = thread; row < rows_; row += pool_->threads()) kernels_.decodeRow(weightAt(op.weight).matrix, tokens_[static_cast<size_t>(row)], rowOf(op.out, row));
}

void Model::rmsnorm(const Op& op, int thread) {
  const int width = bufferWidth(op.out);
  for (int row = thread; row < rows_; row += pool_->threads()) kernels_.rmsnorm(rowOf(op.out, row), rowOf(op.inputs[0], row), weightAt(op.weight).decoded.data(), width, op.eps);
}

void Model::elementwise(const Op& op, int thread) {
  const int width = bufferWidth(op.out);
  const auto function = op.kind == SWIGLU ? kernels_.swiglu : kernels_.add;
  for (int row = thread; row < rows_; row += pool_->threads()) function(rowOf(op.out, row), rowOf(op.inputs[0], row), rowOf(op.inputs[1], row), width);
}

/** Rotates one head of one token by its position's angles. */
void Model::rotate(const Op& op, int head, int row) {
  const RopeTable& table = ropeTables_.find({op.headDim, op.theta})->second;
  const int half = op.headDim / 2;
  const float* cosines = table.cosines.data() + static_cast<size_t>(row) * static_cast<size_t>(half);
  const float* sines = table.sines.data() + static_cast<size_t>(row) * static_cast<size_t>(half);
  float* x = rowOf(op.inputs[0], row) + head * op.headDim;
  const int step = op.interleaved ? 2 : 1, apart = op.interleaved ? 1 : half;
  for (int i = 0; i < half; i++) {
    const float a = x[i * step], b = x[i * step + apart];
    x[i * step] = a * cosines[i] - b * sines[i];
    x[i * step + apart] = a * sines[i] + b * cosines[i];
  }
}

void Model::rope(const Op& op, int thread) {
  for (int task = thread; task < rows_ * op.heads; task += pool_->threads()) rotate(op, task % op.heads, task / op.heads);
}

HeadCache Model::headCache(int layer, int kvHead) const {
  const size_t positions = cachePositions(), width = static_cast<size_t>(spec_.kvWidth);
  float* keys = cache_.floats() + static_cast<size_t>(layer) * 2 * positions * width;
  return {keys + static_cast<size_t>(kvHead) * positions, keys + positions * width + static_cast<size_t>(kvHead) * positions};
}

/** Appends one head's key and value of one token. */
void Model::storeKeys(const Op& op, int kvHead, int row) {
  const size_t dim = static_cast<size_t>(op.headDim), position = static_cast<size_t>(position_ + row), block = static_cast<size_t>(kernels_.keyBlock);
  const HeadCache cache = headCache(op.layer, kvHead * op.headDim);
  const float* key = rowOf(op.inputs[1], row) + static_cast<size_t>(kvHead) * dim;
  float* to = cache.keys + position / block * block * dim + position % block;
  for (size_t d = 0; d < dim; d++) to[d * block] = key[d];
  std::memcpy(cache.values + position * dim, rowOf(op.inputs[2], row) + static_cast<size_t>(kvHead) * dim, dim * sizeof(float));
}

/** `count` queries: heads from `head` on of one token, which share a kv head, or one head of tokens from `row` on. */
void Model::attendQueries(const Op& op, int head, int row, int count, bool ofTokens, int thread) {
  const HeadCache cache = headCache(op.layer, head / (op.heads / op.kvHeads) * op.headDim);
  const size_t at = static_cast<size_t>(head) * static_cast<size_t>(op.headDim);
  const float* q = rowOf(op.inputs[0], row) + at;
  float* out = rowOf(op.out, row) + at;
  float* room = scratches_[static_cast<size_t>(thread)].attention.floats();
  const int positions = position_ + row + 1;
  if (count == 1) return kernels_.attend(out, q, cache, positions, op.headDim, room);
  kernels_.attendMany(out, q, static_cast<size_t>(ofTokens ? bufferWidth(op.out) : op.headDim), count, cache, positions, ofTokens ? 1 : 0, op.headDim, room);
}

void Model::attention(const Phase& phase, int thread) {
  const Op& op = opAt(phase.endOp - 1);
  const int threads = pool_->threads(), perKv = op.heads / op.kvHeads;
  const auto prepareKv = [&](int kvHead, int row) {
    if (phase.ropeK >= 0) rotate(opAt(phase.ropeK), kvHead, row);
    storeKeys(op, kvHead, row);
  };
  const auto rotateQuery = [&](int head, int row) {
    if (phase.ropeQ >= 0) rotate(opAt(phase.ropeQ), head, row);
  };
  const int most = kernels_.queriesAtOnce;
  // One token whose kv heads suffice for all threads: each thread does everything for its own, and nobody waits.
  if (rows_ == 1 && op.kvHeads % threads == 0) {
    const Share own = shareOf(op.kvHeads, 1, thread);
    for (int kvHead = own.first; kvHead < own.end; kvHead++) {
      prepareKv(kvHead, 0);
      const int end = (kvHead + 1) * perKv;
      for (int head = kvHead * perKv; head < end; head++) rotateQuery(head, 0);
      for (int head = kvHead * perKv; head < end; head += most) attendQueries(op, head, 0, std::min(most, end - head), false, thread);
    }
    return;
  }
  for (int task = thread; task < rows_ * op.kvHeads; task += threads) prepareKv(task % op.kvHeads, task / op.kvHeads);
  if (pool_->barrier(abort_)) return;
  const int tiles = (rows_ + most - 1) / most;
  for (int task = thread; task < tiles * op.heads; task += threads) {
    const int head = task % op.heads, row = task / op.heads * most, count = std::min(most, rows_ - row);
    for (int i = 0; i < count; i++) rotateQuery(head, row + i);
    attendQueries(op, head, row, count, true, thread);
  }
}

/** The phase's input for one token: through its norm, into `room`, where it has one. */
const float* Model::normed(const Phase& phase, int row, float* room) const {
  const float* x = rowOf(opAt(phase.norm >= 0 ? phase.norm : phase.parts[0]).inputs[0], row);
  if (phase.norm < 0) return x;
  const Op& norm = opAt(phase.norm);
  kernels_.rmsnorm(room, x, weightAt(norm.weight).decoded.data(), bufferWidth(norm.inputs[0]), norm.eps);
  return room;
}

/** Stores results y of rows [firstRow, firstRow + rows) of a matrix for one token, with bias, addition or swiglu. `y` may be the place itself. */
void Model::finish(const Phase& phase, int part, int row, int firstRow, int rows, float* y, float* gate) {
  const auto addBias = [&](int matmul, float* values) {
    const int bias = opAt(matmul).bias;
    if (bias >= 0) kernels_.add(values, values, weightAt(bias).decoded.data() + firstRow, rows);
  };
  addBias(part, y);
  if (phase.after < 0) {
    float* out = rowAt(opAt(part).out, row) + firstRow;
    if (out != y) std::memcpy(out, y, static_cast<size_t>(rows) * sizeof(float));
    return;
  }
  const Op& after = opAt(phase.after);
  float* out = rowOf(after.out, row) + firstRow;
  if (after.kind == SWIGLU) {
    addBias(phase.parts[0] == part ? phase.parts[1] : phase.parts[0], gate);
    kernels_.swiglu(out, gate, y, rows);
    return;
  }
  const int other = after.inputs[0] == opAt(part).out ? after.inputs[1] : after.inputs[0];
  // The order of the op's operands does not matter to a sum of two.
  kernels_.add(out, rowOf(other, row) + firstRow, y, rows);
}

void Model::matmul(const Phase& phase, int phaseIndex, int thread) {
  const bool lastOnly = !all_ && phase.endOp == static_cast<int>(spec_.ops.size()) && phase.after < 0;
  const int firstToken = lastOnly ? rows_ - 1 : 0;
  if (rows_ - firstToken == 1) return matmulOne(phase, firstToken, phaseIndex, thread);
  if (useTiles(phase, rows_)) return matmulTiles(phase, phaseIndex, thread);
  matmulBatch(phase, phaseIndex, thread);
}

/** One token: every thread prepares the input for itself, which takes less time than to wait for another. */
void Model::matmulOne(const Phase& phase, int row, int phaseIndex, int thread) {
  Scratch& scratch = scratches_[static_cast<size_t>(thread)];
  const Matrix& first = matrixOf(phase.parts[0]);
  Prepared x = preparedAt(scratch.prepared.bytes(), first.cols);
  x.x = normed(phase, row, scratch.norm.floats());
  prepare(kernels_, first, x);
  const int chunk = phase.rows < SHORT_SHARE_ROWS * pool_->threads() ? SHORT_CHUNK_ROWS : CHUNK_ROWS;
  forShare(phase, phaseIndex, thread, UNIT_ROWS, chunk, [&](int part, int gatePart, int firstRow, int rows) {
    float* y = phase.after < 0 ? rowAt(opAt(part).out, row) + firstRow : scratch.rows.floats();
    float* gate = scratch.rows.floats() + CHUNK_ROWS;
    multiply(opAt(part).weight, firstRow, firstRow + rows, x, y, thread);
    if (gatePart >= 0) multiply(opAt(gatePart).weight, firstRow, firstRow + rows, x, gate, thread);
    finish(phase, part, row, firstRow, rows, y, gate);
  });
}

/** Few tokens: a chunk of rows stays in the first cache while all tokens are multiplied by it. */
void Model::matmulBatch(const Phase& phase, int phaseIndex, int thread) {
  Scratch& scratch = scratches_[static_cast<size_t>(thread)];
  const Matrix& first = matrixOf(phase.parts[0]);
  const size_t normBytes = floatBytes(static_cast<size_t>(first.cols)), stride = normBytes + preparedBytes(first.cols);
  const auto preparedOf = [&](int row) {
    uint8_t* at = packed_.bytes() + static_cast<size_t>(row) * stride;
    Prepared x = preparedAt(at + normBytes, first.cols);
    x.x = phase.norm >= 0 ? reinterpret_cast<float*>(at) : rowOf(opAt(phase.parts[0]).inputs[0], row);
    return x;
  };
  for (int row = thread; row < rows_; row += pool_->threads()) {
    Prepared x = preparedOf(row);
    normed(phase, row, const_cast<float*>(x.x));
    prepare(kernels_, first, x);
  }
  if (pool_->barrier(abort_)) return;
  forShare(phase, phaseIndex, thread, UNIT_ROWS, BATCH_CHUNK_ROWS, [&](int part, int gatePart, int firstRow, int rows) {
    float* y = scratch.rows.floats();
    float* gate = y + CHUNK_ROWS;
    for (int row = 0; row < rows_; row++) {
      const Prepared x = preparedOf(row);
      multiply(opAt(part).weight, firstRow, firstRow + rows, x, y, thread);
      if (gatePart >= 0) multiply(opAt(gatePart).weight, firstRow, firstRow + rows, x, gate, thread);
      finish(phase, part, row, firstRow, rows, y, gate);
    }
  });
}

/** Many tokens: weights are unpacked a tile of rows at a time. */
void Model::matmulTiles(const Phase& phase, int phaseIndex, int thread) {
  const Gemm& gemm = *kernels_.gemm;
  Scratch& scratch = scratches_[static_cast<size_t>(thread)];
  const Matrix& first = matrixOf(phase.parts[0]);
  const size_t tileBytes = gemm.packedTileBytes(first);
  const int tiles = (rows_ + gemm.tokensPerTile - 1) / gemm.tokensPerTile;
  for (int tile = thread; tile < tiles; tile += pool_->threads()) {
    const int firstToken = tile * gemm.tokensPerTile, tokens = std::min(gemm.tokensPerTile, rows_ - firstToken);
    const float* x = rowOf(opAt(phase.parts[0]).inputs[0], firstToken);
    if (phase.norm >= 0) {
      for (int t = 0; t < tokens; t++) normed(phase, firstToken + t, scratch.rows.floats() + static_cast<size_t>(t) * static_cast<size_t>(first.cols));
      x = scratch.rows.floats();
    }
    gemm.packTile(first, x, static_cast<size_t>(first.cols), tokens, packed_.bytes() + static_cast<size_t>(tile) * tileBytes);
  }
  if (pool_->barrier(abort_)) return;
  const size_t results = static_cast<size_t>(tiles * gemm.tokensPerTile * gemm.rowsPerTile);
  forShare(phase, phaseIndex, thread, gemm.rowsPerTile, gemm.rowsPerTile, [&](int part, int gatePart, int firstRow, int rows) {
    float* y = scratch.rows.floats();
    float* gate = y + results;
    gemm.multiply(matrixOf(part), firstRow, rows, packed_.bytes(), rows_, scratch.tile.bytes(), y);
    if (gatePart >= 0) gemm.multiply(matrixOf(gatePart), firstRow, rows, packed_.bytes(), rows_, scratch.tile.bytes(), gate);
    for (int row = 0; row < rows_; row++) {
      const size_t at = static_cast<size_t>(row) * static_cast<size_t>(gemm.rowsPerTile);
      finish(phase, part, row, firstRow, rows, y + at, gate + at);
    }
  });
}

/**
 * The next `most` units or fewer for a thread; none when all are taken. Every thread has a range of its own, which it takes from the front,
 * so that it reads memory in one direction, and in each run the same. A thread that is done takes from the backs of others' ranges:
 * one that the system keeps waiting, or a slower one, does less. Towards the end of a range shares shrink, so that all are done together.
 */
Model::Share Model::claim(int phaseIndex, int units, int most, int thread) {
  const int threads = pool_->threads();
  for (int i = 0; i < std::min(threads, 1 + MOST_VICTIMS); i++) {
    const int owner = (thread + i) % threads;
    const Share range = shareOf(units, 1, owner);
    std::atomic<uint64_t>& taken = taken_[static_cast<size_t>(phaseIndex * threads + owner)].units;
    uint64_t seen = taken.load(std::memory_order_relaxed);
    for (;;) {
      const int front = static_cast<int>(seen & 0xffffffffu), back = static_cast<int>(seen >> 32);
      const int left = range.end - range.first - front - back;
      if (left <= 0) break;
      const int wanted = std::min(most, (left + 1) / 2);
      if (!taken.compare_exchange_weak(seen, seen + (owner == thread ? static_cast<uint64_t>(wanted) : static_cast<uint64_t>(wanted) << 32), std::memory_order_relaxed)) continue;
      const int first = owner == thread ? range.first + front : range.end - back - wanted;
      return {first, first + wanted};
    }
  }
  return {0, 0};
}

/**
 * Calls body(part, gatePart, firstRow, rows) for this thread's shares of the phase's matrices, `chunk` rows or fewer at a time. Shares
 * are whole units of rows, the matrices of a phase being one after the other.
 */
template <class Body> void Model::forShare(const Phase& phase, int phaseIndex, int thread, int unit, int chunk, const Body& body) {
  const bool paired = phase.after >= 0 && opAt(phase.after).kind == SWIGLU;
  const bool firstIsGate = paired && opAt(phase.parts[0]).out == opAt(phase.after).inputs[0];
  const int gatePart = paired ? phase.parts[firstIsGate ? 0 : 1] : -1;
  const size_t firstPart = firstIsGate ? 1 : 0, endPart = paired ? firstPart + 1 : phase.parts.size();
  int units = 0;
  for (size_t i = firstPart; i < endPart; i++) units += (matrixOf(phase.parts[i]).rows + unit - 1) / unit;
  for (;;) {
    const Share share = claim(phaseIndex, units, chunk / unit, thread);
    if (share.first >= share.end) return;
    int before = 0;
    for (size_t i = firstPart; i < endPart; i++) {
      const int rows = matrixOf(phase.parts[i]).rows, partUnits = (rows + unit - 1) / unit;
      const int first = std::max(0, share.first - before) * unit, end = std::min(rows, std::min(partUnits, share.end - before) * unit);
      if (first < end) body(phase.parts[i], gatePart, first, end - first);
      before += partUnits;
    }
  }
}

}  // namespace weightspec
