/** 16 f32 at a time. Include within a region compiled for AVX-512. */
struct Vec {
  static constexpr int N = 16;
  __m512 v;
  static Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  /** The first n of N, zeros for the rest. */
  static Vec loadPart(const float* p, int n) { return {_mm512_maskz_loadu_ps(maskOf(n), p)}; }
  static Vec loadBytes(const uint8_t* p) { return {_mm512_loadu_ps(p)}; }
  static Vec loadHalves(const uint8_t* p) { return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))}; }
  static Vec loadBrains(const uint8_t* p) { return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16))}; }
  static Vec all(float x) { return {_mm512_set1_ps(x)}; }
  static Vec zero() { return {_mm512_setzero_ps()}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void storePart(float* p, int n) const { _mm512_mask_storeu_ps(p, maskOf(n), v); }
  float sum() const { return _mm512_reduce_add_ps(v); }
  float largest() const { return _mm512_reduce_max_ps(v); }
  static __mmask16 maskOf(int n) { return static_cast<__mmask16>((1u << n) - 1); }
};
inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
/** a · b + c, rounded once. */
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec larger(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec smaller(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Vec magnitude(Vec a) { return {_mm512_abs_ps(a.v)}; }
/** x < 0 ? a : b */
inline Vec whereNegative(Vec x, Vec a, Vec b) { return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, _mm512_setzero_ps(), _CMP_LT_OQ), b.v, a.v)}; }
inline Vec nearest(Vec a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
/** a · 2^n for whole n; becomes subnormal, zero or infinite as it should. */
inline Vec scaled(Vec a, Vec n) { return {_mm512_scalef_ps(a.v, n.v)}; }
