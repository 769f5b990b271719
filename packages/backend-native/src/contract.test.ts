/** The contract suite and the goldens on every instruction set that this machine has, with int8 and with f32 activations. */
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { backendContract } from '@weightspec/kernels/contract';
import { engineGoldens } from '../../engine/src/testing/index.js';
import { instructionSets, openBackend } from './index.js';

const built = existsSync(new URL('../dist/weightspec.node', import.meta.url));

describe.skipIf(built)('the native backend', () => {
  it('says what would bring it where there is no addon', async () => {
    await expect(openBackend()).rejects.toThrow(/^BACKEND_UNAVAILABLE: .*(compiler|npm run build)/);
  });
});

const isas = built ? instructionSets() : [];
// What is built on AMX's tiles also runs on tiles in plain C++, wherever there is AVX-512.
for (const isa of isas.includes('avx512') ? [...isas, 'amx-emulated'] : isas) {
  for (const activations of isa === 'amx-emulated' ? (['int8'] as const) : (['int8', 'f32'] as const)) {
    const backend = await openBackend({ isa, activations, threads: 3 });
    const named = { ...backend, id: `native ${isa}, ${activations} activations` };
    backendContract({ describe, it, expect }, named, { activationBlock: (storage) => backend.activationBlock(storage) });
    engineGoldens(named, { int8Activations: (storage) => backend.activationBlock(storage) !== undefined });
  }
}
