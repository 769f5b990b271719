/** qwen.cpp's tiny model through the command: ids, text, chat and logits as qwen.cpp and a float64 forward have them. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sharedData } from '@weightspec/oracles';
import { main } from '../main.js';

async function weightspec(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) });
  return { code: await main(argv, { stdout: output('stdout'), stderr: output('stderr'), env: {} }), ...written };
}

const model = sharedData('ggml-qwen/tiny-f32.bin') ?? '';
const tokenizer = sharedData('ggml-qwen/tiny.tiktoken') ?? '';
const goldenPath = sharedData('ggml-qwen/logits.json');
const folder = goldenPath?.replace(/logits\.json$/, '') ?? '';

describe.skipIf(!model || !tokenizer || !goldenPath)('a file of qwen.cpp', () => {
  const { prompts, results } = goldenPath
    ? (JSON.parse(readFileSync(goldenPath, 'utf8')) as { prompts: Record<string, number[]>; results: Record<string, Record<string, { greedy: number[] }>> })
    : { prompts: {}, results: {} };
  const cases = Object.entries(prompts);
  const stopIds = new Set([304, 305, 306]);
  let out = '';
  beforeAll(async () => {
    out = await mkdtemp(join(tmpdir(), 'weightspec-qwen-'));
  });
  afterAll(() => rm(out, { recursive: true }));

  it.each(cases)('run, prompt %s: goes on with qwen.cpp’s ids and stops at eos, im_start or im_end', async (name, prompt) => {
    const { greedy } = results.f32![name]!;
    const stop = greedy.findIndex((id) => stopIds.has(id));
    const { code, stdout } = await weightspec('run', model, '--tokens', prompt.join(), '--print-ids', '-n', '16');
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${[...prompt, ...(stop < 0 ? greedy : greedy.slice(0, stop))].join()}\n` });
  });
  it.each(cases)('logits, prompt %s: every row within 5e-5 of float64', async (name, prompt) => {
    for (const type of ['f32', 'q4_0', 'q5_1', 'q8_0']) {
      const file = join(out, `${type}.f32`);
      expect(await weightspec('logits', join(folder, `tiny-${type}.bin`), '--tokens', prompt.join(), '--all', '--out', file)).toMatchObject({ code: 0 });
      const [ours, ideal] = [await readFile(file), await readFile(join(folder, `logits-${type}-${name}.ideal.f64`))];
      expect(ours.length * 2).toBe(ideal.length);
      let worst = 0;
      for (let i = 0; i < ours.length / 4; i += 1) worst = Math.max(worst, Math.abs(ours.readFloatLE(4 * i) - ideal.readDoubleLE(8 * i)));
      expect(worst).toBeLessThan(5e-5);
    }
  });
  it('logits --trace refuses a file without activations, or with other element types (CLI_BAD_TRACE), and --trace or --out is needed', async () => {
    for (const type of ['f32', 'q4_0']) {
      expect(await weightspec('logits', model, '--tokens', '1,2', '--trace', join(folder, `tiny-${type}.bin`))).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('CLI_BAD_TRACE') as string });
    }
    expect(await weightspec('logits', model, '--tokens', '1,2')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('--trace FILE') as string });
  });
  it('run takes a rank file and control tokens spelled in the prompt', async () => {
    const { code, stdout } = await weightspec('run', model, '--tokenizer', tokenizer, '-p', '<|im_start|>hello', '-n', '0', '--print-ids');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^305,(?:\d+,)*\d+\n$/);
    expect(await weightspec('run', model, '--tokenizer', tokenizer, '-p', '<|im_start|>hello', '-n', '0')).toMatchObject({ code: 0, stdout: '<|im_start|>hello\n' });
  });
  it('run --chat asks in ChatML, prints only the answer, and lets the message forge no turn', async () => {
    const idsOf = async (...argv: string[]) => (await weightspec('run', model, '--tokenizer', tokenizer, ...argv, '-n', '0', '--print-ids')).stdout;
    const spelled = '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n';
    expect(await idsOf('--chat', '-p', 'hello')).toBe(await idsOf('-p', spelled));
    expect((await idsOf('--chat', '-p', '<|im_end|>')).split(',').filter((id) => id === '306')).toHaveLength(2);
    const { code, stdout } = await weightspec('run', model, '--tokenizer', tokenizer, '--chat', '-p', 'hello', '-n', '4');
    expect(code).toBe(0);
    expect(stdout).not.toContain('hello');
    expect(stdout.endsWith('\n')).toBe(true);
  });
  it('run refuses an empty prompt (CLI_EMPTY_PROMPT) and no vocabulary (CLI_NO_TOKENIZER)', async () => {
    expect(await weightspec('run', model, '--tokenizer', tokenizer, '-p', '')).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_EMPTY_PROMPT') as string });
    expect(await weightspec('run', model, '-p', 'a')).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_NO_TOKENIZER') as string });
  });
  const large = sharedData('tokenizers/qwen.tiktoken')!;
  it.skipIf(!large)('run refuses a larger vocabulary (CLI_TOKENIZER_MISMATCH)', async () => {
    expect(await weightspec('run', model, '--tokenizer', large, '-p', 'a')).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_TOKENIZER_MISMATCH') as string });
  });
  const story = sharedData('llama2c/stories260K.bin')!;
  const vocabulary = sharedData('llama2c/tok512.bin')!;
  it.skipIf(!story || !vocabulary)('run --chat refuses a vocabulary without a chat format (CLI_NO_CHAT)', async () => {
    expect(await weightspec('run', story, '--tokenizer', vocabulary, '--chat', '-p', 'a')).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_NO_CHAT') as string });
  });
});
