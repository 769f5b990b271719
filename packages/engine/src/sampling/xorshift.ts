/**
 * The xorshift* generator of llama2.c. Source: run.c@350e04fe random_u32() and random_f32(); G. Marsaglia's xorshift with
 * the shifts 12, 25, 27 and S. Vigna's multiplier. 64 bits of state.
 */
const MULTIPLIER = 0x2545f4914f6cdd1dn;

export class XorShiftStar {
  #state: bigint;

  /** `seed`: an integer, taken modulo 2^64. Throws RangeError for 0, from which xorshift never gets away. */
  constructor(seed: number | bigint) {
    this.#state = BigInt.asUintN(64, BigInt(seed));
    if (this.#state === 0n) throw new RangeError('the seed of a xorshift generator must not be 0');
  }

  /** The next integer in [0, 2^32). */
  nextU32(): number {
    let state = this.#state;
    state ^= state >> 12n;
    state ^= BigInt.asUintN(64, state << 25n);
    state ^= state >> 27n;
    this.#state = state;
    return Number(BigInt.asUintN(64, state * MULTIPLIER) >> 32n);
  }

  /** The next f32 in [0, 1), a multiple of 2^−24. */
  nextF32(): number {
    return Math.floor(this.nextU32() / 256) / 16777216;
  }
}
