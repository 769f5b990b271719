/**
 * One GPU device: its limits, its compiled kernels, its memory, and its faults as coded errors.
 */
import { BackendError } from '@weightspec/kernels';
import type { Abilities, Kernel } from '../wgsl/kernel.js';
import { isInBrowser, type GpuEntry } from './gpu-entry.js';

/** Numeric values of GPUBufferUsage and GPUMapMode, which Node has no globals for. WebGPU, 5.1 and 5.2. */
export const usage = { mapRead: 0x1, copySource: 0x4, copyTarget: 0x8, uniform: 0x40, storage: 0x80 } as const;
const MAP_READ = 0x1;

export interface GpuOptions {
  readonly powerPreference?: 'low-power' | 'high-performance';
  /** Make no buffer larger than this, whatever the adapter allows. */
  readonly maxBufferBytes?: number;
  /** Whether to use subgroups where the device has them. Default true. */
  readonly subgroups?: boolean;
  /** Invocations of a workgroup in kernels that reduce. Default 64; 4 on a CPU that plays the GPU. */
  readonly invocations?: number;
}

/** SwiftShader runs invocations that meet at barriers as coroutines of four: a token of a 260K model takes 17 ms of CPU so, 89 ms with 64. */
const EMULATED_INVOCATIONS = 4;
const INVOCATIONS = 64;

/** What one buffer may hold, and which limit says so. */
export interface BufferLimit {
  readonly bytes: number;
  readonly name: string;
}

export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

const NO_ADAPTER = 'WebGPU finds no graphics adapter. ';
const ADAPTERS_IN_NODE =
  'It needs a driver for Vulkan (Linux: libvulkan1 and an ICD such as mesa-vulkan-drivers or NVIDIA’s), Metal or D3D12. Without a GPU, Chromium’s SwiftShader emulates one: apt-get install chromium libvulkan1, then set VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json';
const ADAPTERS_IN_BROWSERS =
  'In Chrome and Edge, chrome://gpu says why (hardware acceleration switched off in the settings, or a driver on the block list); chrome://flags/#enable-unsafe-webgpu switches WebGPU on where it is not yet, as on some Linux machines. In Firefox, about:support says it';

/** Dawn's instances must outlive their devices, which do not hold them: collected as garbage, they take the process with them. */
const entries = new Set<GpuEntry>();

export class Gpu {
  readonly #kernels = new Map<string, Promise<CompiledKernel>>();
  #guarding: Promise<unknown> = Promise.resolve();
  /** Why the device is gone, once it is. */
  #lost?: string;
  /** What the device complained about outside any call of ours. */
  #complaint?: string;

  private constructor(
    readonly device: GPUDevice,
    readonly info: { readonly description: string; readonly emulated: boolean },
    readonly abilities: Abilities,
    readonly bufferLimit: BufferLimit,
  ) {
    void device.lost.then(({ reason, message }) => {
      this.#lost = `the GPU device was lost (${reason}${message ? `: ${message}` : ''})`;
    });
    device.addEventListener('uncapturederror', ({ error }) => {
      this.#complaint ??= error.message;
    });
  }

  /** Throws BackendError (BACKEND_UNAVAILABLE) when there is no adapter, or it gives no device; RangeError for invocations that no kernel can have. */
  static async open(entry: GpuEntry, options: GpuOptions = {}): Promise<Gpu> {
    if (options.invocations !== undefined && ![4, 8, 16, 32, 64, 128, 256].includes(options.invocations)) throw new RangeError(`invocations are a power of two from 4 to 256, not ${options.invocations}`);
    const gpu = entry as GPU;
    entries.add(entry);
    const adapter = await gpu.requestAdapter({ powerPreference: options.powerPreference ?? 'high-performance' });
    if (!adapter) throw new BackendError('BACKEND_UNAVAILABLE', NO_ADAPTER + (isInBrowser() ? ADAPTERS_IN_BROWSERS : ADAPTERS_IN_NODE));
    const subgroups = options.subgroups !== false && adapter.features.has('subgroups') && gpu.wgslLanguageFeatures.has('subgroup_id');
    const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
    let device: GPUDevice;
    try {
      device = await adapter.requestDevice({
        label: 'weightspec',
        requiredFeatures: subgroups ? ['subgroups'] : [],
        requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
      });
    } catch (error) {
      throw new BackendError('BACKEND_UNAVAILABLE', `the adapter ${adapter.info.description || adapter.info.device} gives no device: ${messageOf(error)}`);
    }
    const { description, vendor, architecture, device: model } = adapter.info;
    const emulated = /swiftshader|llvmpipe|basic render/i.test(`${description} ${architecture} ${model}`);
    return new Gpu(device, { description: description || [vendor, architecture, model].filter(Boolean).join(' ') || 'an unnamed adapter', emulated }, { subgroups, invocations: options.invocations ?? (emulated ? EMULATED_INVOCATIONS : INVOCATIONS) }, bufferLimitOf(device.limits, options.maxBufferBytes));
  }

  /** Compiles a kernel, or finds it compiled. Throws BackendError (BACKEND_FAILED) with the compiler's messages. */
  compile(kernel: Kernel): Promise<CompiledKernel> {
    const key = kernel.code;
    const compiled = this.#kernels.get(key) ?? this.#compile(kernel);
    this.#kernels.set(key, compiled);
    return compiled;
  }

