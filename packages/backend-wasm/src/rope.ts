/**
 * cos and sin of position · theta^(−2i/headDim) for positions from `position` on, [rows, headDim / 2] each.
 * Frequency, angle, cos and sin are each rounded to f32, as torch, run.c and the reference backend round them.
 */
export function ropeAngles(headDim: number, theta: number, position: number, cos: Float32Array, sin: Float32Array): void {
  const half = headDim / 2;
  for (let i = 0; i < half; i += 1) {
    const frequency = Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / headDim)));
    for (let at = i, p = position; at < cos.length; at += half, p += 1) {
      const angle = Math.fround(p * frequency);
      cos[at] = Math.cos(angle);
      sin[at] = Math.sin(angle);
    }
  }
}
