/**
 * (cos, sin) of position · theta^(−2i/headDim) for positions [position, position + rows), [rows, headDim / 2, 2] f32.
 * Frequency, angle, cos and sin are each rounded to f32, as torch and run.c round them: models were trained with these very angles.
 * On the CPU, because WGSL promises nothing about sin beyond π.
 */
export function ropeTable(headDim: number, theta: number, position: number, rows: number): Float32Array<ArrayBuffer> {
  const half = headDim / 2;
  const table = new Float32Array(rows * headDim);
  for (let i = 0; i < half; i += 1) {
    const frequency = Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / headDim)));
    for (let row = 0; row < rows; row += 1) {
      const angle = Math.fround((position + row) * frequency);
      table[2 * (row * half + i)] = Math.cos(angle);
      table[2 * (row * half + i) + 1] = Math.sin(angle);
    }
  }
  return table;
}
