/**
 * What a token costs whatever the card: dispatches, command buffers and bytes read back, counted on Dawn's null backend, which computes
 * nothing. They depend on layers, vocabulary and position, not on how wide a layer is.
 */
import { afterAll, describe, expect, it, vi } from 'vitest';
import { dtype, type Executable, type WeightHandle } from '@weightspec/core';
import { decoderProgram, type DecoderConfig } from '@weightspec/models';
import { dawn } from './device/gpu-entry.js';
import { Gpu } from './device/gpu.js';
import { compileProgram } from './executable.js';

async function nullGpu(): Promise<Gpu | string> {
  try {
    return await Gpu.open(await dawn(['backend=null']));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(`skipped, nothing is counted: ${reason}`);
    return reason;
  }
}
const opened = await nullGpu();

/** stories260K, and stories110M with narrow layers. */
const small: DecoderConfig = {
  architecture: 'llama', dim: 64, hiddenDim: 172, layers: 5, heads: 8, kvHeads: 4, headDim: 8, vocabSize: 512, maxSeqLen: 512, normEps: 1e-5, ropeTheta: 10000, ropeStyle: 'interleaved', tiedEmbeddings: true,
};
const large: DecoderConfig = { ...small, layers: 12, vocabSize: 32000, maxSeqLen: 1024 };

function zeros(name: string, shape: readonly number[]): WeightHandle {
  const length = 4 * shape.reduce((a, b) => a * b, 1);
  const source = { name, size: length, read: async (_: number, count: number) => new Uint8Array(count) };
  return { name, shape, storage: 'F32', parts: { values: { name, dtype: dtype('F32'), shape, location: { source, offset: 0, length } } } };
}

describe.skipIf(typeof opened === 'string')('a token', () => {
  const gpu = opened as Gpu;
  afterAll(() => gpu.device.destroy());

  const withModel = async (config: DecoderConfig, body: (executable: Executable) => Promise<void>): Promise<void> => {
    const program = decoderProgram(config);
    const executable = await compileProgram(gpu, program, new Map(program.weights.map(({ name, shape }) => [name, zeros(name, shape)])));
    await body(executable);
    await executable.dispose();
  };

  /** Counts while `work` runs. */
  async function counted(work: () => Promise<unknown>): Promise<{ dispatches: number; commandBuffers: number; bytesRead: number }> {
    const counts = { dispatches: 0, commandBuffers: 0, bytesRead: 0 };
    const create = gpu.device.createCommandEncoder.bind(gpu.device);
    const submit = gpu.device.queue.submit.bind(gpu.device.queue);
    const read = gpu.read.bind(gpu);
    vi.spyOn(gpu.device, 'createCommandEncoder').mockImplementation((descriptor) => {
      const encoder = create(descriptor);
      const begin = encoder.beginComputePass.bind(encoder);
      encoder.beginComputePass = (options) => {
        const pass = begin(options);
        const dispatch = pass.dispatchWorkgroups.bind(pass);
        pass.dispatchWorkgroups = (...grid) => {
          counts.dispatches += 1;
          return dispatch(...grid);
        };
        return pass;
      };
      return encoder;
    });
    vi.spyOn(gpu.device.queue, 'submit').mockImplementation((buffers) => {
      counts.commandBuffers += [...buffers].length;
      return submit(buffers);
    });
    vi.spyOn(gpu, 'read').mockImplementation((staging, byteLength) => {
      counts.bytesRead += byteLength;
      return read(staging, byteLength);
    });
    try {
      await work();
    } finally {
      vi.restoreAllMocks();
    }
    return counts;
  }

  /** One token at `position` as a sampler and as a greedy text wants it, and with a trace. */
  async function costs(executable: Executable, position: number) {
    return {
      run: await counted(() => executable.run([1], position)),
      greedy: await counted(async () => {
        for await (const _ of executable.greedy!([1], position, 1)) break;
      }),
      traced: (await counted(() => executable.run([1], position, { trace: () => undefined }))).dispatches,
    };
  }

  it('of 5 layers and 512 words takes 32 dispatches and one command buffer; op by op it would be 83', () => withModel(small, async (executable) => {
    await executable.run([1], 0);
    expect(await costs(executable, 1)).toEqual({
      run: { dispatches: 32, commandBuffers: 1, bytesRead: 4 * 512 },
      greedy: { dispatches: 33, commandBuffers: 1, bytesRead: 4 },
      traced: 83,
    });
  }));
  it('of 12 layers and 32000 words takes 74 dispatches and one command buffer; op by op it would be 195', () => withModel(large, async (executable) => {
    await executable.run([1], 0);
    expect(await costs(executable, 1)).toEqual({
      run: { dispatches: 74, commandBuffers: 1, bytesRead: 4 * 32000 },
      greedy: { dispatches: 76, commandBuffers: 1, bytesRead: 4 },
      traced: 195,
    });
  }));
  it('takes one more a layer from position 256 on, where attention is cut into ranges', () => withModel(large, async (executable) => {
    await executable.run(Array.from({ length: 300 }, () => 1), 0);
    expect((await counted(() => executable.run([1], 255))).dispatches).toBe(74);
    expect((await counted(() => executable.run([1], 256))).dispatches).toBe(74 + 12);
  }));
  it('has one command buffer, and 4 bytes read, for each of a greedy text, and one more in advance when that ends early', () => withModel(small, async (executable) => {
    await executable.run([1], 0);
    const all = await counted(async () => {
      let count = 0;
      for await (const _ of executable.greedy!([1], 1, 10)) count += 1;
      expect(count).toBe(10);
    });
    expect(all).toEqual({ dispatches: 330, commandBuffers: 10, bytesRead: 40 });
    const cut = await counted(async () => {
      let count = 0;
      for await (const _ of executable.greedy!([1], 1, 10)) if (++count === 3) break;
    });
    expect(cut).toEqual({ dispatches: 132, commandBuffers: 4, bytesRead: 16 });
  }));
  it('shares one command buffer with the others of a prompt, whose last row alone is classified', () => withModel(small, async (executable) => {
    await executable.run(Array.from({ length: 20 }, () => 1), 0);
    const { commandBuffers, bytesRead, dispatches } = await counted(() => executable.run(Array.from({ length: 20 }, () => 1), 0));
    expect({ commandBuffers, bytesRead }).toEqual({ commandBuffers: 1, bytesRead: 4 * 512 });
    // Per layer: norm, q, k, v, rotation, attention, o + addition, norm, gate, up, swiglu, down + addition.
    expect(dispatches).toBe(1 + 5 * 12 + 1);
  }));
});
