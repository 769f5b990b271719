/**
 * Decoding a synthetic Llama of 1.1 billion f16 weights on a graphics card, beside how fast the card reads its own memory: every
 * token reads every weight once. On a CPU that plays the GPU a model of 15 million weights, without a share: it measures nothing but
 * that it runs.
 */
import { openBackend, type GpuEntry, type WebGpuBackend } from '@weightspec/backend-webgpu';
import { byteLength, dtype, elementCount, type ByteSource, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { loadModel } from '@weightspec/engine';
import { BackendError } from '@weightspec/kernels';
import type { BenchResult } from './bench.js';

interface Shape {
  readonly dim: number;
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocab: number;
}

/** TinyLlama 1.1B, and stories15M. */
const large: Shape = { dim: 2048, hidden: 5632, layers: 22, heads: 32, kvHeads: 4, vocab: 32000 };
const small: Shape = { dim: 288, hidden: 768, layers: 6, heads: 6, kvHeads: 6, vocab: 32000 };
const POSITIONS = 256;
/** Least share of the card's own reads. */
const REQUIRED_SHARE = 0.6;

export const heading = 'webgpu: bytes of weights read while decoding (f16, positions 1 to 64), and the share of what the card reads at best';

const noise = new Uint8Array(new Uint16Array(2 ** 20).map((_, i) => ((Math.imul(i + 1, 2654435761) >>> 16) & 0x83ff) | 0x2000).buffer);

/** F16 numbers of magnitude 2^-7 … 2^-6, the same megabytes again and again: nothing of the model is ever whole in memory. */
function noiseSource(name: string, size: number): ByteSource {
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const start = (offset + at) % noise.length;
      const run = noise.subarray(start, Math.min(noise.length, start + length - at));
      bytes.set(run, at);
      at += run.length;
    }
    return bytes;
  };
  return { name, size, read };
}

function syntheticLlama({ dim, hidden, layers, heads, kvHeads, vocab }: Shape): { readonly checkpoint: Checkpoint; readonly config: object; readonly bytesPerToken: number } {
  const kvWidth = (dim / heads) * kvHeads;
  const tensor = (name: string, ...shape: number[]): TensorInfo => {
    const length = byteLength(dtype('F16'), elementCount(shape));
    return { name, dtype: dtype('F16'), shape, location: { source: noiseSource(name, length), offset: 0, length } };
  };
  const layer = (i: number): TensorInfo[] => {
    const named = (name: string, ...shape: number[]): TensorInfo => tensor(`model.layers.${i}.${name}.weight`, ...shape);
    return [
      named('input_layernorm', dim), named('self_attn.q_proj', dim, dim), named('self_attn.k_proj', kvWidth, dim), named('self_attn.v_proj', kvWidth, dim), named('self_attn.o_proj', dim, dim),
      named('post_attention_layernorm', dim), named('mlp.gate_proj', hidden, dim), named('mlp.up_proj', hidden, dim), named('mlp.down_proj', dim, hidden),
    ];
  };
  const tensors = [tensor('model.embed_tokens.weight', vocab, dim), ...Array.from({ length: layers }, (_, i) => layer(i)).flat(), tensor('model.norm.weight', dim), tensor('lm_head.weight', vocab, dim)];
  const config = {
    architectures: ['LlamaForCausalLM'], model_type: 'llama', hidden_size: dim, intermediate_size: hidden, num_hidden_layers: layers, num_attention_heads: heads, num_key_value_heads: kvHeads, vocab_size: vocab,
    max_position_embeddings: POSITIONS, rms_norm_eps: 1e-5, rope_theta: 10000, tie_word_embeddings: false, hidden_act: 'silu',
  };
  // Of the embedding a token reads one row.
  const bytesPerToken = tensors.slice(1).reduce((sum, { location }) => sum + location.length, 0);
  return { checkpoint: { format: 'safetensors', variant: 'synthetic', metadata: {}, tensors }, config, bytesPerToken };
}

/** Seconds a token: the best of `rounds` runs over positions 1 to `tokens`. */
async function secondsPerToken(backend: WebGpuBackend, shape: Shape, tokens: number, rounds: number): Promise<number> {
  const { checkpoint, config } = syntheticLlama(shape);
  const model = await loadModel(checkpoint, { backend, beside: { config } });
  const { executable } = model;
  let best = Infinity;
  for (let round = 0; round <= rounds; round += 1) {
    await executable.run([1], 0);
    const start = performance.now();
    for (let position = 1; position <= tokens; position += 1) await executable.run([position], position);
    // The first round compiles.
    if (round > 0) best = Math.min(best, (performance.now() - start) / 1000 / tokens);
  }
  await model.dispose();
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
  const shape = emulated ? small : large;
  const seconds = await secondsPerToken(backend, shape, emulated ? 4 : 64, emulated ? 1 : 5);
  backend.close();
  const gigabytesPerSecond = syntheticLlama(shape).bytesPerToken / seconds / 1e9;
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
