/**
 * The order of q and k rows. Meta's RoPE rotates the pairs (2i, 2i + 1) of a head, Hugging Face's the halves (i, i + headDim/2);
 * the converter to Hugging Face therefore moves the rows of each head. Source: transformers convert_llama_weights_to_hf.py permute().
 * wq has `heads` heads, wk has `kvHeads`; both have the same headDim, which alone decides where a row goes. Wrong for Qwen and Qwen2,
 * whose own weights are in the order of halves.
 */
export type RowOrder = 'meta' | 'hf';

/** Row of Meta's matrix that is row `hfRow` of Hugging Face's: h·hd + j·hd/2 + i → h·hd + 2i + j. */
export function metaRowOf(hfRow: number, headDim: number): number {
  const within = hfRow % headDim;
  const half = headDim / 2;
  return hfRow - within + 2 * (within % half) + Math.floor(within / half);
}

/** Row of Hugging Face's matrix that is row `metaRow` of Meta's. */
export function hfRowOf(metaRow: number, headDim: number): number {
  const within = metaRow % headDim;
  return metaRow - within + (within % 2) * (headDim / 2) + Math.floor(within / 2);
}

/**
 * The rows of a q or k matrix (or the elements of its bias) in the other order. `bytes`: whole heads of rows of `rowBytes` each, in
 * any element type whose rows are whole blocks. Throws RangeError when they are not whole heads or headDim is odd.
 */
export function permuteRopeRows(bytes: Uint8Array, rowBytes: number, headDim: number, to: RowOrder): Uint8Array {
  if (!Number.isSafeInteger(rowBytes) || rowBytes < 1 || headDim < 2 || headDim % 2 !== 0 || bytes.length % (rowBytes * headDim) !== 0) {
    throw new RangeError(`${bytes.length} bytes are not whole heads of ${headDim} rows of ${rowBytes} bytes`);
  }
  const sourceOf = to === 'hf' ? metaRowOf : hfRowOf;
  const out = new Uint8Array(bytes.length);
  for (let row = 0; row < bytes.length / rowBytes; row += 1) {
    const from = sourceOf(row, headDim) * rowBytes;
    out.set(bytes.subarray(from, from + rowBytes), row * rowBytes);
  }
  return out;
}
