/** `logits --golden --trace`: one fault for each op of a decoder, and the op must be named. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Backend, Op, Program } from '@weightspec/core';
import { referenceBackend } from '@weightspec/kernels';
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

/** The reference backend with one op of the program changed. */
function withFault(index: (program: Program) => number, change: (op: Op) => Op): Backend {
  return {
    ...referenceBackend,
    compile: (program, weights, options) => {
      const at = index(program);
      expect(change(program.ops[at]!)).not.toEqual(program.ops[at]);
      return referenceBackend.compile({ ...program, ops: program.ops.map((op, i) => (i === at ? change(op) : op)) }, weights, options);
    },
  };
}
const opIn = (op: Op['op'], layer: number | undefined, nth = 0) => ({ ops }: Program): number => ops.flatMap((one, i) => (one.op === op && one.layer === layer ? [i] : []))[nth]!;

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

  /** Changed op → how it is named: op, layer, activation. */
  const faults: readonly (readonly [string, (program: Program) => number, (op: Op) => Op, RegExp])[] = [
    ['embed', opIn('embed', undefined), (op) => (op.op === 'embed' ? { ...op, weight: 'output.weight' } : op), /^embed departs: op 0 \(embed\), /m],
    ['rmsnorm', opIn('rmsnorm', 1, 1), (op) => (op.op === 'rmsnorm' ? { ...op, eps: 0.01 } : op), /^l1\.ffn_in departs: op \d+ \(rmsnorm\) of layer 1, .* l1\.resid_mid still agrees$/m],
    ['matmul', opIn('matmul', 1, 4), (op) => (op.op === 'matmul' ? { ...op, weight: 'layers.1.feed_forward.w3.weight' } : op), /^l1\.gate departs: op \d+ \(matmul\) of layer 1, .* l1\.ffn_in still agrees$/m],
    ['rope', opIn('rope', 0, 1), (op) => (op.op === 'rope' ? { ...op, style: 'halves' } : op), /^l0\.k_rope departs: op \d+ \(rope\) of layer 0, .* l0\.q_rope still agrees$/m],
    ['attention', opIn('attention', 0), (op) => (op.op === 'attention' ? { ...op, v: op.k } : op), /^l0\.attn_ctx departs: op \d+ \(attention\) of layer 0, .* l0\.k_rope still agrees$/m],
    ['swiglu', opIn('swiglu', 1), (op) => (op.op === 'swiglu' ? { ...op, gate: op.up, up: op.gate } : op), /^l1\.ffn_act departs: op \d+ \(swiglu\) of layer 1, .* l1\.up still agrees$/m],
    ['add', opIn('add', 0), (op) => (op.op === 'add' ? { ...op, b: op.a } : op), /^l0\.resid_mid departs: op \d+ \(add\) of layer 0, .* l0\.attn_out still agrees$/m],
  ];
  it.each(faults)('--trace names %s when it alone is wrong', async (_, index, change, line) => {
    chosen.backend = withFault(index, change);
    const { code, stdout } = await held('llama-tiny', 'v0.bin', '--trace');
    expect(stdout).toContain('DEPARTS');
    expect(stdout).toMatch(line);
    expect(code).toBe(1);
  });
  it('says that --trace would help, where it is left out', async () => {
    const [, index, change] = faults[3]!;
    chosen.backend = withFault(index, change);
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
