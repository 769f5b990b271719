/**
 * Four 16 × 16 tiles of f32 sums, C, and products of 16 × 32 bf16 tiles of tokens, A, by 32 × 16 tiles of weights, B, whose k pairs lie
 * side by side as AMX wants them: 16 lines of 16 × 2. C00 += A0 B0, C01 += A0 B1, C10 += A1 B0, C11 += A1 B1.
 * `HardwareTiles` is AMX; `EmulatedTiles` does the same in plain C++, so that what is built on it can be tried on any processor.
 */

struct EmulatedTiles {
  struct State {
    float c[2][2][16][16];
  };
  State state;
  void begin() {}
  void end() {}
  void zero() { std::memset(&state, 0, sizeof state); }
  /** Sums from y[token][stride], 32 tokens by 32 rows. */
  void resume(const float* y, size_t stride) {
    for (int t = 0; t < 32; t++) for (int r = 0; r < 32; r++) state.c[t / 16][r / 16][t % 16][r % 16] = y[static_cast<size_t>(t) * stride + static_cast<size_t>(r)];
  }
  void save(float* y, size_t stride) const {
    for (int t = 0; t < 32; t++) for (int r = 0; r < 32; r++) y[static_cast<size_t>(t) * stride + static_cast<size_t>(r)] = state.c[t / 16][r / 16][t % 16][r % 16];
  }
  void accumulate(const uint8_t* a0, const uint8_t* a1, const uint8_t* b0, const uint8_t* b1) {
    const uint8_t* a[2] = {a0, a1};
    const uint8_t* b[2] = {b0, b1};
    const auto brain = [](const uint8_t* p) { return floatOf(static_cast<uint32_t>(readAs<uint16_t>(p)) << 16); };
    for (int i = 0; i < 2; i++) for (int j = 0; j < 2; j++) for (int m = 0; m < 16; m++) for (int n = 0; n < 16; n++) for (int k = 0; k < 32; k++) {
      state.c[i][j][m][n] += brain(a[i] + 64 * m + 2 * k) * brain(b[j] + 64 * (k / 2) + 4 * n + 2 * (k % 2));
    }
  }
};

#ifdef WEIGHTSPEC_HAS_AMX
struct HardwareTiles {
  struct Configuration {
    uint8_t palette, startRow, reserved[14];
    uint16_t columnBytes[16];
    uint8_t rows[16];
  };
  void begin() {
    static_assert(sizeof(Configuration) == 64, "layout of LDTILECFG");
    Configuration configuration{};
    configuration.palette = 1;
    for (int i = 0; i < 8; i++) {
      configuration.columnBytes[i] = 64;
      configuration.rows[i] = 16;
    }
    // gcc 12 declares that the instruction reads 8 bytes only, and leaves the others unwritten: let it believe that all are read here.
    asm volatile("" ::"r"(&configuration) : "memory");
    _tile_loadconfig(&configuration);
  }
  void end() { _tile_release(); }
  void zero() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  void resume(const float* y, size_t stride) {
    _tile_loadd(0, y, static_cast<long>(stride * 4));
    _tile_loadd(1, y + 16, static_cast<long>(stride * 4));
    _tile_loadd(2, y + 16 * stride, static_cast<long>(stride * 4));
    _tile_loadd(3, y + 16 * stride + 16, static_cast<long>(stride * 4));
  }
  void save(float* y, size_t stride) const {
    _tile_stored(0, y, static_cast<long>(stride * 4));
    _tile_stored(1, y + 16, static_cast<long>(stride * 4));
    _tile_stored(2, y + 16 * stride, static_cast<long>(stride * 4));
    _tile_stored(3, y + 16 * stride + 16, static_cast<long>(stride * 4));
  }
  void accumulate(const uint8_t* a0, const uint8_t* a1, const uint8_t* b0, const uint8_t* b1) {
    _tile_loadd(6, b0, 64);
    _tile_loadd(4, a0, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b1, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a1, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
};
#endif
