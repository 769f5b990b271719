import { type BlockCodec, byteLength, type DType, dtype, type Rounding } from '@weightspec/core';
import type { CodecCode } from './codes.js';

/** A u16 of the encoded block that is all ones under `exponentMask` when a finite input was too large to be stored. */
export interface OverflowCheck {
  readonly code: CodecCode;
  readonly byteOffset: number;
  readonly exponentMask: number;
}

export interface Codec extends BlockCodec {
  /** What `quantizeChecked` looks at in every block. */
  readonly overflowChecks: readonly OverflowCheck[];
}

/** src and dst hold the same number of whole blocks. */
export type Encode = (src: Float32Array, dst: Uint8Array) => void;

/** What a codec's folder supplies; `defineCodec` adds the checks of lengths. */
export interface CodecParts {
  /** As in core's table, e.g. `Q4_0`. */
  readonly dtype: string;
  readonly overflowChecks: readonly OverflowCheck[];
  readonly encode: Readonly<Record<Rounding, Encode>>;
  readonly decode: (src: Uint8Array, dst: Float32Array) => void;
  /** Fills `bound`, one number an element; Infinity where the codec promises nothing. */
  readonly errorBound: (block: Float32Array, bound: Float64Array) => void;
}

export function defineCodec(parts: CodecParts): Codec {
  const type = dtype(parts.dtype);
  return {
    dtype: type,
    overflowChecks: parts.overflowChecks,
    quantize(src, { rounding = 'ggml', dst } = {}) {
      const encoded = dst ?? new Uint8Array(byteLength(type, src.length));
      assertLength(type, 'destination', encoded.length, byteLength(type, src.length));
      parts.encode[rounding](src, encoded);
      return encoded;
    },
    dequantize(src, dst) {
      if (src.length % type.bytesPerBlock !== 0) throw new RangeError(`${src.length} bytes are not whole ${type.name} blocks of ${type.bytesPerBlock}`);
      const count = (src.length / type.bytesPerBlock) * type.blockSize;
      const values = dst ?? new Float32Array(count);
      assertLength(type, 'destination', values.length, count);
      parts.decode(src, values);
      return values;
    },
    errorBound(block) {
      assertLength(type, 'block', block.length, type.blockSize);
      const bound = new Float64Array(type.blockSize);
      parts.errorBound(block, bound);
      return bound;
    },
  };
}

function assertLength(type: DType, what: string, length: number, expected: number): void {
  if (length !== expected) throw new RangeError(`a ${type.name} ${what} of length ${length}, where ${expected} is needed`);
}
