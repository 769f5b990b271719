/** out[t, o] = Σ weight[o, i] · x[t, i] (+ bias[o]), four weight rows at a time for all tokens. */
import {
  FIRST_LOGITS_ROW, FORMAT_BF16, FORMAT_F16, FORMAT_F32, FORMAT_GROUPS_WMAX, FORMAT_Q4_0, FORMAT_Q4_1, FORMAT_Q5_0, FORMAT_Q5_1, FORMAT_Q8_0,
  PATH_DECODED, PATH_INT8_ROWS, ROWS, STEP_ARGUMENTS,
} from '../layout';
import { decodeElements } from './decode';
import { dotInt8Rows, dotQ4_0, dotQ4_1, dotQ5_0, dotQ5_1, dotQ8_0 } from './dot-blocks';
import { dotBF16, dotF16, dotF32, dotGroups } from './dot-floats';
import { paddedCodeBytes } from './round';
import { takePiece } from './step';

/** A matmul's arguments, as they lie in its step. */
@unmanaged
class Matmul {
  path: i32;
  format: i32;
  /** Rows of f32, or of what round.as makes of them; `xStride` bytes apart. */
  x: usize;
  xStride: usize;
  weight: usize;
  scales: usize;
  /** Elements between `weight` and the first row. */
  firstElement: i32;
  columns: i32;
  rows: i32;
  /** Place of the first row in `out`, whose rows are `outWidth` f32. */
  firstOut: i32;
  out: usize;
  outWidth: i32;
  /** 0: none. */
  bias: usize;
  groupSize: i32;
  rowsPerPiece: i32;
  givesLogits: i32;
}

/** Bytes of a row in formats whose rows are whole blocks. */
function rowBytes(format: i32, columns: i32): usize {
  const blocks = <usize>(columns >> 5);
  switch (format) {
    case FORMAT_F32: return <usize>columns << 2;
    case FORMAT_F16:
    case FORMAT_BF16: return <usize>columns << 1;
    case FORMAT_Q4_0: return blocks * 18;
    case FORMAT_Q4_1: return blocks * 20;
    case FORMAT_Q5_0: return blocks * 22;
    case FORMAT_Q5_1: return blocks * 24;
    case FORMAT_Q8_0: return blocks * 34;
    default: return <usize>columns;
  }
}

/** Rows r0 … r3 times one row of activations. */
function dotQuad(job: Matmul, r0: i32, r1: i32, r2: i32, r3: i32, x: usize, stride: usize): v128 {
  const columns = job.columns;
  const w0 = job.weight + <usize>r0 * stride, w1 = job.weight + <usize>r1 * stride, w2 = job.weight + <usize>r2 * stride, w3 = job.weight + <usize>r3 * stride;
  if (job.path == PATH_INT8_ROWS) {
    const scales = load4(job.scales, r0, r1, r2, r3);
    return f32x4.mul(dotInt8Rows(w0, w1, w2, w3, x, columns), f32x4.mul(scales, v128.load_splat<f32>(x + paddedCodeBytes(columns))));
  }
  switch (job.format) {
    case FORMAT_F32: return dotF32(w0, w1, w2, w3, x, columns);
    case FORMAT_F16: return dotF16(w0, w1, w2, w3, x, columns);
    case FORMAT_BF16: return dotBF16(w0, w1, w2, w3, x, columns);
    case FORMAT_Q4_0: return dotQ4_0(w0, w1, w2, w3, x, columns);
    case FORMAT_Q4_1: return dotQ4_1(w0, w1, w2, w3, x, columns);
    case FORMAT_Q5_0: return dotQ5_0(w0, w1, w2, w3, x, columns);
    case FORMAT_Q5_1: return dotQ5_1(w0, w1, w2, w3, x, columns);
    case FORMAT_Q8_0: return dotQ8_0(w0, w1, w2, w3, x, columns);
    default: {
      const groupsPerRow = columns / job.groupSize;
      const s = <usize>groupsPerRow << 2;
      const sums = dotGroups(w0, w1, w2, w3, job.scales + <usize>r0 * s, job.scales + <usize>r1 * s, job.scales + <usize>r2 * s, job.scales + <usize>r3 * s, x, columns, job.groupSize);
      return job.format == FORMAT_GROUPS_WMAX ? f32x4.div(sums, f32x4.splat(127)) : sums;
    }
  }
}

