/** `logits --golden --trace`: one fault for each op of a decoder, and the op must be named. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Backend } from '@weightspec/core';
import { BackendError, referenceBackend } from '@weightspec/kernels';
import { opFaults, withOpFault } from '../../../engine/src/testing/op-faults.js';
import { main } from '../main.js';

const chosen = vi.hoisted(() => ({ backend: undefined as Backend | undefined }));
vi.mock('../backends.js', async (original) => ({ ...(await original<object>()), chooseBackend: () => Promise.resolve(chosen.backend ?? referenceBackend) }));

const goldens = fileURLToPath(new URL('../../../../fixtures/golden/', import.meta.url));

async function weightspec(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) });
  return { code: await main(argv, { stdout: output('stdout'), stderr: output('stderr'), env: {} }), ...written };
}
const held = (folder: string, file: string, ...more: string[]) => weightspec('logits', join(goldens, folder, file), '--golden', join(goldens, folder), ...more);

let temporary = '';
beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'weightspec-golden-'));
});
afterAll(() => rm(temporary, { recursive: true }));
afterEach(() => {
  chosen.backend = undefined;
});

/** Those besides the reference that open here without a GPU, with their activations in f32. */
const others: readonly (readonly [string, Backend & { close?(): void | Promise<void> }])[] = await opened([
  ['native', async () => (await import('@weightspec/backend-native')).openBackend({ threads: 1, activations: 'f32' })],
  ['wasm', async () => (await import('@weightspec/backend-wasm')).openBackend({ threads: 1 })],
]);
afterAll(async () => {
  for (const [, backend] of others) await backend.close?.();
});

async function opened(backends: readonly (readonly [string, () => Promise<Backend>])[]): Promise<(readonly [string, Backend])[]> {
  const found: (readonly [string, Backend])[] = [];
  for (const [id, open] of backends) {
    try {
      found.push([id, await open()]);
    } catch (error) {
      if (!(error instanceof BackendError)) throw error;
      console.log(`skipped: faults on the ${id} backend: ${error.message}`);
    }
  }
  return found;
}

describe('logits --golden', () => {
  it.each([['llama-tiny', 'v0.bin', 33], ['llama-tiny', 'model.safetensors', 33], ['llama-tiny', 'consolidated.00.pth', 33], ['qwen1-tiny', 'f16.bin', 33], ['qwen2-tiny', 'model.safetensors.index.json', 33], ['qwen2-tiny', 'pytorch_model.bin', 33]] as const)('%s/%s gives its logits, ids and activations', async (folder, file, count) => {
    const { code, stdout } = await held(folder, file, '--trace');
    expect(stdout).toMatch(/^(?:prompt \d: \d+ rows of logits within [\d.]+, 4 greedy ids equal\n){4}/);
    expect(stdout).toContain(`${count} activations agree, embed to logits\n`);
    expect(code).toBe(0);
  });
  it('takes the golden of the file’s name, and goldens without activations', async () => {
    expect((await held('qwen1-tiny', 'q4_1.bin')).code).toBe(0);
    expect(await held('qwen1-tiny', 'q4_1.bin', '--trace')).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_BAD_GOLDEN') as string });
    const { code, stdout } = await held('tiny-shared', 'model.bin');
    expect({ code, lines: stdout.split('\n').length }).toEqual({ code: 0, lines: 3 });
  });

  it('has a fault for every op that a model of ours is made of', async () => {
    const used = new Set<string>();
    chosen.backend = { ...referenceBackend, compile: (program, weights, options) => (program.ops.forEach(({ op }) => used.add(op)), referenceBackend.compile(program, weights, options)) };
    for (const [folder, file] of [['llama-tiny', 'v0.bin'], ['qwen1-tiny', 'f16.bin'], ['qwen2-tiny', 'pytorch_model.bin']] as const) await held(folder, file);
    expect(opFaults.map(({ op }) => op).toSorted()).toEqual([...used].toSorted());
  });
  describe.each([['reference', referenceBackend], ...others] as const)('on the %s backend', (_, backend) => {
    it.each(opFaults)('--trace names $op when it alone is wrong', async (fault) => {
      chosen.backend = withOpFault(backend, fault);
      const { code, stdout } = await held('llama-tiny', 'v0.bin', '--trace');
      expect(stdout).toContain('DEPARTS');
      expect(stdout).toMatch(fault.named);
      expect(code).toBe(1);
    });
  });
  it('says that --trace would help, where it is left out', async () => {
    chosen.backend = withOpFault(referenceBackend, opFaults[3]!);
    const { code, stdout } = await held('llama-tiny', 'v0.bin');
    expect(stdout.endsWith('add --trace to find the first operation that departs\n')).toBe(true);
    expect(code).toBe(1);
  });
  it('names the op when not code but the bytes of a file are wrong', async () => {
    const bytes = await readFile(join(goldens, 'llama-tiny', 'v0.bin'));
    // wv of layer 0: behind the header, tok, two norms, wq and wk of both layers.
    bytes.writeFloatLE(-bytes.readFloatLE(28 + 4 * (2048 + 64 + 2048 + 1024)) + 1, 28 + 4 * (2048 + 64 + 2048 + 1024));
    await writeFile(join(temporary, 'v0.bin'), bytes);
    const { code, stdout } = await weightspec('logits', join(temporary, 'v0.bin'), '--golden', join(goldens, 'llama-tiny'), '--trace');
    expect(stdout).toMatch(/^l0\.v departs: op \d+ \(matmul\) of layer 0, token 0, element 0 is .* l0\.k still agrees$/m);
    expect(code).toBe(1);
  });
  it('refuses what is no golden, or one of another model (CLI_BAD_GOLDEN), and contradictory options', async () => {
    const model = join(goldens, 'llama-tiny', 'v0.bin');
    expect(await weightspec('logits', model, '--golden', temporary)).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_BAD_GOLDEN') as string });
    expect(await weightspec('logits', model, '--golden', join(goldens, 'qwen1-tiny'))).toMatchObject({ code: 2, stderr: expect.stringContaining('not v0.bin') as string });
    expect(await weightspec('logits', model, '--golden', join(goldens, 'recite'))).toMatchObject({ code: 2, stderr: expect.stringContaining('vocabulary of 411') as string });
    await copyFile(model, join(temporary, 'model.bin'));
    for (const argv of [[], ['--trace'], ['--trace', 'x.safetensors'], ['--out', 'x']]) expect((await weightspec('logits', model, ...argv)).code).toBe(2);
  });
});
