import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, mkdir, open as openFile, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { sharedData } from '@weightspec/oracles';
import { main } from '../main.js';
import type { Terminal } from '../terminal.js';
import { allCodeFamilies } from './all-codes.js';
import { wrapped } from '../report/wrap.js';
import { editDistance, explain, nearest } from './explain.js';

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command line in this process. */
async function weightspec(...argv: string[]): Promise<Run> {
  const { code, stdout, stderr } = await weightspecBytes(...argv);
  return { code, stdout: stdout.toString(), stderr };
}

async function weightspecBytes(...argv: string[]): Promise<Omit<Run, 'stdout'> & { readonly stdout: Buffer }> {
  const written = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => written[name].push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk) });
  const terminal: Terminal = { stdout: output('stdout'), stderr: output('stderr'), env: {} };
  return { code: await main(argv, terminal), stdout: Buffer.concat(written.stdout), stderr: Buffer.concat(written.stderr).toString() };
}

interface JsonReport {
  readonly reports: readonly { readonly path: string; readonly format: string | null; readonly variant: string | null; readonly verdict: string; readonly diagnostics: readonly { readonly code: string; readonly severity: string }[]; readonly stats: { readonly checked: readonly string[] } }[];
  readonly notChecked?: readonly { readonly path: string; readonly reason: string }[];
  readonly failed?: readonly { readonly path: string; readonly code?: string; readonly message: string }[];
}

async function validateJson(...argv: string[]): Promise<{ readonly code: number; readonly report: JsonReport }> {
  const { code, stdout } = await weightspec('validate', '--format', 'json', ...argv);
  return { code, report: JSON.parse(stdout) as JsonReport };
}

const story = sharedData('llama2c/stories260K.bin')!;
const config = { dim: 8, hidden: 16, layers: 1, heads: 2, kvHeads: 1, vocab: 300, context: 8 };

/** A v0 file by the layout of the specification, with weights that repeat a short sine; 300 tokens. */
function modelBytes({ dim, hidden, layers, heads, kvHeads, vocab, context } = config): Uint8Array {
  const headDim = dim / heads;
  const kv = kvHeads * headDim;
  const counts = (2 * layers + 1) * dim + vocab * dim + layers * (2 * dim * dim + 2 * dim * kv + 3 * dim * hidden) + context * headDim;
  const bytes = new Uint8Array(28 + 4 * counts);
  const view = new DataView(bytes.buffer);
  [dim, hidden, layers, heads, kvHeads, vocab, context].forEach((value, index) => view.setInt32(4 * index, value, true));
  for (let index = 0; index < counts; index += 1) view.setFloat32(28 + 4 * index, Math.sin(index + 1), true);
  return bytes;
}

/** A tokenizer.bin (generation 5) of `vocab` pieces: specials, 256 byte tokens, then letters. */
function tokenizerBytes(vocab: number): Uint8Array {
  const hex = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
  const bytesTokens = Array.from({ length: 256 }, (_, byte) => hex(byte));
  const pieces = ['<unk>', '\n<s>\n', '\n</s>\n', ...bytesTokens, ' ', ...Array.from({ length: vocab - 260 }, (_, index) => String.fromCharCode(0x61 + index))].map((piece) => new TextEncoder().encode(piece));
  const out: number[] = [];
  const u32 = (value: number) => out.push(value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255);
  u32(6);
  for (const piece of pieces) {
    u32(0);
    u32(piece.length);
    out.push(...piece);
  }
  return Uint8Array.from(out);
}

let folder = '';
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weightspec-cli-'));
  await mkdir(at('good/.cache'), { recursive: true });
  await mkdir(at('good/sub/node_modules'), { recursive: true });
  await writeFile(at('good/model.bin'), modelBytes());
  await writeFile(at('good/tokenizer.bin'), tokenizerBytes(config.vocab));
  await writeFile(at('good/README.md'), '# words\n');
  await writeFile(at('good/.cache/broken.bin'), 'left alone');
  await writeFile(at('good/sub/node_modules/broken.bin'), 'left alone');
  await symlink('../model.bin', at('good/sub/linked.bin'));
  await writeFile(at('truncated.bin'), modelBytes().subarray(0, -1));
  await mkdir(at('mismatch'));
  await writeFile(at('mismatch/model.bin'), modelBytes());
  await writeFile(at('mismatch/tokenizer.bin'), tokenizerBytes(301 - 21));
  await mkdir(at('pointer'));
  await writeFile(at('pointer/model.bin'), 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n');
  await mkdir(at('words'));
  await writeFile(at('words/README.md'), '# words\n');
});
afterAll(() => rm(folder, { recursive: true }));

