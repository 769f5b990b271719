#pragma once
#include "types.h"

namespace weightspec {

/**
 * Multiplication of many tokens at once: weights are unpacked once for a tile of rows, and used for all tokens.
 * Chosen by Model for batches of at least `minTokens`.
 */
struct Gemm {
  const char* name;
  /** Rows of weights that `multiply` takes at once. */
  int rowsPerTile;
  int minTokens;
  bool (*supports)(const Matrix& w);
  /** Tokens that share a part of the packed activations; `pack` works on one such part. */
  int tokensPerTile;
  /** Bytes of packed activations of one tile of tokens. */
  size_t (*packedTileBytes)(const Matrix& w);
  /** Packs up to tokensPerTile tokens, rows of `x` at a stride of `xStride` f32. */
  void (*packTile)(const Matrix& w, const float* x, size_t xStride, int tokens, uint8_t* packed);
  /** Bytes of working memory of one thread. */
  size_t (*scratchBytes)(const Matrix& w);
  /**
   * y[t · rowsPerTile + r] = Σ weight[row + r, i] · x[t, i] for `rows` ≤ rowsPerTile rows from `row` on and `tokens` tokens, whose tiles
   * lie one after the other in `packed`. y has room for whole tiles of tokens.
   */
  void (*multiply)(const Matrix& w, int row, int rows, const uint8_t* packed, int tokens, uint8_t* scratch, float* y);
};

}  // namespace weightspec