  async #compile({ name, code, access }: Kernel): Promise<CompiledKernel> {
    const { device } = this;
    const layout = device.createBindGroupLayout({
      entries: [
        ...[0, 1].map((binding): GPUBindGroupLayoutEntry => ({ binding, visibility: 4, buffer: { type: 'uniform' } })),
        ...access.map((kind, i): GPUBindGroupLayoutEntry => ({ binding: i + 2, visibility: 4, buffer: { type: kind === 'read' ? 'read-only-storage' : 'storage' } })),
      ],
    });
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label: name, code });
    // What is wrong comes with the messages below.
    void device.popErrorScope().catch(() => undefined);
    try {
      const pipeline = await device.createComputePipelineAsync({ label: name, layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }), compute: { module, entryPoint: 'main' } });
      return { pipeline, layout };
    } catch (error) {
      const { messages } = await module.getCompilationInfo();
      const details = messages.map(({ type, lineNum, linePos, message }) => `${type} at ${lineNum}:${linePos}: ${message}`).join('\n');
      throw new BackendError('BACKEND_FAILED', this.#lost ?? `kernel ${name} does not compile: ${messageOf(error)}\n${details}`);
    }
  }

  /** A buffer of zeros. Throws BackendError (BACKEND_FAILED) naming the limit when it cannot be that large. */
  storage(label: string, byteLength: number): GPUBuffer {
    const { bytes, name } = this.bufferLimit;
    if (byteLength > bytes) throw new BackendError('BACKEND_FAILED', `${label} needs a buffer of ${byteLength} bytes; ${name} is ${bytes} here`);
    return this.device.createBuffer({ label, size: Math.max(16, Math.ceil(byteLength / 16) * 16), usage: usage.storage | usage.copySource | usage.copyTarget });
  }

  /** A buffer that the CPU can read from. */
  staging(byteLength: number): GPUBuffer {
    return this.device.createBuffer({ label: 'staging', size: byteLength, usage: usage.mapRead | usage.copyTarget });
  }

  /** Runs `allocate` and throws BackendError (BACKEND_FAILED) when the device ran out of memory in it, or found fault with it. */
  async guarded<T>(what: string, allocate: () => T | Promise<T>): Promise<T> {
    // Error scopes are one stack of the device: those of two calls at once would be taken for each other's.
    const turn = this.#guarding.then(() => this.#guardedAlone(what, allocate));
    this.#guarding = turn.catch(() => undefined);
    return turn;
  }

  async #guardedAlone<T>(what: string, allocate: () => T | Promise<T>): Promise<T> {
    this.assertAlive();
    const { device } = this;
    device.pushErrorScope('validation');
    device.pushErrorScope('out-of-memory');
    let result: T | undefined;
    let thrown: unknown;
    try {
      result = await allocate();
    } catch (error) {
      thrown = error;
    }
    const [exhausted, invalid] = await Promise.all([device.popErrorScope(), device.popErrorScope()]).catch((error: unknown) => [undefined, { message: this.#lost ?? messageOf(error) }]);
    if (exhausted) throw new BackendError('BACKEND_FAILED', `the GPU has too little free memory for ${what}: ${exhausted.message}`);
    if (thrown !== undefined) throw thrown;
    if (invalid) throw new BackendError('BACKEND_FAILED', `the GPU refuses ${what}: ${invalid.message}`);
    this.assertAlive();
    return result as T;
  }

  /** Waits for the queue, so that staging memory is given back. */
  async settled(): Promise<void> {
    this.device.queue.submit([]);
    await this.device.queue.onSubmittedWorkDone();
    this.assertAlive();
  }

  /** The first bytes of `staging` once the work submitted so far is done. */
  async read(staging: GPUBuffer, byteLength: number): Promise<ArrayBuffer> {
    try {
      await staging.mapAsync(MAP_READ, 0, byteLength);
    } catch (error) {
      // The reason of a loss arrives a turn later.
      await Promise.race([this.device.lost, new Promise((resolve) => { setTimeout(resolve, 100); })]);
      throw new BackendError('BACKEND_FAILED', this.#lost ?? `reading from the GPU failed: ${messageOf(error)}`);
    }
    const copy = staging.getMappedRange(0, byteLength).slice(0);
    staging.unmap();
    this.assertAlive();
    return copy;
  }

  /** Throws BackendError (BACKEND_FAILED) when the device is lost, or has complained. */
  assertAlive(): void {
    if (this.#lost !== undefined) throw new BackendError('BACKEND_FAILED', this.#lost);
    if (this.#complaint !== undefined) throw new BackendError('BACKEND_FAILED', `the GPU reported an error: ${this.#complaint}`);
  }
}

function bufferLimitOf({ maxBufferSize, maxStorageBufferBindingSize }: GPUSupportedLimits, own?: number): BufferLimit {
  const limits: readonly BufferLimit[] = [
    { bytes: maxStorageBufferBindingSize, name: 'maxStorageBufferBindingSize' },
    { bytes: maxBufferSize, name: 'maxBufferSize' },
    ...(own === undefined ? [] : [{ bytes: own, name: 'maxBufferBytes' }]),
  ];
  const least = limits.reduce((a, b) => (b.bytes < a.bytes ? b : a));
  // Buffers are whole words of 16 bytes.
  return { ...least, bytes: least.bytes - (least.bytes % 16) };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