@inline
function load4(at: usize, i0: i32, i1: i32, i2: i32, i3: i32): v128 {
  let values = v128.load_zero<u32>(at + (<usize>i0 << 2));
  values = v128.load_lane<u32>(at + (<usize>i1 << 2), values, 1);
  values = v128.load_lane<u32>(at + (<usize>i2 << 2), values, 2);
  return v128.load_lane<u32>(at + (<usize>i3 << 2), values, 3);
}

/** Writes the results of rows r0 … r3 to row `t` of out; biases are added to the rounded sums. */
function storeQuad(job: Matmul, t: i32, r0: i32, r1: i32, r2: i32, r3: i32, sums: v128): void {
  if (job.bias != 0) sums = f32x4.add(sums, load4(job.bias + (<usize>job.firstOut << 2), r0, r1, r2, r3));
  const out = job.out + (<usize>(t * job.outWidth + job.firstOut) << 2);
  v128.store_lane<u32>(out + (<usize>r0 << 2), sums, 0);
  v128.store_lane<u32>(out + (<usize>r1 << 2), sums, 1);
  v128.store_lane<u32>(out + (<usize>r2 << 2), sums, 2);
  v128.store_lane<u32>(out + (<usize>r3 << 2), sums, 3);
}

/** Rows that do not lie in memory as a kernel could read them: decoded to f32 in `scratch` first. */
function multiplyDecoded(job: Matmul, r0: i32, r1: i32, r2: i32, r3: i32, firstToken: i32, endToken: i32, scratch: usize): void {
  const columns = job.columns;
  const w1 = scratch + (<usize>columns << 2), w2 = scratch + (<usize>columns << 3), w3 = w1 + (<usize>columns << 3);
  decodeElements(job.format, job.weight, job.scales, job.groupSize, job.firstElement + r0 * columns, columns, scratch);
  decodeElements(job.format, job.weight, job.scales, job.groupSize, job.firstElement + r1 * columns, columns, w1);
  decodeElements(job.format, job.weight, job.scales, job.groupSize, job.firstElement + r2 * columns, columns, w2);
  decodeElements(job.format, job.weight, job.scales, job.groupSize, job.firstElement + r3 * columns, columns, w3);
  for (let t = firstToken; t < endToken; t++) storeQuad(job, t, r0, r1, r2, r3, dotF32(scratch, w1, w2, w3, job.x + <usize>t * job.xStride, columns));
}

/**
 * Rows [firstRow, endRow) as four streams, each through a quarter of them: four neighbouring rows would lie in one page, where
 * processors fetch ahead for one stream only. Where the quarters do not come out even, a last row is computed twice.
 */
function multiplyPiece(job: Matmul, firstRow: i32, endRow: i32, firstToken: i32, endToken: i32, scratch: usize): void {
  const stride = rowBytes(job.format, job.columns);
  const quarter = (endRow - firstRow + 3) >> 2;
  for (let r0 = firstRow; r0 < firstRow + quarter; r0++) {
    const r1 = min<i32>(r0 + quarter, endRow - 1), r2 = min<i32>(r0 + 2 * quarter, endRow - 1), r3 = min<i32>(r0 + 3 * quarter, endRow - 1);
    if (job.path == PATH_DECODED) multiplyDecoded(job, r0, r1, r2, r3, firstToken, endToken, scratch);
    else for (let t = firstToken; t < endToken; t++) storeQuad(job, t, r0, r1, r2, r3, dotQuad(job, r0, r1, r2, r3, job.x + <usize>t * job.xStride, stride));
  }
}

/** `scratch`: four rows of f32. */
export function matmul(step: usize, scratch: usize): void {
  const job = changetype<Matmul>(step + STEP_ARGUMENTS);
  const firstToken = job.givesLogits ? load<i32>(FIRST_LOGITS_ROW) : 0;
  const endToken = load<i32>(ROWS);
  const pieceRows = job.rowsPerPiece;
  for (let row = takePiece(step) * pieceRows; row < job.rows; row = takePiece(step) * pieceRows) {
    multiplyPiece(job, row, min<i32>(row + pieceRows, job.rows), firstToken, endToken, scratch);
  }
}
