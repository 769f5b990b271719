/** 8 f32 at a time, in two registers: as many chains of additions as AVX2 has, and 32 registers hold them. Any aarch64 has these. */
struct Vec {
  static constexpr int N = 8;
  float32x4_t low, high;
  static Vec load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
  /** The first n of N, zeros for the rest. */
  static Vec loadPart(const float* p, int n) {
    float lanes[N] = {};
    std::memcpy(lanes, p, sizeof(float) * static_cast<size_t>(n));
    return load(lanes);
  }
  // Bytes of a file have no alignment, which loads of wider elements promise.
  static Vec loadBytes(const uint8_t* p) { return {vreinterpretq_f32_u8(vld1q_u8(p)), vreinterpretq_f32_u8(vld1q_u8(p + 16))}; }
  static Vec loadHalves(const uint8_t* p) {
    const float16x8_t halves = vreinterpretq_f16_u8(vld1q_u8(p));
    return {vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)};
  }
  static Vec loadBrains(const uint8_t* p) {
    const uint16x8_t brains = vreinterpretq_u16_u8(vld1q_u8(p));
    return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(brains), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(brains, 16))};
  }
  static Vec all(float x) { return {vdupq_n_f32(x), vdupq_n_f32(x)}; }
  static Vec zero() { return all(0); }
  void store(float* p) const {
    vst1q_f32(p, low);
    vst1q_f32(p + 4, high);
  }
  void storePart(float* p, int n) const {
    float lanes[N];
    store(lanes);
    std::memcpy(p, lanes, sizeof(float) * static_cast<size_t>(n));
  }
  /** In AVX2's order: f32 results then have the same bits as there. */
  float sum() const {
    const float32x4_t four = vaddq_f32(low, high);
    return vaddv_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)));
  }
  float largest() const { return vmaxvq_f32(vmaxq_f32(low, high)); }
};
inline Vec operator+(Vec a, Vec b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
inline Vec operator-(Vec a, Vec b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
inline Vec operator*(Vec a, Vec b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
inline Vec operator/(Vec a, Vec b) { return {vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)}; }
/** a · b + c, rounded once. */
inline Vec fma(Vec a, Vec b, Vec c) { return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)}; }
/** Not a number where either is. */
inline Vec larger(Vec a, Vec b) { return {vmaxq_f32(a.low, b.low), vmaxq_f32(a.high, b.high)}; }
inline Vec magnitude(Vec a) { return {vabsq_f32(a.low), vabsq_f32(a.high)}; }
/** x < 0 ? a : b */
inline Vec whereNegative(Vec x, Vec a, Vec b) { return {vbslq_f32(vcltzq_f32(x.low), a.low, b.low), vbslq_f32(vcltzq_f32(x.high), a.high, b.high)}; }
inline Vec nearest(Vec a) { return {vrndnq_f32(a.low), vrndnq_f32(a.high)}; }
/** a · 2^n for whole n in [−252, 254]; in two steps, since 2^n itself may be out of range. */
inline Vec scaled(Vec a, Vec n) {
  const auto power = [](int32x4_t e) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(e, vdupq_n_s32(127)), 23)); };
  const auto half = [&](float32x4_t x, float32x4_t exponent) {
    const int32x4_t whole = vcvtnq_s32_f32(exponent), part = vshrq_n_s32(whole, 1);
    return vmulq_f32(vmulq_f32(x, power(part)), power(vsubq_s32(whole, part)));
  };
  return {half(a.low, n.low), half(a.high, n.high)};
}
