/** `logits --trace` and `run` on files of tensors alone, with the config.json that lies beside them. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formats } from '@weightspec/formats';
import { sharedData } from '@weightspec/oracles';
import { main } from '../main.js';

async function weightspec(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) });
  return { code: await main(argv, { stdout: output('stdout'), stderr: output('stderr'), env: {} }), ...written };
}

const models = sharedData('models');
const opens = formats.some(({ id }) => id === 'safetensors');

describe.skipIf(!models || !opens)('a safetensors file with its config.json', () => {
  const at = (path: string) => `${models}/${path}`;
  const promptOf = (model: string) => (JSON.parse(readFileSync(at(`${model}/golden.json`), 'utf8')) as { cases: { prompt: number[]; greedy: number[] }[] }).cases[3]!;
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weightspec-trace-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it.each([['qwen2-tiny', 'bf16', 'hf', 23], ['llama3-tiny', 'hf', 'meta', 16], ['qwen1-tiny', 'bf16', 'hf', 16]] as const)('%s: all activations of the golden agree', async (model, form, order, count) => {
    const { code, stdout } = await weightspec('logits', at(`${model}/${form}/model.safetensors`), '--tokens', promptOf(model).prompt.join(), '--trace', at(`${model}/golden_trace_prompt3.safetensors`), '--trace-order', order);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${count} activations agree, embed to final_norm\n` });
  });
  it('names the first layer and op that departs, and exits with 1', async () => {
    const trace = ['--tokens', promptOf('qwen2-tiny').prompt.join(), '--trace', at('qwen2-tiny/golden_trace_prompt3.safetensors')];
    await copyFile(at('qwen2-tiny/f32/model.safetensors'), join(folder, 'model.safetensors'));
    const config = await readFile(at('qwen2-tiny/f32/config.json'), 'utf8');
    await writeFile(join(folder, 'config.json'), config.replace('1000000.0', '10000.0'));
    const { code, stdout } = await weightspec('logits', join(folder, 'model.safetensors'), ...trace);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^l0\.q_rope departs: op 5 \(rope\) of layer 0, token \d+, element \d+ is [-\d.e]+, not [-\d.e]+; l0\.(?:attn_in|v) still agrees\n$/);
  });
  it('runs, and stops at the id that the configuration names', async () => {
    const { prompt, greedy } = promptOf('qwen2-tiny');
    const stop = greedy.indexOf(2);
    const { code, stdout } = await weightspec('run', at('qwen2-tiny/f16/model.safetensors'), '--tokens', prompt.join(), '--print-ids', '-n', '16');
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${[...prompt, ...(stop < 0 ? greedy : greedy.slice(0, stop))].join()}\n` });
  });
  it('needs a config.json (MODEL_UNKNOWN_FORMAT) that is JSON (CLI_BAD_CONFIG)', async () => {
    const file = join(folder, 'alone.safetensors');
    await copyFile(at('qwen2-tiny/f32/model.safetensors'), file);
    await writeFile(join(folder, 'config.json'), '{');
    expect(await weightspec('run', file, '--tokens', '1', '--print-ids')).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_BAD_CONFIG') as string });
    await rm(join(folder, 'config.json'));
    expect(await weightspec('run', file, '--tokens', '1', '--print-ids')).toMatchObject({ code: 2, stderr: expect.stringContaining('MODEL_UNKNOWN_FORMAT') as string });
  });
});
