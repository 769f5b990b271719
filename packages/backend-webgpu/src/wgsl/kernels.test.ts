/** Every kernel that the backend can generate, compiled by Dawn on an adapter that draws nothing: WGSL is checked without a GPU. */
import { afterAll, describe, expect, it } from 'vitest';
import { dawn } from '../device/gpu-entry.js';
import { Gpu } from '../device/gpu.js';
import { argmaxKernel } from './argmax.js';
import { attentionKernel, attentionRangesKernel, combineRangesKernel, storeKernel } from './attention.js';
import { unitKinds } from './decode.js';
import { addKernel, swigluKernel } from './elementwise.js';
import { embedKernel } from './embed.js';
import type { Abilities, Kernel } from './kernel.js';
import { matmulKernel, matvecKernel, type MatvecForm } from './matmul.js';
import { rmsnormKernel } from './rmsnorm.js';
import { ropeKernel, rotateAndStoreKernel } from './rope.js';
import { roundActivationsKernel } from './round-activations.js';

/** Every way in which operands can share buffers. */
const sharing = (names: readonly string[]): Record<string, string>[] =>
  names.reduce<Record<string, string>[]>((all, name) => all.flatMap((known) => [...new Set(Object.values(known)), name].map((buffer) => ({ ...known, [name]: buffer }))), [{}]);

/** What matrices of every kind are multiplied with: one after the other, before and after it. */
const matvecEndings: readonly Partial<MatvecForm>[] = [{}, { outs: 2 }, { outs: 3 }, { added: 'apart' }, { added: 'inPlace' }, { swiglu: true }];
const matvecForms = (kind: MatvecForm['kind']): MatvecForm[] => [false, true].flatMap((norm) => [false, true].flatMap((bias) => matvecEndings.map((ending) => ({ kind, norm, bias, ...ending }))));

const kernelsWith = (abilities: Abilities): Kernel[] => [
  ...unitKinds.flatMap((kind) => [
    embedKernel(kind),
    ...matvecForms(kind).map((form) => matvecKernel(form, abilities)),
    ...[false, true].flatMap((bias) => ([undefined, 'apart', 'inPlace'] as const).map((added) => matmulKernel({ kind, bias, added }))),
  ]),
  ...sharing(['x', 'out']).map((op) => rmsnormKernel({ x: op.x!, out: op.out! }, abilities).kernel),
  ...sharing(['a', 'b', 'out']).map((op) => addKernel({ a: op.a!, b: op.b!, out: op.out! }).kernel),
  ...sharing(['gate', 'up', 'out']).map((op) => swigluKernel({ gate: op.gate!, up: op.up!, out: op.out! }).kernel),
  ...sharing(['k', 'v']).map((op) => storeKernel({ k: op.k!, v: op.v! }).kernel),
  ...[1, 3, 64, 128, 256].flatMap((headDim) => sharing(['q', 'out']).map((op) => attentionKernel({ q: op.q!, out: op.out! }, headDim, abilities).kernel)),
  ...[1, 3, 64, 128, 256].flatMap((headDim) => [attentionRangesKernel(headDim, abilities), combineRangesKernel(headDim, abilities)]),
  ...(['interleaved', 'halves'] as const).flatMap((style) => [ropeKernel(style), rotateAndStoreKernel(style)]),
  ...(['logits', 'candidates'] as const).flatMap((among) => (['candidates', 'token'] as const).map((to) => argmaxKernel({ among, to }, abilities))),
  roundActivationsKernel(abilities),
];
const kernels = new Map([...kernelsWith({ subgroups: true, invocations: 64 }), ...kernelsWith({ subgroups: false, invocations: 64 }), ...kernelsWith({ subgroups: true, invocations: 4 })].map((kernel) => [kernel.code, kernel]));

async function nullGpu(): Promise<Gpu | string> {
  try {
    return await Gpu.open(await dawn(['backend=null']));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.warn(`skipped, WGSL is not validated: ${reason}`);
    return reason;
  }
}
const gpu = await nullGpu();

describe.skipIf(typeof gpu === 'string')('on Dawn’s null backend', () => {
  const device = gpu as Gpu;
  afterAll(() => device.device.destroy());

  it('offers subgroups, so that both forms of each reduction are checked', () => {
    expect(device.abilities.subgroups).toBe(true);
    expect([...kernels.values()].filter(({ name }) => name.endsWith(', subgroups')).length).toBeGreaterThan(20);
  });
  it.each([...kernels.values()])('compiles $name', async (kernel) => {
    const { pipeline } = await device.compile(kernel);
    expect(pipeline.label).toBe(kernel.name);
  });
  it('gives no kernel more storage buffers than every device allows', () => {
    // WebGPU, 3.6.2: maxStorageBuffersPerShaderStage is 8 or more.
    expect(Math.max(...[...kernels.values()].map(({ access }) => access.length))).toBe(8);
  });
  it('says what is wrong with a kernel that is not WGSL (BACKEND_FAILED)', async () => {
    await expect(device.compile({ name: 'broken', code: 'fn main( {', access: [], constants: [] })).rejects.toThrow(/BACKEND_FAILED: kernel broken does not compile/);
  });
});
