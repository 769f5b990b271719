/** Whole models on WebGPU, SwiftShader where no other adapter is asked for, against every golden of the engine. */
import { afterAll, describe } from 'vitest';
import { engineGoldens } from '../../packages/engine/src/testing/index.js';
import { webGpuOr } from './swiftshader.js';

const backend = await webGpuOr();

describe.skipIf(typeof backend === 'string')('goldens', () => {
  if (typeof backend === 'string') return;
  afterAll(() => backend.close());
  engineGoldens(backend);
});
