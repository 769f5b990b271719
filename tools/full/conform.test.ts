// The conformance suite through the built command, on every backend that opens here; the others are named as skipped. And on WebGPU,
// a fault in each op, which a trace has to name (the other backends: packages/cli, golden.test.ts).
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConformanceReport } from '@weightspec/conformance';
import { codecOf } from '@weightspec/codecs';
import { readTensor } from '@weightspec/core';
import { compareTrace, describeDeparture, loadModel } from '@weightspec/engine';
import { llama2c } from '@weightspec/llama2c';
import { memorySource } from '@weightspec/io';
import { safetensors } from '@weightspec/safetensors';
import { opFaults, withOpFault } from '../../packages/engine/src/testing/op-faults.js';
import { workspaceRoot } from './packed-project.js';
import { webGpuOr } from './swiftshader.js';

const conform = (...argv: string[]) => spawnSync(process.execPath, [join(workspaceRoot, 'packages/cli/bin/weightspec.js'), 'conform', ...argv, '--json'], { encoding: 'utf8', maxBuffer: 2 ** 26 });
const failuresOf = ({ results }: ConformanceReport): string[] => results.filter(({ status }) => status === 'failed').map(({ id, code, message }) => `${id} ${code}: ${message}`);

describe('weightspec conform', () => {
  it('passes every case of every suite', { timeout: 240_000 }, () => {
    const { status, stdout } = conform('--backend', 'reference');
    const report = JSON.parse(stdout) as ConformanceReport;
    expect(failuresOf(report)).toEqual([]);
    expect({ status, skipped: report.summary.skipped, all: report.summary.passed === report.selection.casesInAll }).toEqual({ status: 0, skipped: 0, all: true });
  });
  it.for(['native', 'wasm', 'webgpu'])('passes ops and models on the %s backend, where it opens', { timeout: 240_000 }, (backend, context) => {
    const { status, stdout, stderr } = conform('ops', 'models', '--backend', backend);
    const missing = status === 2 && stderr.includes('BACKEND_UNAVAILABLE');
    if (missing) console.log(`skipped: the ${backend} backend: ${stderr.trim()}`);
    context.skip(missing, 'the backend does not open here');
    const report = JSON.parse(stdout) as ConformanceReport;
    for (const { suite, reason, count } of report.skips) console.log(`${backend}: skipped ${count} cases of ${suite}: ${reason}`);
    expect(failuresOf(report)).toEqual([]);
    expect(report.summary.passed).toBeGreaterThan(100);
    expect(status).toBe(0);
  });
});

const webGpu = await webGpuOr();

describe.skipIf(typeof webGpu === 'string')('a trace on WebGPU', () => {
  if (typeof webGpu === 'string') return;
  afterAll(() => webGpu.close());
  const golden = (name: string) => memorySource(readFileSync(join(workspaceRoot, 'fixtures/golden/llama-tiny', name)), name);
  const activations = new Map<string, Float32Array>();
  beforeAll(async () => {
    for (const tensor of (await safetensors.read(golden('plain.trace.safetensors'))).checkpoint!.tensors) activations.set(tensor.name, codecOf(tensor.dtype).dequantize(await readTensor(tensor)));
  });
  const expected = JSON.parse(readFileSync(join(workspaceRoot, 'fixtures/golden/llama-tiny/expected.json'), 'utf8')) as { readonly prompts: readonly (readonly number[])[]; readonly goldens: Readonly<Record<string, { readonly trace?: { readonly prompt: number } }>> };
  const tokens = expected.prompts[expected.goldens.plain!.trace!.prompt]!;

  it.each([{ op: 'nothing', fault: undefined }, ...opFaults.map((fault) => ({ op: fault.op, fault }))])('names $op when it alone is wrong', async ({ fault }) => {
    const { checkpoint } = await llama2c.read(golden('v0.bin'));
    const model = await loadModel(checkpoint!, { backend: fault ? withOpFault(webGpu, fault) : webGpu });
    const { departure } = await compareTrace(model, tokens, activations, { ropeOrder: 'meta' });
    expect(departure ? describeDeparture(departure) : 'all agree').toMatch(fault?.named ?? /^all agree$/);
    await model.dispose();
  });
});
