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

/** Rows row … row + 3, or the last one instead of those after it. */
function dotQuad(job: Matmul, row: i32, last: i32, x: usize, stride: usize): v128 {
  const columns = job.columns;
  const r1 = min<i32>(row + 1, last), r2 = min<i32>(row + 2, last), r3 = min<i32>(row + 3, last);
  const w0 = job.weight + <usize>row * stride, w1 = job.weight + <usize>r1 * stride, w2 = job.weight + <usize>r2 * stride, w3 = job.weight + <usize>r3 * stride;
  if (job.path == PATH_INT8_ROWS) {
    const scales = load4(job.scales, row, r1, r2, r3);
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
      const sums = dotGroups(w0, w1, w2, w3, job.scales + <usize>row * s, job.scales + <usize>r1 * s, job.scales + <usize>r2 * s, job.scales + <usize>r3 * s, x, columns, job.groupSize);
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

/** Writes the first `count` of four results to row `t` of out; the bias is added to the rounded sum. */
function storeQuad(job: Matmul, t: i32, row: i32, count: i32, sums: v128): void {
  const place = job.firstOut + row;
  const out = job.out + (<usize>(t * job.outWidth + place) << 2);
  if (count == 4) {
    if (job.bias != 0) sums = f32x4.add(sums, v128.load(job.bias + (<usize>place << 2)));
    v128.store(out, sums);
    return;
  }
  for (let i = 0; i < count; i++) {
    let sum = f32x4.extract_lane(sums, 0);
    if (job.bias != 0) sum += load<f32>(job.bias + (<usize>(place + i) << 2));
    store<f32>(out + (<usize>i << 2), sum);
    sums = v128.shuffle<i32>(sums, sums, 1, 2, 3, 0);
  }
}

/** Rows [row, row + count) for all tokens, decoded to f32 in `scratch` first. */
function multiplyDecoded(job: Matmul, row: i32, count: i32, firstToken: i32, endToken: i32, scratch: usize): void {
  const columns = job.columns;
  const bytes = <usize>columns << 2;
  decodeElements(job.format, job.weight, job.scales, job.groupSize, job.firstElement + row * columns, count * columns, scratch);
  const w1 = scratch + <usize>min<i32>(1, count - 1) * bytes, w2 = scratch + <usize>min<i32>(2, count - 1) * bytes, w3 = scratch + <usize>min<i32>(3, count - 1) * bytes;
  for (let t = firstToken; t < endToken; t++) storeQuad(job, t, row, count, dotF32(scratch, w1, w2, w3, job.x + <usize>t * job.xStride, columns));
}

function multiplyPiece(job: Matmul, firstRow: i32, endRow: i32, firstToken: i32, endToken: i32, scratch: usize): void {
  const stride = rowBytes(job.format, job.columns);
  for (let row = firstRow; row < endRow; row += 4) {
    const count = min<i32>(4, endRow - row);
    if (job.path == PATH_DECODED) multiplyDecoded(job, row, count, firstToken, endToken, scratch);
    else for (let t = firstToken; t < endToken; t++) storeQuad(job, t, row, count, dotQuad(job, row, job.rows - 1, job.x + <usize>t * job.xStride, stride));
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