describe('validate', () => {
  it('exits 0 and names the variant of a sound file', async () => {
    const { code, report } = await validateJson(at('good/model.bin'));
    expect(code).toBe(0);
    expect(report.reports).toMatchObject([{ path: at('good/model.bin'), format: 'llama2c', variant: 'v0', verdict: 'valid' }]);
    expect(report.reports[0]?.stats.checked).not.toEqual([]);
  });
  it('exits 1 for a file that is one byte short, and shows the bytes', async () => {
    const { code, stdout } = await weightspec('validate', at('truncated.bin'));
    expect(code).toBe(1);
    expect(stdout).toMatch(/: invalid \(llama2c v0/);
    expect(stdout).toMatch(/error LLAMA2C_\w+/);
    expect(stdout).toMatch(/at: bytes \[\d+, \d+\)/);
    expect(stdout).toMatch(/\^\^/);
    expect(stdout).toMatch(/clause: specs\/llama2c#C-/);
  });
  it('exits 1 for a named file that nobody recognises, naming what it is (FORMAT_PLAIN_TEXT)', async () => {
    const { code, report } = await validateJson(at('good/README.md'));
    expect(code).toBe(1);
    expect(report.reports).toMatchObject([{ format: null, variant: null, verdict: 'unrecognized', diagnostics: [{ code: 'FORMAT_PLAIN_TEXT' }] }]);
  });
  it('checks a folder: follows links to files, skips dot-folders and node_modules, lists the rest as not checked', async () => {
    const { code, report } = await validateJson(at('good'));
    expect(code).toBe(0);
    expect(report.reports.map(({ path }) => path)).toEqual([at('good/model.bin'), at('good/sub/linked.bin'), at('good/tokenizer.bin')]);
    expect(report.notChecked).toMatchObject([{ path: at('good/README.md') }]);
    expect((await weightspec('validate', at('good'))).stdout).toContain('README.md: not checked');
  });
  it('fails a folder in which a pointer stands where weights should be (FORMAT_LFS_POINTER)', async () => {
    const { code, report } = await validateJson(at('pointer'));
    expect(code).toBe(1);
    expect(report.reports).toMatchObject([{ verdict: 'unrecognized', diagnostics: [{ code: 'FORMAT_LFS_POINTER' }] }]);
  });
  it('does not pass a folder in which nothing was checked', async () => {
    const { code, stderr } = await weightspec('validate', at('words'));
    expect(code).toBe(1);
    expect(stderr).toContain('nothing was checked');
  });
  it('exits 2 for a missing file (IO_NOT_FOUND), and still checks the others', async () => {
    const { code, stdout, stderr } = await weightspec('validate', at('missing.bin'), at('good/model.bin'));
    expect(code).toBe(2);
    expect(stderr).toContain('IO_NOT_FOUND');
    expect(stdout).toContain('good/model.bin: valid');
  });
  it('says in JSON and SARIF too what could not be read (IO_NOT_FOUND)', async () => {
    const { code, report } = await validateJson(at('missing.bin'), at('good/model.bin'));
    expect(code).toBe(2);
    expect(report.reports).toHaveLength(1);
    expect(report.failed).toEqual([{ path: at('missing.bin'), code: 'IO_NOT_FOUND', message: expect.stringContaining('missing.bin') as string }]);
    expect((await validateJson(at('good/model.bin'))).report).not.toHaveProperty('failed');
    const invocations = async (...paths: string[]) => (JSON.parse((await weightspec('validate', '--format', 'sarif', ...paths)).stdout) as { runs: { invocations: object[] }[] }).runs[0]?.invocations;
    expect(await invocations(at('missing.bin'), at('good/model.bin'))).toMatchObject([{ executionSuccessful: false, toolExecutionNotifications: [{ level: 'error', descriptor: { id: 'IO_NOT_FOUND' } }] }]);
    expect(await invocations(at('good/model.bin'))).toEqual([{ executionSuccessful: true }]);
  });
  it('checks a URL by its ranges', async () => {
    const bytes = modelBytes();
    const server = createServer((request, response) => {
      const [, from = '', to = ''] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      const end = Math.min(Number(to), bytes.length - 1);
      response.writeHead(206, { 'content-range': `bytes ${from}-${end}/${bytes.length}` }).end(bytes.subarray(Number(from), end + 1));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model.bin`;
    const { code, report } = await validateJson(url);
    server.closeAllConnections();
    server.close();
    expect(code).toBe(0);
    expect(report.reports).toMatchObject([{ path: url, format: 'llama2c', verdict: 'valid' }]);
  });
  it('turns warnings into errors when strict', async () => {
    const file = at('tokenizer-long.bin');
    // A max_token_length above that of any piece: readers only allocate more, so this is no more than a warning.
    const tokenizer = tokenizerBytes(config.vocab);
    new DataView(tokenizer.buffer).setUint32(0, 7, true);
    await writeFile(file, tokenizer);
    const lenient = await validateJson(file);
    const strict = await validateJson('--strict', file);
    const severities = (run: typeof strict) => run.report.reports[0]?.diagnostics.map(({ severity }) => severity) ?? [];
    expect(lenient).toMatchObject({ code: 0, report: { reports: [{ verdict: 'warnings' }] } });
    expect(severities(lenient)).toContain('warning');
    expect(strict).toMatchObject({ code: 1, report: { reports: [{ verdict: 'invalid' }] } });
    expect(severities(strict)).not.toContain('warning');
  });
  it('names the fields over the bytes, and says what was expected', async () => {
    const damaged = modelBytes();
    new DataView(damaged.buffer).setInt32(12, 3, true);
    await writeFile(at('heads.bin'), damaged);
    const { stdout } = await weightspec('validate', at('heads.bin'));
    expect(stdout).toContain('at: bytes [12, 16), n_heads, /metadata/n_heads');
    expect(stdout).toMatch(/^ +dim +hidden_dim +n_layers +n_heads$\n^ +00000000 {2}08 00 00 00/m);
    expect(stdout).toContain('expected: n_heads divides dim');
  });
  it('prints errors only when quiet, and nothing for sound files', async () => {
    expect(await weightspec('validate', '--quiet', at('good'))).toEqual({ code: 0, stdout: '', stderr: '' });
    const { code, stdout } = await weightspec('validate', '--quiet', at('truncated.bin'), at('good/model.bin'));
    expect(code).toBe(1);
    expect(stdout).toContain('error LLAMA2C_TRUNCATED');
    expect(stdout).not.toMatch(/checked|model\.bin/);
  });
  it('writes reports by the endings of their names, beside what it prints, and never over a checked file', async () => {
    const names = ['r.json', 'r.sarif', 'r.html', 'r.xml', 'r.txt'].map(at);
    const { code, stdout } = await weightspec('validate', at('truncated.bin'), ...names.flatMap((name) => ['--report', name]));
    expect(code).toBe(1);
    const [json, sarif, html, junit, text] = await Promise.all(names.map((name) => readFile(name, 'utf8')));
    expect((JSON.parse(json!) as JsonReport).reports[0]?.verdict).toBe('invalid');
    expect(JSON.parse(sarif!)).toMatchObject({ version: '2.1.0' });
    expect(html).toMatch(/^<!doctype html>/);
    expect(junit).toMatch(/^<\?xml /);
    expect(text).toBe(stdout);
    await writeFile(at('model.json'), '{}');
    expect(await weightspec('validate', at('model.json'), '--report', at('model.json'))).toMatchObject({ code: 2, stderr: expect.stringContaining('IO_SAME_FILE') as string });
  });
  it('exits 1 above so many errors or warnings, and never takes a file that nobody recognises', async () => {
    const warned = tokenizerBytes(config.vocab);
    new DataView(warned.buffer).setUint32(0, 7, true);
    await writeFile(at('warned.bin'), warned);
    const code = async (...argv: string[]) => (await weightspec('validate', ...argv)).code;
    expect(await code('--max-warnings', '0', at('warned.bin'))).toBe(1);
    expect(await code('--max-warnings', '1', at('warned.bin'))).toBe(0);
    expect(await code('--max-errors', '1', at('truncated.bin'))).toBe(0);
    expect(await code('--max-errors', '1', at('truncated.bin'), at('truncated.bin'))).toBe(1);
    expect(await code('--max-errors', '9', at('pointer/model.bin'))).toBe(1);
  });
  const names = { 'stories260K.bin': 'v0', 'stories260K.unshared.v0.bin': 'v0', 'stories260K.v1_fp32.bin': 'v1-fp32', 'stories260K.v1_int8_gs64.bin': 'v1-int8', 'stories260K.v2_gs64.bin': 'v2', 'stories260K.v2_contig_gs64.bin': 'v2-contiguous' };
  const paths = Object.keys(names).map((name) => sharedData(`llama2c/${name}`)!);
  it.skipIf(paths.some((path) => !path))('names every real weight file by its variant', async () => {
    const { code, report } = await validateJson(...paths);
    expect(code).toBe(0);
    expect(report.reports.map(({ variant }) => variant)).toEqual(Object.values(names));
  });
});

describe('inspect', () => {
  it('prints the directory as JSON, with byte ranges and files', async () => {
    const { code, stdout } = await weightspec('inspect', '--json', at('good/model.bin'));
    const { variant, metadata, tensors } = JSON.parse(stdout) as { variant: string; metadata: object; tensors: object[] };
    expect(code).toBe(0);
    expect({ variant, metadata }).toMatchObject({ variant: 'v0', metadata: { dim: 8, vocab_size: 300 } });
    expect(tensors[0]).toEqual({ name: 'tok_embeddings.weight', dtype: 'F32', shape: [300, 8], byteRange: [28, 28 + 4 * 2400], file: at('good/model.bin') });
  });
  it('takes the one model of a folder and leaves its tokenizer', async () => {
    const { code, stdout } = await weightspec('inspect', at('mismatch'));
    expect(code).toBe(0);
    expect(stdout).toContain('mismatch/model.bin: llama2c v0');
    expect(stdout).toMatch(/^ {2}tok_embeddings\.weight +F32 +\[300, 8\] +\[28, 9628\)$/m);
  });
  it('does not guess between several models (CLI_SEVERAL_MODELS), nor without one (CLI_NO_MODEL)', async () => {
    expect(await weightspec('inspect', at('good'))).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_SEVERAL_MODELS') as string });
    expect(await weightspec('inspect', at('words'))).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_NO_MODEL') as string });
  });
  it('exits 1 with the errors on stderr for a damaged file', async () => {
    const { code, stdout, stderr } = await weightspec('inspect', '--json', at('truncated.bin'));
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/error LLAMA2C_/);
  });
  it('opens 30 GB without reading them', async () => {
    const big = at('big.bin');
    const dims = { dim: 5120, hidden: 13824, layers: 24, heads: 40, kvHeads: 40, vocab: 32000, context: 2048 };
    const header = new DataView(new ArrayBuffer(28));
    [dims.dim, dims.hidden, dims.layers, dims.heads, dims.kvHeads, dims.vocab, dims.context].forEach((value, index) => header.setInt32(4 * index, value, true));
    const file = await openFile(big, 'w');
    await file.write(new Uint8Array(header.buffer));
    await file.truncate(31_108_059_164);
    await file.close();
    const { code, stdout } = await weightspec('inspect', big);
    await rm(big);
    expect(code).toBe(0);
    expect(stdout).toContain('31.1 GB, 220 tensors');
    expect(stdout).toContain('31108059164)');
  });
});

describe('run', () => {
  const model = () => at('good/model.bin');
  it('prints prompt and new ids, the same twice, and no text (--print-ids)', async () => {
    const first = await weightspec('run', model(), '--tokens', '1,5,6', '--print-ids', '-n', '4');
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(/^1,5,6(,\d+){0,4}\n$/);
    expect((await weightspec('run', model(), '--tokens', '1,5,6', '--print-ids', '-n', '4')).stdout).toBe(first.stdout);
    expect(first.stderr).toMatch(/^backend: \w+$/m);
  });
  it('echoes the prompt and finds the tokenizer beside the model', async () => {
    const { code, stdout, stderr } = await weightspec('run', model(), '-p', 'abba', '-n', '0');
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'abba\n' });
    expect(stderr).toContain(`tokenizer: ${at('good/tokenizer.bin')}`);
  });
  it('refuses a tokenizer of another size (CLI_TOKENIZER_MISMATCH), none (CLI_NO_TOKENIZER) and another file (CLI_BAD_TOKENIZER)', async () => {
    expect(await weightspec('run', at('mismatch'), '-p', 'a')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('CLI_TOKENIZER_MISMATCH') as string });
    await writeFile(at('words/model.bin'), modelBytes());
    expect(await weightspec('run', at('words/model.bin'), '-p', 'a')).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_NO_TOKENIZER') as string });
    await rm(at('words/model.bin'));
    expect(await weightspec('run', model(), '--tokenizer', model(), '-p', 'a')).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_BAD_TOKENIZER') as string });
  });
  it('refuses ids outside the vocabulary (CLI_BAD_TOKEN) and more than the context (CLI_TOO_LONG)', async () => {
    expect(await weightspec('run', model(), '--print-ids', '--tokens', '1,300')).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_BAD_TOKEN') as string });
    expect(await weightspec('run', model(), '--print-ids', '--tokens', '1,299', '-n', '1')).toMatchObject({ code: 0 });
    expect(await weightspec('run', model(), '--print-ids', '--tokens', '1,2,3,4,5,6,7,8,9')).toMatchObject({ code: 2, stderr: expect.stringContaining('CLI_TOO_LONG') as string });
  });
  it.skipIf(process.platform === 'darwin')('names a backend that cannot start, rather than take another (BACKEND_UNAVAILABLE)', async () => {
    // No Vulkan driver at all, whatever this machine has. (On macOS Dawn takes Metal instead.)
    for (const name of ['VK_ICD_FILENAMES', 'VK_DRIVER_FILES']) vi.stubEnv(name, '/no-such-driver.json');
    const { code, stderr } = await weightspec('run', model(), '-p', 'a', '--backend', 'webgpu').finally(() => vi.unstubAllEnvs());
    expect(code).toBe(2);
    expect(stderr).toContain('BACKEND_UNAVAILABLE');
    expect(stderr).toMatch(/webgpu/i);
  });
  it('writes the same with weights used where they lie (--no-repack)', async () => {
    const line = ['run', model(), '--tokens', '1,5', '--print-ids', '-n', '6'];
    expect(await weightspec(...line, '--no-repack')).toMatchObject({ code: 0, stdout: (await weightspec(...line)).stdout });
  });
  it('prints the seed that it chose, and gives the same text with it again', async () => {
    const line = ['run', model(), '--tokens', '1,5', '--print-ids', '-n', '6', '-t', '1'];
    const first = await weightspec(...line);
    const seed = /^seed: (\d+)$/m.exec(first.stderr)?.[1] ?? '';
    expect(seed).not.toBe('');
    expect((await weightspec(...line, '-s', seed)).stdout).toBe(first.stdout);
  });
  it('does not run a damaged file', async () => {
    expect(await weightspec('run', at('truncated.bin'), '-p', 'a')).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/error LLAMA2C_/) as string });
  });
  it('writes bytes that are no UTF-8 as they are into a pipe', async () => {
    const { code, stdout } = await weightspecBytes('run', at('good/model.bin'), '--tokens', '1,258,98,198', '-n', '0');
    expect(code).toBe(0);
    expect([...stdout]).toEqual([0xff, 0x5f, 0xc3, 0x0a]); // ids are bytes after three specials
  });
  it('prints no token where the weights give NaN, and no stack trace either (LOGITS_NOT_FINITE)', async () => {
    const damaged = modelBytes();
    new DataView(damaged.buffer).setFloat32(28 + 4 * config.dim, Number.NaN, true);
    await writeFile(at('damaged.bin'), damaged);
    const { code, stdout, stderr } = await weightspec('run', at('damaged.bin'), '--tokens', '1', '--print-ids');
    await rm(at('damaged.bin'));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '1\n' });
    expect(stderr).toMatch(/^error LOGITS_NOT_FINITE: .*\n {2}hint: .*--deep/m);
    expect(stderr).not.toContain('    at ');
  });
  const greedy = sharedData('llama2c/golden/stories260K.v0.greedy512.txt')!;
  const sampled = sharedData('llama2c/golden/stories260K.v0.t1.p0.9.s133742.n256.txt')!;
  it.skipIf(!story || !greedy || !sampled)('tells the story that run.c tells, greedy and sampled', async () => {
    const all = await weightspec('run', story, '-t', '0', '-n', '512', '-p', '');
    expect(all.stdout).toBe(await readFile(greedy, 'utf8'));
    const start = await weightspec('run', story, '-t', '0', '-n', '200', '-p', '');
    expect(all.stdout.startsWith(start.stdout.trimEnd())).toBe(true);
    expect(start.stdout.length).toBeGreaterThan(400);
    const drawn = await weightspec('run', story, '-t', '1', '--top-p', '0.9', '-s', '133742', '-n', '256', '-p', '');
    expect(drawn.stdout).toBe(await readFile(sampled, 'utf8'));
  });
});

describe('logits', () => {
  it('writes one little-endian row, or one a token', async () => {
    const out = at('rows.f32');
    expect(await weightspec('logits', at('good/model.bin'), '--tokens', '1,2,3', '--out', out, '--all')).toMatchObject({ code: 0, stdout: '' });
    const all = await readFile(out);
    expect(all).toHaveLength(3 * 300 * 4);
    await weightspec('logits', at('good/model.bin'), '--tokens', '1,2,3', '--out', out);
    expect((await readFile(out)).equals(all.subarray(2 * 300 * 4))).toBe(true);
  });
  it.each([Number.NaN, Infinity])('writes no row of %d, and leaves what was there (LOGITS_NOT_FINITE)', async (value) => {
    const damaged = modelBytes();
    new DataView(damaged.buffer).setFloat32(28 + 4 * 2 * config.dim, value, true); // in the embedding of token 2
    await writeFile(at('damaged.bin'), damaged);
    await writeFile(at('before.f32'), 'before');
    const { code, stdout, stderr } = await weightspec('logits', at('damaged.bin'), '--tokens', '1,2', '--all', '--out', at('before.f32'));
    await rm(at('damaged.bin'));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^error LOGITS_NOT_FINITE: row \d has .*\n {2}hint: .*--deep/m);
    expect(await readFile(at('before.f32'), 'utf8')).toBe('before');
  });
  it('never overwrites the model (IO_SAME_FILE)', async () => {
    const model = at('good/model.bin');
    expect(await weightspec('logits', model, '--tokens', '1', '--out', model)).toMatchObject({ code: 2, stderr: expect.stringContaining('IO_SAME_FILE') as string });
    expect(new Uint8Array(await readFile(model))).toEqual(modelBytes());
  });
  const golden = sharedData('llama2c/golden/stories260K.v0.logits346x512.f32')!;
  it.skipIf(!story || !golden)('agrees with torch on the first rows of stories260K', async () => {
    await weightspec('logits', story, '--tokens', '1,403,407,261', '--all', '--out', at('story.f32'));
    const f32 = async (path: string, count: number) => new Float32Array((await readFile(path)).buffer.slice(0, count * 4));
    const [ours, theirs] = [await f32(at('story.f32'), 2048), await f32(golden, 2048)];
    // Logits of -O3 and fast-math builds of run.c differ by up to 5.3e-5; a wrong weight or position moves them by more than 0.1.
    expect(Math.max(...ours.map((value, index) => Math.abs(value - (theirs[index] ?? Number.NaN))))).toBeLessThan(1e-4);
  });
});

describe('explain, codes, formats', () => {
  it('explains a code in any letter case', async () => {
    const { code, stdout } = await weightspec('explain', 'format_gguf');
    expect(code).toBe(0);
    for (const part of ['FORMAT_GGUF', 'error', 'specs/formats#F-2.7', 'what to do']) expect(stdout).toContain(part);
  });
  it('shows what the clause says and the smallest file that breaks it, with its bytes', async () => {
    const { stdout } = await weightspec('explain', 'SAFETENSORS_OVERLAP');
    expect(stdout).toMatch(/^ {2}clause +specs\/safetensors#S-5\.5$\n^ {14}Sorted by begin/m);
    expect(stdout).toMatch(/^ {2}example +fixtures\/safetensors\/invalid\/overlap.*\.safetensors$/m);
    expect(stdout).toMatch(/^ +data_offsets\[0\]$[^]*^ +0000[0-9a-f]{4} {2}[^]*^ +\^\^/m);
    const { stdout: program } = await weightspec('explain', 'IO_CHANGED');
    expect(program).toMatch(/^ {2}example +http:\/\/127\.0\.0\.1:8000: a server whose file is replaced[^]*^ {14}await source\.read[^]*^ {2}says +.*ETag was "1" and is now "2"$/m);
    expect((await weightspec('explain', 'CONFORM_BITS')).stdout).toMatch(/^ {2}example +adapter\.mjs:$[^]*^ {16}import \{ createInterface[^]*^ {14}\$ weightspec conform codecs/m);
  });
  it('breaks lines at words on a terminal, and nowhere else', async () => {
    let shown = '';
    await explain('TORCH_GLOBAL', { stdout: { isTTY: true, columns: 80, write: (text) => (shown += String(text)) }, stderr: { write: () => 0 }, env: { NO_COLOR: '1' } });
    const wording = shown.split('\n').filter((line) => line.startsWith(' '.repeat(14)) && !line.includes('|'));
    expect(wording.length).toBeGreaterThan(5);
    expect(Math.max(...wording.map(({ length }) => length))).toBeLessThanOrEqual(80);
    expect((await weightspec('explain', 'TORCH_GLOBAL')).stdout.split('\n').some(({ length }) => length > 400)).toBe(true);
    expect(wrapped('one two longest-of-all x', 7)).toEqual(['one two', 'longest-of-all', 'x']);
    expect(wrapped('', 7)).toEqual(['']);
  });
  it('suggests the nearest codes and exits 2 for one that does not exist (CLI_UNKNOWN_CODE)', async () => {
    const { code, stdout, stderr } = await weightspec('explain', 'FORMAT_GUF');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('FORMAT_GGUF');
    expect(nearest('ZZZZZZ', ['FORMAT_GGUF'])).toEqual([]);
    expect(editDistance('kitten', 'sitting')).toBe(3);
  });
  it('gives every code one family, one clause, a reason and advice', () => {
    const rows = allCodeFamilies().flatMap(({ codes }) => Object.entries(codes));
    expect(new Set(rows.map(([code]) => code)).size).toBe(rows.length);
    const incomplete = rows.filter(([code, { clause, summary, rationale, hint }]) => {
      const named = /^[A-Z0-9]+(_[A-Z0-9]+)+$/.test(code) && /^(specs|docs|packages)\/[\w-]+#[\w.-]+$/.test(clause);
      return !named || Math.min(summary.length, rationale.length, hint.length) < 6;
    });
    expect(incomplete).toEqual([]);
    expect(rows.length).toBeGreaterThan(60);
  });
  it('lists formats and codes as JSON', async () => {
    const formats = JSON.parse((await weightspec('formats', '--json')).stdout) as { id: string; variants: string[] }[];
    expect(formats.find(({ id }) => id === 'llama2c')?.variants).toContain('v2-contiguous');
    const codes = JSON.parse((await weightspec('codes', '--json')).stdout) as { code: string; severity: string }[];
    expect(codes).toContainEqual(expect.objectContaining({ code: 'FORMAT_AMBIGUOUS', severity: 'warning', family: 'formats' }));
  });
});

describe('usage', () => {
  it.each([
    [['--nonsense']],
    [['validate']],
    [['validate', '--format', 'xml', 'x']],
    [['validate', '--report', 'x.pdf', 'x']],
    [['validate', '--max-errors', '-1', 'x']],
    [['frobnicate']],
    [['run', 'x', '-p', 'a', '-n', '-1']],
    [['run', 'x', '-p', 'a', '-t', 'warm']],
    [['run', 'x', '-p', 'a', '--tokens', '1']],
    [['run', 'x']],
    [['run', 'x', '-p', 'a', '-s', '0']],
    [['logits', 'x', '--tokens', '1,b', '--out', 'y']],
    [['logits', 'x', '--tokens', '1']],
    [[]],
  ])('exits 2 and prints nothing on stdout: %j', async (argv) => {
    const { code, stdout, stderr } = await weightspec(...argv);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).not.toBe('');
  });
  it('prints help and version on stdout and exits 0', async () => {
    expect(await weightspec('--help')).toMatchObject({ code: 0, stderr: '' });
    expect((await weightspec('validate', '--help')).stdout).toContain('--strict');
    expect((await weightspec('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
