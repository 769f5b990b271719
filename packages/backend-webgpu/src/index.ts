/** The WebGPU backend: WGSL kernels in Node (package `webgpu`) and in browsers. */
import type { Backend, OpName } from '@weightspec/core';
import { Gpu, type GpuOptions } from './device/gpu.js';
import { gpuHere, type GpuEntry } from './device/gpu-entry.js';
import { compileProgram } from './executable.js';
import { storages } from './weights/layout.js';

export interface OpenOptions {
  /** Where to ask for an adapter. Default: `navigator.gpu`, in Node the package `webgpu`. */
  readonly gpu?: GpuEntry;
  /** Which of several GPUs. Default `high-performance`. */
  readonly powerPreference?: 'low-power' | 'high-performance';
  /** Make no buffer larger than this; matrices are cut accordingly. Default: what the adapter allows. */
  readonly maxBufferBytes?: number;
  /** Whether to use subgroup operations where the adapter has them. Default true. */
  readonly subgroups?: boolean;
  /** Invocations of a workgroup in kernels that reduce, a power of two from 4 to 256. Default 64; 4 on a CPU that plays the GPU. */
  readonly invocations?: number;
}

export interface WebGpuBackend extends Backend {
  /** The adapter's own description. */
  readonly adapter: string;
  /** Whether the adapter is a CPU that plays the GPU. */
  readonly emulated: boolean;
  /** Lets the device go, with everything compiled on it. */
  close(): void;
}

const ops: ReadonlySet<OpName> = new Set(['embed', 'rmsnorm', 'matmul', 'rope', 'attention', 'swiglu', 'add']);

/** Throws BackendError (BACKEND_UNAVAILABLE), saying what would bring WebGPU here; RangeError for options out of range. */
export async function openBackend(options: OpenOptions = {}): Promise<WebGpuBackend> {
  const gpu = await Gpu.open(options.gpu ?? (await gpuHere()), options satisfies GpuOptions);
  return {
    id: 'webgpu',
    adapter: gpu.info.description,
    emulated: gpu.info.emulated,
    supports: (op, storage) => ops.has(op) && (storage === undefined || storages.includes(storage)),
    compile: (program, weights) => compileProgram(gpu, program, weights),
    close: () => gpu.device.destroy(),
  };
}

export type { GpuEntry } from './device/gpu-entry.js';
