/** `calibrate`, `smoothquant` and `validate --original` on LMDeploy's int8 export of the collection. */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sharedData } from '@weightspec/oracles';
import { readStatistics } from '@weightspec/smoothquant';
import { torchCheckpoint } from '@weightspec/torch-checkpoint';
import { memorySource } from '@weightspec/io';
import { main } from '../main.js';

async function weightspec(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) });
  return { code: await main(argv, { stdout: output('stdout'), stderr: output('stderr'), env: {} }), ...written };
}

const data = sharedData('smoothquant/golden.json') && sharedData('smoothquant');
const given = (name: string) => `${data}/${name}`;

describe.skipIf(!data)('an int8 export of LMDeploy', () => {
  let folder = '';
  const at = (name: string) => join(folder, name);
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'weightspec-smoothquant-'));
    mkdirSync(at('original'));
    copyFileSync(given('original_f32.safetensors'), at('original/model.safetensors'));
    copyFileSync(given('config.json'), at('original/config.json'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('is written byte for byte: three shards, index, configuration', async () => {
    const { code, stdout } = await weightspec('smoothquant', at('original'), given('inputs_stats.pth'), at('export'), '--shard-size', '90kB');
    expect(code).toBe(0);
    const shards = [1, 2, 3].map((k) => `pytorch_model-0000${k}-of-00003.bin`);
    expect(stdout.split('\n').map((line) => line.split('  ').slice(1).join(' '))).toEqual(['81.5 kB weights', '101 kB weights', '17.7 kB weights', '363 B config', '4.09 kB index', '']);
    for (const shard of shards) expect(readFileSync(at(`export/${shard}`)).equals(readFileSync(given(shard)))).toBe(true);
    const json = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as unknown;
    for (const name of ['pytorch_model.bin.index.json', 'config.json']) expect(json(at(`export/${name}`))).toEqual(json(given(name)));
  });
  it('is valid beside its original, and what is compared is said', async () => {
    const { code, stdout } = await weightspec('validate', at('export'), '--deep', '--original', at('original'));
    expect(code).toBe(0);
    expect(stdout).toContain('info SMOOTHQUANT_MIGRATION_SCALES  14 layers');
    expect(stdout).toContain('clause: specs/smoothquant#S-1.6');
    expect(stdout).toContain('the scales of 14 layers and all of their weights, against the original');
    expect(stdout).toContain('139,584 parameters');
  });
  it('is invalid when one code is off, at its byte', async () => {
    const bytes = readFileSync(given('quantized.safetensors'));
    bytes[81352 + 5] = (bytes[81352 + 5]! + 40) & 0x7f;
    writeFileSync(at('off.safetensors'), bytes);
    const { code, stdout } = await weightspec('validate', at('off.safetensors'), '--format', 'json', '--original', at('original'));
    const [report] = (JSON.parse(stdout) as { reports: { verdict: string; diagnostics: { code: string; byteRange: number[] }[] }[] }).reports;
    expect({ code, verdict: report!.verdict, first: report!.diagnostics[0] }).toMatchObject({ code: 1, verdict: 'invalid', first: { code: 'SMOOTHQUANT_RECONSTRUCTION', byteRange: [81357, 81358] } });
    expect((await weightspec('validate', at('off.safetensors'))).code).toBe(0);
  });
  it('runs, with and without migration scales alike', async () => {
    expect((await weightspec('smoothquant', at('original'), given('act_absmax_f16.safetensors'), at('bare'), '--to', 'safetensors', '--no-migration-scales')).code).toBe(0);
    expect(readdirSync(at('bare'))).toEqual(['config.json', 'model.safetensors']);
    const ids = async (name: string) => (await weightspec('run', at(name), '--tokens', '1,2,3,4,5', '--print-ids', '-n', '12')).stdout;
    expect(await ids('bare')).toBe(await ids('export'));
    expect((await ids('bare')).split(',')).toHaveLength(17);
  });
  it('has a copy without migration scales made by convert, in shards and in one file, that runs alike', async () => {
    expect((await weightspec('convert', at('export'), at('one'), '--to', 'safetensors', '--no-migration-scales')).code).toBe(0);
    expect((await weightspec('convert', at('export'), at('shards'), '--to', 'torch', '--shard-size', '90kB', '--no-migration-scales')).code).toBe(0);
    const tensorsOf = async (name: string) => (JSON.parse((await weightspec('inspect', at(name), '--json')).stdout) as { tensors: { name: string }[] }).tensors.map((tensor) => tensor.name);
    const before = await tensorsOf('export');
    const kept = before.filter((name) => !name.endsWith('.migration_scale')).toSorted();
    expect(before.length - kept.length).toBe(14);
    const ids = async (name: string) => (await weightspec('run', at(name), '--tokens', '1,2,3,4,5', '--print-ids', '-n', '12')).stdout;
    for (const copy of ['one', 'shards']) {
      expect((await tensorsOf(copy)).toSorted()).toEqual(kept);
      expect(await ids(copy)).toBe(await ids('export'));
      const { code, stdout } = await weightspec('validate', at(copy), '--deep', '--original', at('original'));
      expect(code).toBe(0);
      expect(stdout).not.toContain('SMOOTHQUANT_MIGRATION_SCALES');
    }
    expect(readdirSync(at('shards')).filter((name) => name.endsWith('.bin')).length).toBeGreaterThan(1);
  });
  it('takes another α', async () => {
    const sizes = async (alpha: string) => {
      await weightspec('smoothquant', at('original'), given('inputs_stats.pth'), at(`alpha-${alpha}.safetensors`), '--to', 'safetensors', '--alpha', alpha);
      return readFileSync(at(`alpha-${alpha}.safetensors`));
    };
    const [half, more] = [await sizes('0.5'), await sizes('0.75')];
    expect(half.equals(readFileSync(given('quantized.safetensors')))).toBe(true);
    expect(more.equals(half)).toBe(false);
    expect((await weightspec('validate', at('alpha-0.75.safetensors'), '--deep', '--original', at('original'))).code).toBe(0);
    expect((await weightspec('smoothquant', at('original'), given('inputs_stats.pth'), at('x'), '--alpha', '1.5')).code).toBe(2);
  });
  it('is not made of itself, nor with other statistics (SMOOTHQUANT_ORIGINAL, SMOOTHQUANT_STATISTICS)', async () => {
    expect(await weightspec('smoothquant', given('quantized.safetensors'), given('inputs_stats.pth'), at('no'))).toMatchObject({ code: 1, stderr: expect.stringContaining('error SMOOTHQUANT_ORIGINAL') as string });
    expect(await weightspec('smoothquant', at('original'), given('golden_logits.safetensors'), at('no'))).toMatchObject({ code: 1, stderr: expect.stringContaining('error SMOOTHQUANT_STATISTICS') as string });
    expect(readdirSync(folder)).not.toContain('no');
  });
  it.each(['reference', 'auto'])('is calibrated with the collection’s prompts by the backend %s: LMDeploy’s file, within one step of f16', async (backend) => {
    const { calibration_prompts: prompts } = JSON.parse(readFileSync(given('golden.json'), 'utf8')) as { calibration_prompts: number[][] };
    const { code, stderr } = await weightspec('calibrate', at('original'), ...prompts.flatMap((prompt) => ['--tokens', prompt.join()]), '--out', at('stats.pth'), '--backend', backend);
    const [last = '', used] = /^(.*) \((\w+)\)$/m.exec(stderr.trimEnd().split('\n').at(-1)!)?.slice(1) ?? [];
    expect({ code, last }).toEqual({ code: 0, last: `14 layers over 128 tokens in 4 sequences to ${at('stats.pth')}` });
    expect(['auto', used]).toContain(backend);
    const read = async (path: string) => readStatistics((await torchCheckpoint.read(memorySource(readFileSync(path)))).checkpoint!);
    const [own, theirs] = [await read(at('stats.pth')), await read(given('inputs_stats.pth'))];
    expect([...own.keys()]).toEqual([...theirs.keys()]);
    for (const [layer, absmax] of theirs) absmax.forEach((value, j) => expect(Math.abs(own.get(layer)![j]! / value - 1)).toBeLessThanOrEqual(2 ** -10));
  });
});

