/** Bytes of a file replaced by others, seen through a source, so that a repair is checked before a byte is written. */
import { assertRange, type ByteRange, type ByteSource } from '@weightspec/core';

export interface Edit {
  /** [start, end) of the original; empty to insert. */
  readonly byteRange: ByteRange;
  readonly bytes: Uint8Array;
}

/** A run of the edited file: of the original from `from`, or of an edit. */
interface Piece {
  readonly start: number;
  readonly length: number;
  readonly from: number | Uint8Array;
}

function piecesOf(size: number, edits: readonly Edit[]): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  let position = 0;
  const push = (length: number, from: number | Uint8Array): void => {
    if (length > 0) pieces.push({ start: end, length, from });
    end += length;
  };
  for (const { byteRange: [from, to], bytes } of edits.toSorted((a, b) => a.byteRange[0] - b.byteRange[0])) {
    if (from < position || to < from || to > size) throw new RangeError(`an edit of bytes [${from}, ${to}) overlaps another or leaves the file`);
    push(from - position, position);
    push(bytes.length, bytes);
    position = to;
  }
  push(size - position, position);
  return pieces;
}

/** `source` with `edits`, which must not overlap. Reads no more of it than is asked for. Closes nothing. */
export function editedSource(source: ByteSource, edits: readonly Edit[]): ByteSource {
  const pieces = piecesOf(source.size, edits);
  const size = pieces.reduce((sum, { length }) => sum + length, 0);
  return {
    name: source.name,
    size,
    async read(offset, length) {
      assertRange(source.name, size, offset, length);
      const out = new Uint8Array(length);
      for (const { start, length: pieceLength, from } of pieces) {
        const [begin, end] = [Math.max(offset, start), Math.min(offset + length, start + pieceLength)];
        if (begin >= end) continue;
        const bytes = typeof from === 'number' ? await source.read(from + begin - start, end - begin) : from.subarray(begin - start, end - start);
        out.set(bytes, begin - offset);
      }
      return out;
    },
  };
}
