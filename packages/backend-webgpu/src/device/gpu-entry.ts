/** Finding WebGPU: the browser's own, or Dawn as the npm package `webgpu`. */
import { BackendError } from '@weightspec/kernels';

/** What `navigator.gpu` is, as far as it matters here. */
export interface GpuEntry {
  requestAdapter(options?: { readonly powerPreference?: 'low-power' | 'high-performance' }): Promise<unknown>;
}

/** Keeps bundlers from following the import: in a browser there is no such package. */
const DAWN_PACKAGE = 'webgpu';

/**
 * Dawn clears workgroup memory before each kernel unless told not to. Every kernel here writes what it reads, and SwiftShader's
 * compiler takes seconds for the clearing of a tile.
 */
const KERNELS_INITIALIZE = ['enable-dawn-features=disable_workgroup_init'];

interface DawnModule {
  create(options: readonly string[]): GpuEntry;
  readonly globals: Readonly<Record<string, unknown>>;
}

/** Throws BackendError (BACKEND_UNAVAILABLE) with what to install. `create` options as in the package: `backend=null`. */
export async function dawn(options: readonly string[] = []): Promise<GpuEntry> {
  let module: DawnModule;
  try {
    module = await import(/* @vite-ignore */ DAWN_PACKAGE);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BackendError('BACKEND_UNAVAILABLE', `the webgpu backend needs the package webgpu here; get it with: npm install webgpu@0.6.2 (${reason})`);
  }
  return module.create(options);
}

/** Whether this is a page or a worker of one. Node 21 and later have a navigator, too, but no document. */
export const isInBrowser = (): boolean => 'document' in globalThis || 'WorkerGlobalScope' in globalThis;

/** The platform's WebGPU. */
export async function gpuHere(): Promise<GpuEntry> {
  const { navigator } = globalThis as { readonly navigator?: { readonly gpu?: GpuEntry; readonly userAgent?: string } };
  if (navigator?.gpu) return navigator.gpu;
  if (isInBrowser()) {
    throw new BackendError('BACKEND_UNAVAILABLE', 'this browser has no WebGPU (navigator.gpu); it needs a secure context (https or localhost) and a browser that has WebGPU switched on');
  }
  return dawn(KERNELS_INITIALIZE);
}