const story = sharedData('llama2c/stories260K.bin')!;
const vocabulary = sharedData('llama2c/tok512.bin')!;
describe.skipIf(!story || !vocabulary)('calibrate with a text', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'weightspec-calibrate-'));
    writeFileSync(join(folder, 'text.txt'), 'Once upon a time, there was a little girl named Lily.\n'.repeat(120));
    writeFileSync(join(folder, 'empty.txt'), '');
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const calibrated = (...options: string[]) => weightspec('calibrate', story, '--tokenizer', vocabulary, '--out', join(folder, 'out.pth'), ...options);

  it('cuts it into sequences of at most the model’s positions', async () => {
    const { code, stderr } = await calibrated('--text', join(folder, 'text.txt'), '--samples', '2', '--seq-len', '40');
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('35 layers over 80 tokens in 2 sequences') as string });
  });
  it('needs a text or ids, and one that is not empty (CLI_EMPTY_PROMPT)', async () => {
    expect((await calibrated()).code).toBe(2);
    expect((await calibrated('--text', join(folder, 'missing.txt'))).code).toBe(2);
    expect(await calibrated('--text', join(folder, 'empty.txt'))).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_EMPTY_PROMPT') as string });
    expect(await calibrated('--tokens', '1,99999')).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_BAD_TOKEN') as string });
  });
});
