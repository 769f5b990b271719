import { setFlagsFromString } from 'node:v8';

/** As the command does before it opens the backend: Node 20 has relaxed SIMD behind a flag. */
export function allowRelaxedSimd(): void {
  if (process.versions.node.startsWith('20.')) setFlagsFromString('--experimental-wasm-relaxed-simd');
}
