/** Arguments of steps, once it is known where everything lies. The order of each list is the one that the kernel in assembly/ documents. */
import type { Op } from '@weightspec/core';
import * as layout from './layout.js';
import { ropeKey, type Step } from './lowering.js';
import { byteLengthOf, type Matrix, type PlacedWeights } from './weights.js';

export interface Addresses {
  /** Of f32 rows, and their widths. */
  readonly buffers: ReadonlyMap<string, { readonly address: number; readonly width: number }>;
  /** Of rounded rows, by the rounding's key. */
  readonly roundings: ReadonlyMap<string, number>;
  /** Of cos tables, and the bytes from them to sin. */
  readonly ropeTables: ReadonlyMap<string, { readonly address: number; readonly sinBytes: number }>;
  /** What an embed op decodes for each token, by the op's index. */
  readonly embedTables: ReadonlyMap<number, number>;
  readonly weights: PlacedWeights;
  /** Index of the program's last op. */
  readonly lastOp: number;
  readonly threads: number;
}

/** Some rows of a matrix in memory. */
export interface RowsAt {
  /** Of the parts. */
  readonly addresses: readonly number[];
  readonly firstElement: number;
  readonly firstRow: number;
  readonly rowCount: number;
}

const word = new DataView(new ArrayBuffer(4));

/** The bits of an f32. */
function bitsOf(value: number): number {
  word.setFloat32(0, value);
  return word.getInt32(0);
}

/** `rows`: of a matrix that is not resident. */
export function argumentsOf(step: Step, addresses: Addresses, rows?: RowsAt): number[] {
  const { op, opIndex, kind, rounding } = step;
  const at = (buffer: string): number => addresses.buffers.get(buffer)!.address;
  const width = (buffer: string): number => addresses.buffers.get(buffer)!.width;
  if (kind === layout.KIND_ROUND_BLOCKS || kind === layout.KIND_ROUND_ROWS) {
    const { key, buffer, columns, strideBytes, order } = rounding!;
    return [at(buffer), columns, addresses.roundings.get(key)!, strideBytes, order === 'rows' ? 0 : order];
  }
  switch (op.op) {
    case 'embed': {
      const { format, granule, columns } = addresses.weights.matrices.get(op.weight)!;
      return [addresses.embedTables.get(opIndex)!, format, granule, columns, at(op.out)];
    }
    case 'rmsnorm':
      return [at(op.x), addresses.weights.vectors.get(op.weight)!, width(op.x), bitsOf(op.eps), at(op.out)];
    case 'matmul':
      return matmulArguments(step, op, addresses, rows);
    case 'rope': {
      const { address, sinBytes } = addresses.ropeTables.get(ropeKey(op.headDim, op.theta))!;
      return [at(op.x), op.heads, op.headDim, address, sinBytes, ...(op.style === 'interleaved' ? [2, 1] : [1, op.headDim / 2])];
    }
    case 'attention':
      if (kind === layout.KIND_STORE_KV) return [at(op.k), at(op.v), op.kvHeads, op.headDim, op.layer];
      return [at(op.q), at(op.out), op.heads, op.kvHeads, op.headDim, op.layer];
    case 'swiglu':
      return [at(op.gate), at(op.up), width(op.out), at(op.out)];
    default:
      return [at(op.a), at(op.b), width(op.out), at(op.out)];
  }
}

function matmulArguments({ rounding, opIndex }: Step, op: Extract<Op, { op: 'matmul' }>, { buffers, roundings, weights, lastOp, threads }: Addresses, streamed?: RowsAt): number[] {
  const matrix = weights.matrices.get(op.weight)!;
  const rows = streamed ?? { addresses: matrix.resident ?? [], firstElement: 0, firstRow: 0, rowCount: matrix.rows };
  const x = buffers.get(op.x)!;
  const out = buffers.get(op.out)!;
  const input = rounding ? [roundings.get(rounding.key)!, rounding.strideBytes] : [x.address, 4 * x.width];
  const bias = op.bias === undefined ? 0 : weights.vectors.get(op.bias)!;
  return [
    matrix.path, matrix.format, ...input, rows.addresses[0] ?? 0, rows.addresses[1] ?? 0, rows.firstElement, matrix.columns, rows.rowCount,
    rows.firstRow, out.address, out.width, bias, matrix.granule, rowsPerPiece(matrix, rows.rowCount, threads), opIndex === lastOp ? 1 : 0,
  ];
}

/** What a thread takes at a time: enough to be worth an atomic operation, little enough that no thread waits long for another's last piece. */
const PIECE_BYTES = 2 ** 16;
const PIECES_PER_THREAD = 4;

function rowsPerPiece(matrix: Matrix, rowCount: number, threads: number): number {
  const rows = Math.min(PIECE_BYTES / (byteLengthOf(matrix) / matrix.rows), rowCount / (threads * PIECES_PER_THREAD));
  return 4 * Math.max(1, Math.ceil(rows / 4));
}
