/**
 * Decoding a synthetic Llama of 1.1 billion f16 weights on a graphics card, beside how fast the card reads its own memory: every
 * token reads every weight once. On a CPU that plays the GPU a model of 15 million weights, without a share: it measures nothing but
 * that it runs.
 */
import { openBackend, type GpuEntry, type WebGpuBackend } from '@weightspec/backend-webgpu';
import { dtype } from '@weightspec/core';
import { BackendError } from '@weightspec/kernels';
import type { BenchResult } from './bench.js';
import { models } from './models.js';
import { syntheticModel, type Shape, type SyntheticModel } from './synthetic.js';

/** TinyLlama 1.1B, and stories15M. */
const large: Shape = { ...models.L.shape, positions: 256 };
const small: Shape = { ...models.S.shape, positions: 256 };
/** Least share of the card's own reads. */
const REQUIRED_SHARE = 0.6;

export const heading = 'webgpu: bytes of weights read while decoding (f16, positions 1 to 64), and the share of what the card reads at best';

/** Seconds a token of a greedy text: the best of `rounds` runs over positions 1 to `tokens`. */
async function secondsPerToken(backend: WebGpuBackend, { program, weights }: SyntheticModel, tokens: number, rounds: number): Promise<number> {
  const executable = await backend.compile(program, weights);
  let best = Infinity;
  for (let round = 0; round <= rounds; round += 1) {
    let first = 0;
    for await (const _ of executable.greedy!([1], 0, tokens + 1)) first ||= performance.now();
    // The first round compiles.
    if (round > 0) best = Math.min(best, (performance.now() - first) / 1000 / tokens);
  }
  await executable.dispose();
  return best;
}

const READ_BYTES = 2 ** 30;
const READ_WORKGROUPS = 4096;
/** Neighbours read neighbouring words; the sum keeps the reads from being left out. */
const readKernel = `
@group(0) @binding(0) var<storage, read> words: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  var sum = vec4<u32>();
  for (var i = id.x; i < arrayLength(&words); i += ${READ_WORKGROUPS * 256}u) { sum += words[i]; }
  sums[id.x] = sum.x + sum.y + sum.z + sum.w;
}`;

/** 10⁹ bytes a second that the card reads from its own memory: the best of several passes over a gibibyte, or as much as a buffer may hold. */
async function cardBandwidth(gpu: GpuEntry): Promise<number> {
  const adapter = (await gpu.requestAdapter({ powerPreference: 'high-performance' })) as GPUAdapter;
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
  const bytes = Math.min(READ_BYTES, maxBufferSize, maxStorageBufferBindingSize);
  const storage = (size: number): GPUBuffer => device.createBuffer({ size, usage: 0x80 });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module: device.createShaderModule({ code: readKernel }) } });
  const bindGroup = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: [storage(bytes), storage(READ_WORKGROUPS * 1024)].map((buffer, binding) => ({ binding, resource: { buffer } })) });
  const PASSES = 8;
  let best = Infinity;
  for (let round = 0; round < 6; round += 1) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    for (let i = 0; i < PASSES; i += 1) pass.dispatchWorkgroups(READ_WORKGROUPS);
    pass.end();
    const start = performance.now();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    if (round > 0) best = Math.min(best, (performance.now() - start) / 1000);
  }
  device.destroy();
  return (PASSES * bytes) / best / 1e9;
}

export async function bench(): Promise<BenchResult[]> {
  let backend: WebGpuBackend;
  try {
    backend = await openBackend();
  } catch (error) {
    if (!(error instanceof BackendError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
    console.log(`not measured: ${error.message}`);
    return [];
  }
  const { adapter, emulated } = backend;
  const model = syntheticModel(emulated ? small : large, dtype('F16'));
  const seconds = await secondsPerToken(backend, model, emulated ? 4 : 64, emulated ? 1 : 5);
  backend.close();
  const gigabytesPerSecond = model.bytesPerToken / seconds / 1e9;
  const name = `${emulated ? '15M' : '1.1B'} f16, ${(1 / seconds).toPrecision(3)} tokens/s, ${adapter}`;
  if (emulated) return [{ name: `${name} (a CPU plays the GPU: no card, no share)`, gigabytesPerSecond }];
  return [{ name, gigabytesPerSecond, baseline: { name: 'the card’s reads', gigabytesPerSecond: await cardBandwidth(await dawnInstance()) }, requiredRatio: REQUIRED_SHARE }];
}

/** Dawn's instance must outlive its devices. */
let instance: GpuEntry | undefined;

async function dawnInstance(): Promise<GpuEntry> {
  const { create } = await import('webgpu');
  return (instance ??= create([]));
}
