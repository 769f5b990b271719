/** One kernel with its buffers, ready to be put into a command buffer again and again. */
import type { CompiledKernel, Gpu } from './device/gpu.js';
import { gridOf } from './plan.js';
import type { Kernel } from './wgsl/kernel.js';

/** Which rows a dispatch works on: all of the batch, or the last alone. */
export type Rows = 'all' | 'last';

export interface DispatchSpec {
  readonly kernel: Kernel;
  readonly constants: GPUBuffer;
  /** In the order of the kernel's bindings; asked again after buffers have grown. */
  readonly buffers: () => readonly GPUBuffer[];
  /** Workgroups for so many rows, the last of which attends to so many positions. None: there is nothing to do. */
  readonly groups: (rowCount: number, positions: number) => number;
}

export class Dispatch {
  #bindGroups: Partial<Record<Rows, GPUBindGroup>> = {};

  private constructor(
    private readonly gpu: Gpu,
    private readonly compiled: CompiledKernel,
    private readonly spec: DispatchSpec,
    private readonly batches: Readonly<Record<Rows, GPUBuffer>>,
  ) {}

  static async create(gpu: Gpu, spec: DispatchSpec, batches: Readonly<Record<Rows, GPUBuffer>>): Promise<Dispatch> {
    return new Dispatch(gpu, await gpu.compile(spec.kernel), spec, batches);
  }

  /** Buffers have been replaced. */
  rebind(): void {
    this.#bindGroups = {};
  }

  encode(pass: GPUComputePassEncoder, rows: Rows, rowCount: number, positions: number): void {
    const groups = this.spec.groups(rowCount, positions);
    if (groups === 0) return;
    pass.setPipeline(this.compiled.pipeline);
    pass.setBindGroup(0, (this.#bindGroups[rows] ??= this.#bind(rows)));
    pass.dispatchWorkgroups(...gridOf(groups));
  }

  #bind(rows: Rows): GPUBindGroup {
    const buffers = [this.batches[rows], this.spec.constants, ...this.spec.buffers()];
    return this.gpu.device.createBindGroup({ label: this.spec.kernel.name, layout: this.compiled.layout, entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })) });
  }
}
