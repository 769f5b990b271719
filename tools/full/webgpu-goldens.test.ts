/** Whole models on WebGPU, SwiftShader where no other adapter is asked for, against every golden of the engine and of the conformance suite. */
import { spawnSync } from 'node:child_process';
import { afterAll, describe, expect, it } from 'vitest';
import { engineGoldens } from '../../packages/engine/src/testing/index.js';
import { workspaceRoot } from './packed-project.js';
import { webGpuOr } from './swiftshader.js';

const backend = await webGpuOr();

describe.skipIf(typeof backend === 'string')('goldens', () => {
  if (typeof backend === 'string') return;
  afterAll(() => backend.close());
  engineGoldens(backend);
});

it.skipIf(typeof backend === 'string')('passes the operations and models of the conformance suite, each of them', { timeout: 240_000 }, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['packages/cli/bin/weightspec.js', 'conform', 'ops', 'models', '--backend', 'webgpu'], { cwd: workspaceRoot, encoding: 'utf8', timeout: 230_000 });
  expect(stdout + stderr).toMatch(/backend webgpu.*: \d{3} passed, 0 failed, 0 skipped/);
  expect(status).toBe(0);
});
