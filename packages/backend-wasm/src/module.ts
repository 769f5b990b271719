/** The compiled kernels: two modules of the same sources, one of which needs relaxed SIMD. */
import { BackendError } from '@weightspec/kernels';
import { kernels, relaxedKernels } from '../generated/kernels.js';

/** (module (func (result v128) (i8x16.splat (i32.const 0)))) */
const SIMD_PROBE = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11);

/**
 * (module (func (param v128 v128) (result v128)
 *   (f32x4.relaxed_madd (i16x8.relaxed_dot_i8x16_i7x16_s (local.get 0) (local.get 1)) (local.get 0) (local.get 1))))
 */
const RELAXED_PROBE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 123, 123, 1, 123, 3, 2, 1, 0,
  10, 18, 1, 16, 0, 32, 0, 32, 1, 253, 146, 2, 32, 0, 32, 1, 253, 133, 2, 11,
);

/** Whether WebAssembly here takes the instructions of relaxed SIMD that the kernels use. */
export function hasRelaxedSimd(): boolean {
  return typeof WebAssembly !== 'undefined' && WebAssembly.validate(RELAXED_PROBE);
}

const compiled = new Map<boolean, Promise<WebAssembly.Module>>();

/** Throws BackendError (BACKEND_UNAVAILABLE), naming what WebAssembly lacks here. */
export async function compileKernels(relaxedSimd: boolean): Promise<WebAssembly.Module> {
  if (typeof WebAssembly === 'undefined') throw new BackendError('BACKEND_UNAVAILABLE', 'there is no WebAssembly here');
  if (!WebAssembly.validate(SIMD_PROBE)) throw new BackendError('BACKEND_UNAVAILABLE', 'WebAssembly has no SIMD instructions here');
  const bytes = Uint8Array.from(atob(relaxedSimd ? relaxedKernels : kernels), (char) => char.charCodeAt(0));
  if (!WebAssembly.validate(bytes)) throw new BackendError('BACKEND_UNAVAILABLE', 'WebAssembly has no shared memory here');
  const module = compiled.get(relaxedSimd) ?? WebAssembly.compile(bytes);
  compiled.set(relaxedSimd, module);
  return module;
}
