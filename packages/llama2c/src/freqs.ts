/**
 * RoPE frequency tables as v0 files carry them, in the f32 steps of model.py precompute_freqs_cis (C-2.5):
 * freqs = 1 / theta^(2i/hs), each operation rounded to f32; angle = t · freq in f32; then cosine and sine.
 * Agrees with torch's tables to 6e-8; a float64 chain would be off by 2.3e-4 at position 4096.
 */
const f32 = Math.fround;

export const DEFAULT_THETA = 10_000;

/** hs/2 rotation frequencies. */
export function frequencies(headSize: number, theta: number): Float32Array {
  return Float32Array.from({ length: headSize / 2 }, (_, i) => f32(1 / f32(Math.pow(theta, f32((2 * i) / headSize)))));
}

/** Cosines and sines of one position, hs/2 each. */
export function frequencyRow(position: number, freqs: Float32Array): { cos: Float32Array; sin: Float32Array } {
  const angles = freqs.map((freq) => f32(position * freq));
  return { cos: angles.map((angle) => Math.cos(angle)), sin: angles.map((angle) => Math.sin(angle)) };
}

/** Yields the rows of a whole table of `positions` × hs/2, some rows at a time. */
export function* frequencyTable(part: 'cos' | 'sin', positions: number, headSize: number, theta = DEFAULT_THETA): Generator<Float32Array> {
  const freqs = frequencies(headSize, theta);
  const rowsPerChunk = Math.max(1, Math.floor(65_536 / freqs.length));
  for (let start = 0; start < positions; start += rowsPerChunk) {
    const rows = Math.min(rowsPerChunk, positions - start);
    const chunk = new Float32Array(rows * freqs.length);
    for (let row = 0; row < rows; row++) chunk.set(frequencyRow(start + row, freqs)[part], row * freqs.length);
    yield chunk;
  }
}
