/** Targets that do what the fuzzer has to notice, at an input that only some mutations make: a first byte above 127. */
import { mutateBytes } from '../mutate.js';
import type { Target } from '../target.js';

const seeds = () => [{ name: 'zeros', bytes: new Uint8Array(16) }];
const planted = (name: string, fault: () => void): Target => ({
  name,
  seeds,
  mutate: mutateBytes,
  async run(bytes) {
    if (bytes[0]! > 127) fault();
    return `first byte ${bytes[0]! >> 4}`;
  },
});

/** Kept so that nothing of it can be collected. */
const kept: Uint8Array[] = [];

export const targets: readonly Target[] = [
  planted('sound', () => undefined),
  planted('throws', () => {
    throw new Error('planted');
  }),
  planted('hangs', () => {
    for (;;);
  }),
  planted('takes-memory', () => {
    // Slowly enough for the watchdog to look in between.
    for (;;) {
      kept.push(new Uint8Array(2 ** 24).fill(1));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }),
  planted('dies', () => process.abort()),
];
