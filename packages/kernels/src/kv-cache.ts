/** Positions per block: small enough that a short chat in a long context costs little, large enough that blocks are few. */
export const KV_BLOCK_POSITIONS = 256;

/**
 * Keys and values of one layer, by position. Grows a block at a time, never copies, and never beyond `maxPositions`:
 * a context of 128k positions costs memory only as far as it is used.
 */
export class KvCache {
  /** Each block: [blockPositions, width] f32. */
  readonly keys: Float32Array[] = [];
  readonly values: Float32Array[] = [];
  readonly blockPositions: number;

  constructor(
    /** f32 elements of a key, and of a value. */
    readonly width: number,
    maxPositions: number,
  ) {
    this.blockPositions = Math.min(KV_BLOCK_POSITIONS, maxPositions);
  }

  /** Stores row `row` of k and v at `position`, over whatever was there. */
  store(position: number, k: Float32Array, v: Float32Array, row: number): void {
    const { width, blockPositions } = this;
    const block = Math.floor(position / blockPositions);
    while (this.keys.length <= block) {
      this.keys.push(new Float32Array(blockPositions * width));
      this.values.push(new Float32Array(blockPositions * width));
    }
    const at = (position % blockPositions) * width;
    const keys = this.keys[block]!;
    const values = this.values[block]!;
    for (let i = 0; i < width; i += 1) {
      keys[at + i] = k[row * width + i]!;
      values[at + i] = v[row * width + i]!;
    }
  }
}
