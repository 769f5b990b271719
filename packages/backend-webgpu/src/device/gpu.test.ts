/** Faults of a device, on Dawn's null backend: it has no adapter to find, and 512 MiB of memory. */
import { afterAll, describe, expect, it, vi } from 'vitest';
import { openBackend } from '../index.js';
import { dawn } from './gpu-entry.js';
import { Gpu } from './gpu.js';

async function nullGpu(maxBufferBytes?: number): Promise<Gpu | string> {
  try {
    return await Gpu.open(await dawn(['backend=null']), { maxBufferBytes });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(`skipped, faults of a device are not tried: ${reason}`);
    return reason;
  }
}
const gpu = await nullGpu();

it('says what would bring an adapter where there is none (BACKEND_UNAVAILABLE)', async () => {
  await expect(openBackend({ gpu: { requestAdapter: async () => null } })).rejects.toThrow(/BACKEND_UNAVAILABLE: WebGPU finds no graphics adapter.*libvulkan1.*VK_ICD_FILENAMES/);
});

it.each(['document', 'WorkerGlobalScope'])('speaks of the browser where there is one (BACKEND_UNAVAILABLE, %s)', async (global) => {
  vi.stubGlobal(global, {});
  const message = await openBackend({ gpu: { requestAdapter: async () => null } }).then(() => '', String);
  vi.unstubAllGlobals();
  expect(message).toMatch(/BACKEND_UNAVAILABLE: WebGPU finds no graphics adapter.*chrome:\/\/gpu/);
  expect(message).not.toMatch(/VK_ICD_FILENAMES|apt-get/);
});

it.each([0, 2, 48, 512])('refuses %d invocations a workgroup', async (invocations) => {
  await expect(openBackend({ gpu: { requestAdapter: async () => null }, invocations })).rejects.toThrow(RangeError);
});

describe.skipIf(typeof gpu === 'string')('a device', () => {
  const device = gpu as Gpu;
  afterAll(() => device.device.destroy());

  it('has the limits of its adapter, and may be given a lower one', async () => {
    expect(device.bufferLimit).toEqual({ name: 'maxStorageBufferBindingSize', bytes: device.device.limits.maxStorageBufferBindingSize });
    const lower = (await nullGpu(1000)) as Gpu;
    expect(lower.bufferLimit).toEqual({ name: 'maxBufferBytes', bytes: 992 });
    expect(lower.storage('a', 992).size).toBe(992);
    expect(() => lower.storage('the cache', 993)).toThrow('BACKEND_FAILED: the cache needs a buffer of 993 bytes; maxBufferBytes is 992 here');
    lower.device.destroy();
  });
  it('says that memory ran out, and for what (BACKEND_FAILED)', async () => {
    const buffers: GPUBuffer[] = [];
    const allocate = (): void => {
      for (let i = 0; i < 5; i += 1) buffers.push(device.storage('too much', 2 ** 27));
    };
    await expect(device.guarded('the weights', allocate)).rejects.toThrow(/^BACKEND_FAILED: the GPU has too little free memory for the weights: /);
    for (const buffer of buffers) buffer.destroy();
    await expect(device.guarded('less', () => device.storage('enough', 2 ** 27).size)).resolves.toBe(2 ** 27);
  });
  it('keeps the faults of two allocations at once apart', async () => {
    const invalid = device.guarded('one', () => device.device.createBuffer({ size: 16, usage: 0 }));
    const valid = device.guarded('the other', () => 'fine');
    await expect(invalid).rejects.toThrow(/^BACKEND_FAILED: the GPU refuses one: /);
    await expect(valid).resolves.toBe('fine');
  });
  it('passes on what an allocation throws itself', async () => {
    await expect(device.guarded('x', () => Promise.reject(new RangeError('mine')))).rejects.toThrow(RangeError);
  });
  it('says that it was lost (BACKEND_FAILED)', async () => {
    const lost = (await nullGpu()) as Gpu;
    lost.device.destroy();
    await lost.device.lost;
    await expect(lost.guarded('anything', () => 1)).rejects.toThrow(/^BACKEND_FAILED: the GPU device was lost \(destroyed/);
  });
});
