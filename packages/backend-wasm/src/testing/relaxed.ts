/** Both modules of kernels, for tests. */
import { setFlagsFromString } from 'node:v8';
import { hasRelaxedSimd } from '../module.js';

// Node 20 has relaxed SIMD behind a flag, which counts for modules that are made from here on.
if (!hasRelaxedSimd()) setFlagsFromString('--experimental-wasm-relaxed-simd');
if (!hasRelaxedSimd()) process.stderr.write('skipped: kernels with relaxed SIMD, which WebAssembly does not have here; Node 20 and later do\n');

/** What `relaxedSimd` can be here. */
export const relaxedChoices: readonly boolean[] = hasRelaxedSimd() ? [false, true] : [false];
