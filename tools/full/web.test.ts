// The page in headless Chromium, served by `weightspec web`: dropped, diagnosed, inspected and run as a person would.
// Screenshots are left in tools/full/artifacts. CHROMIUM_PATH may name another browser than Debian's.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const golden = (path: string): string => join(root, 'fixtures/golden', path);
const artifacts = join(root, 'tools/full/artifacts');
const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';
const flags = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const isThere = existsSync(executablePath);
if (!isThere) process.stderr.write(`skipped: the page's browser tests need Chromium at ${executablePath}: apt-get install -y chromium (or set CHROMIUM_PATH)\n`);

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const weightspec = (...argv: string[]): string => spawnSync(process.execPath, [join(root, 'packages/cli/bin/weightspec.js'), ...argv], { encoding: 'utf8' }).stdout;

/** A safetensors file whose values are a hole: zeros that take no room on the disk. */
function writeZeros(path: string, tensors: Readonly<Record<string, { readonly dtype: 'F16' | 'F32' | 'BF16'; readonly shape: readonly number[] }>>): void {
  let end = 0;
  const header = JSON.stringify(Object.fromEntries(Object.entries(tensors).map(([name, { dtype, shape }]) => {
    const start = end;
    end += shape.reduce((count, length) => count * length, dtype === 'F32' ? 4 : 2);
    return [name, { dtype, shape, data_offsets: [start, end] }];
  })));
  const head = Buffer.alloc(8 + Math.ceil(header.length / 8) * 8, ' ');
  head.writeBigUInt64LE(BigInt(head.length - 8));
  head.write(header, 8);
  const file = openSync(path, 'w');
  writeSync(file, head);
  ftruncateSync(file, head.length + end);
  closeSync(file);
}

interface Expected {
  readonly prompts: readonly { readonly prompt: string; readonly text: string }[];
}
const recited = (JSON.parse(readFileSync(golden('recite/expected.json'), 'utf8')) as Expected).prompts;

/** Layers of a Llama with 2048 dimensions: 205 MB each. */
function largeLayers(count: number): Parameters<typeof writeZeros>[1] {
  const [dim, hidden] = [2048, 5632];
  const of = (layer: number): [string, number[]][] => [
    ...['input_layernorm', 'post_attention_layernorm'].map((name): [string, number[]] => [`model.layers.${layer}.${name}.weight`, [dim]]),
    ...['q', 'k', 'v', 'o'].map((name): [string, number[]] => [`model.layers.${layer}.self_attn.${name}_proj.weight`, [dim, dim]]),
    ...['gate', 'up'].map((name): [string, number[]] => [`model.layers.${layer}.mlp.${name}_proj.weight`, [hidden, dim]]),
    [`model.layers.${layer}.mlp.down_proj.weight`, [dim, hidden]],
  ];
  const shapes = Array.from({ length: count }, (_, layer) => of(layer)).flat();
  return Object.fromEntries([...shapes, ['model.norm.weight', [dim]] as const].map(([name, shape]) => [name, { dtype: 'F32', shape }]));
}

let browser: Browser;
let server: ChildProcess;
let origin: string;
let work: string;
let page: Page;
/** What must stay empty: errors of the page, and what its policy forbade. */
let complaints: string[];
/** Every address that the page asked for, but for its own. */
let strangers: string[];

describe.skipIf(!isThere)('the page', { timeout: 120_000 }, () => {
  beforeAll(async () => {
    mkdirSync(artifacts, { recursive: true });
    work = mkdtempSync(join(tmpdir(), 'weightspec-web-'));
    server = spawn(process.execPath, [join(root, 'packages/cli/bin/weightspec.js'), 'web', '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    origin = await new Promise<string>((resolve, reject) => {
      server.stdout!.once('data', (text: Buffer) => resolve(text.toString().trim()));
      server.once('exit', (code) => reject(new Error(`weightspec web ended with ${code}`)));
    });
    browser = await chromium.launch({ executablePath, args: flags });
  });
  afterAll(async () => {
    await browser?.close();
    server?.kill('SIGINT');
    rmSync(work, { recursive: true, force: true });
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') await picture(`failed ${task.name.slice(0, 60)}`).catch(() => undefined);
    await page.context().close();
    if (complaints.length > 0 || strangers.length > 0) throw new Error(['the page complained, or asked for other addresses:', ...complaints, ...strangers].join('\n'));
  });

  async function openPage(options: BrowserContextOptions = {}, launched = browser): Promise<void> {
    complaints = [];
    strangers = [];
    page = await (await launched.newContext({ viewport: { width: 1280, height: 900 }, permissions: ['clipboard-read', 'clipboard-write'], ...options })).newPage();
    page.setDefaultTimeout(60_000);
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.context().on('request', (request) => !request.url().startsWith(origin) && strangers.push(request.url()));
    await page.goto(origin);
  }
  const button = (name: string | RegExp): Locator => page.getByRole('button', { name, exact: typeof name === 'string' });
  const region = (name: string): Locator => page.getByRole('region', { name });
  const tensor = (name: string): Locator => region('Table of tensors').getByRole('button', { name, exact: true });
  const title = (name: string): Promise<void> => page.getByRole('heading', { level: 2, name }).waitFor();
  const picture = async (name: string): Promise<void> => void (await page.screenshot({ path: join(artifacts, `${name}.png`), fullPage: true }));
  const choose = (paths: string | readonly string[]): Promise<void> => page.getByLabel('Files', { exact: true }).setInputFiles([paths].flat());
  const markedBytes = (): Promise<string[]> => page.locator('.codes .marked').allTextContents();
  const generated = (): Locator => page.locator('.generated');
  async function tryExample(): Promise<void> {
    await button('Try an example').click();
    await title('recite/model.bin');
  }
  /** Drops a file or a folder as the system does. */
  async function drop(path: string): Promise<void> {
    const session = await page.context().newCDPSession(page);
    const data = { items: [], files: [path], dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const) await session.send('Input.dispatchDragEvent', { type, x: 600, y: 300, data });
  }
  /** Rules of WCAG 2 A and AA and of good practice that the page breaks, as axe-core sees it. */
  const barriers = async (): Promise<string[]> => {
    await page.evaluate(axe);
    return page.evaluate(async () => {
      const { axe: checker } = globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { target: string[] }[] }[] }> } };
      return (await checker.run()).violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id} ${target.join(' ')}`));
    });
  };
  const focused = (): Promise<string> => page.evaluate(() => document.activeElement?.textContent ?? '');
  const overflow = (): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

  it('says what it does, and is isolated, so that threads can share memory', async () => {
    await openPage();
    expect(await page.title()).toContain('Weightspec');
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await picture('start');
  });

  it('is used by keyboard: the drop zone comes first, and opens the file chooser', async () => {
    await openPage();
    // From here on, because Chromium is told to hand choosers over while it goes on.
    const chooser = page.waitForEvent('filechooser');
    await page.keyboard.press('Tab');
    expect(await focused()).toContain('Drop a weight file or folder here');
    await page.keyboard.press('Enter');
    await (await chooser).setFiles([golden('recite/model.bin'), golden('recite/tokenizer.bin')]);
    await title('model.bin');
    for (const expected of ['Open another file', 'Choose a folder', 'Try an example', 'Try a broken one']) {
      await page.getByText(expected).focus();
      expect(await focused()).toContain(expected);
    }
    await tensor('layers.0.attention.wq.weight').focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 3, name: 'layers.0.attention.wq.weight' }).waitFor();
    // The keyboard goes on from what was opened.
    await expect.poll(focused).toBe('layers.0.attention.wq.weight');
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Show its bytes');
    await page.keyboard.press('Enter');
    await expect.poll(focused).toBe('Bytes');
    await page.getByLabel('Prompt').fill(recited[0]!.prompt);
    await page.getByLabel('Prompt').press('Control+Enter');
    await expect.poll(() => generated().textContent(), { timeout: 30_000 }).toBe(recited[0]!.text.slice(recited[0]!.prompt.length));
  });

  describe('a broken file', () => {
    it('is diagnosed: a finding shows its bytes and its clause, a field its value and its clauses', async () => {
      await openPage();
      await button('Try a broken one').click();
      await title('heads-do-not-divide.bin');
      expect(await region('heads-do-not-divide.bin').locator('.verdict').textContent()).toBe('Invalid');
      await button(/LLAMA2C_HEADS_DIVIDE_DIM/).click();
      await expect.poll(markedBytes).toEqual(['03', '00', '00', '00']);
      await region('Findings').getByText('n_heads divides dim; n_kv_heads ≤ n_heads and n_kv_heads divides n_heads.').waitFor();
      await picture('broken');
      await button('vocab_size').click();
      await expect.poll(markedBytes).toEqual(['06', '00', '00', '00']);
      await button('Copy the marked').click();
      await button('Copied').waitFor();
      expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('06 00 00 00');
      const bytes = region('Bytes');
      await bytes.getByText('specs/llama2c#C-2.2').waitFor();
      expect(await bytes.locator('.field-detail').textContent()).toContain('bytes [20, 24), 4 of them: 6');
      // A byte leads to its field, too.
      await bytes.locator('.codes [data-at="0"]').click();
      await bytes.getByRole('heading', { name: 'dim', exact: true }).waitFor();
    });

    it('has a report to keep, with what the command says', async () => {
      await openPage();
      await button('Try a broken one').click();
      await title('heads-do-not-divide.bin');
      const download = page.waitForEvent('download');
      await button('Save the report (JSON)').click();
      const kept = await download;
      expect(kept.suggestedFilename()).toBe('heads-do-not-divide.bin.report.json');
      interface Kept { readonly tool: object; readonly reports: readonly { readonly path: string; readonly diagnostics: readonly object[]; readonly stats: object }[] }
      const saved = JSON.parse(readFileSync(await kept.path(), 'utf8')) as Kept;
      const told = JSON.parse(weightspec('validate', '--format', 'json', join(root, 'fixtures/llama2c/invalid/v0-heads-do-not-divide-dim.bin'))) as Kept;
      expect(saved.tool).toEqual(told.tool);
      expect(saved.reports[0]).toMatchObject({ verdict: 'invalid', stats: told.reports[0]!.stats, diagnostics: [{ code: 'LLAMA2C_HEADS_DIVIDE_DIM', clause: 'specs/llama2c#C-1.5', byteRange: [12, 16] }] });
    });

    it('may be the configuration of a model that was dropped without its folder', async () => {
      const config = readFileSync(golden('addition/config.json'), 'utf8');
      writeFileSync(join(work, 'config.json'), config.replace('{', '{"vocab_size": 272, '));
      await openPage();
      await choose([golden('addition/model.safetensors'), join(work, 'config.json')]);
      await title('the files dropped');
      await button(/FOLDER_CONFIG_JSON/).click();
      await expect.poll(async () => (await page.locator('.ascii .marked').allTextContents()).join('')).toBe('"vocab_size"');
      expect(await region('Bytes').getByRole('combobox').inputValue()).toBe('config.json');
    });

    it('may be an index, which is opened with the shards beside it and says which is missing', async () => {
      const shards = join(work, 'diffusers');
      weightspec('convert', golden('addition'), shards, '--to', 'safetensors', '--shard-size', '300kB');
      const index = join(shards, 'diffusion_pytorch_model.safetensors.index.json');
      renameSync(join(shards, 'model.safetensors.index.json'), index);
      const [first, ...others] = [1, 2, 3].map((number) => join(shards, `model-0000${number}-of-00003.safetensors`));
      await openPage();
      await choose([index, first!, ...others]);
      await title('diffusion_pytorch_model.safetensors.index.json');
      expect(await page.locator('.verdict').textContent()).toBe('Valid');
      expect(await region('Table of tensors').locator('tbody tr').count()).toBe(29);
      await choose([index, ...others]);
      await button(/SHARDED_INDEX_SHARD_MISSING/).click();
      await expect.poll(async () => (await page.locator('.ascii .marked').allTextContents()).join('')).toBe('"model-00001-of-00003.safetensors"');
    });

    it('may be dropped, and truncated: the finding leads to its end', async () => {
      const bytes = readFileSync(golden('recite/model.bin')).subarray(0, -1);
      writeFileSync(join(work, 'truncated.bin'), bytes);
      await openPage();
      // Its vocabulary, which is valid, is not what was meant.
      await choose([join(work, 'truncated.bin'), golden('recite/tokenizer.bin')]);
      await title('truncated.bin');
      await page.getByLabel('Looking at').selectOption({ label: 'tokenizer.bin' });
      await title('tokenizer.bin');
      expect(await button('Run').count()).toBe(0);
      await drop(join(work, 'truncated.bin'));
      await title('truncated.bin');
      await button(/LLAMA2C_TRUNCATED/).click();
      await button('End of the marked').click();
      const last = page.locator(`.codes [data-at="${bytes.length - 1}"]`);
      await last.waitFor();
      expect(await last.getAttribute('class')).toContain('marked');
    });
  });

  describe('a model', () => {
    it('is inspected: table, areas, values', async () => {
      await openPage();
      await tryExample();
      expect(await region('recite/model.bin').locator('.verdict').textContent()).toBe('Valid');
      const rows = region('Table of tensors').locator('tbody tr');
      expect(await rows.count()).toBe(32);
      await button('Bytes').click();
      expect(await rows.first().textContent()).toContain('105 kB');
      await page.getByLabel('Filter').fill('layers.1 norm');
      expect(await rows.locator('td:first-child').allTextContents()).toEqual(['layers.1.attention_norm.weight', 'layers.1.ffn_norm.weight']);

      const areas = page.getByRole('img', { name: /Bytes by tensor/ });
      await areas.locator('canvas').waitFor();
      await areas.click({ position: { x: 40, y: 60 } });
      const chosen = page.locator('.detail h3');
      await chosen.waitFor();
      expect(await chosen.textContent()).toMatch(/^(layers\.\d\.|tok_embeddings|output)/);

      await page.getByLabel('Filter').fill('');
      await tensor('tok_embeddings.weight').click();
      await button('Histogram and quantization error').click();
      await page.getByRole('img', { name: /^Histogram/ }).locator('canvas').waitFor();
      const errors = region('Quantization error').locator('tbody tr');
      expect(await errors.locator('th').allTextContents()).toEqual(['F16', 'BF16', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0']);
      const q8 = await errors.filter({ hasText: 'Q8_0' }).locator('td').allTextContents();
      // 26304 values in blocks of 32 at 34 bytes; a step of max/127 gives some 45 dB.
      expect(q8[0]).toBe('27.9 kB');
      expect(Number.parseFloat(q8[3]!)).toBeGreaterThan(40);
      await picture('inspected');

      await button('Copy its name').click();
      await button('Copied').waitFor();
      expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('tok_embeddings.weight');
      await button('Show its bytes').click();
      await expect.poll(async () => (await markedBytes()).length).toBeGreaterThan(100);
      expect(await page.locator('.codes .marked').first().getAttribute('data-at')).toBe('28');
    });

    it('is checked to its last byte', async () => {
      await openPage();
      await tryExample();
      await button('Check every byte').click();
      await page.getByText('every value of 32 tensors').waitFor();
      expect(await region('recite/model.bin').locator('.verdict').textContent()).toBe('Valid');
    });

    it.each([['reference', 'the reference backend'], ['wasm', 'WebAssembly']])('runs on %s and recites the golden text, word by word', async (id, name) => {
      await openPage();
      await tryExample();
      await page.getByLabel('Backend').selectOption(id);
      for (const { prompt, text } of recited) {
        await page.getByLabel('Prompt').fill(prompt);
        await button('Run').click();
        await expect.poll(() => generated().textContent(), { timeout: 30_000 }).toBe(text.slice(prompt.length));
        await page.getByText('The model ended the text.').waitFor();
      }
      expect(await page.locator('.backend').textContent()).toBe(name);
      expect(await region('Run it').getByRole('status').textContent()).toMatch(/\d tokens\/s/);
      await picture(`run-${id}`);
    });

    it('makes another text at a temperature, and the same again with its seed', async () => {
      await openPage();
      await tryExample();
      await page.getByLabel('Backend').selectOption('reference');
      await page.getByLabel('Tokens').fill('20');
      await page.getByLabel('Temperature').fill('5');
      await page.getByLabel('Top-p').fill('1');
      const texts: (string | null)[] = [];
      for (const seed of ['7', '7', '8']) {
        await page.getByLabel('Seed').fill(seed);
        await button('Run').click();
        await page.getByText(new RegExp(`Seed ${seed}\\.$`)).waitFor();
        texts.push(await generated().textContent());
      }
      expect(texts[1]).toBe(texts[0]);
      expect(texts[2]).not.toBe(texts[0]);
      await page.getByLabel('Seed').fill('');
      await button('Run').click();
      await page.getByText(/Seed \d{5,}\.$/).waitFor();
      await button('Copy the text').click();
      await button('Copied').waitFor();
      expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(await generated().textContent());
    });

    it('runs on what is best here, and says why others do not', async () => {
      await openPage();
      await tryExample();
      await button('Run').click();
      await expect.poll(() => generated().textContent(), { timeout: 30_000 }).toBe(recited[0]!.text);
      const id = await page.locator('.backend').getAttribute('data-backend');
      const refused = await page.locator('.backends .dim').allTextContents();
      expect(refused.map((text) => text.split(' does not run here: ')[0])).toEqual(['WebGPU', 'WebAssembly'].slice(0, ['webgpu', 'wasm', 'reference'].indexOf(id!)));
    });

    it('names a backend that cannot run rather than run elsewhere', async () => {
      const without = await chromium.launch({ executablePath, args: [...flags, '--disable-features=WebGPU', '--disable-gpu'] });
      try {
        await openPage({}, without);
        await tryExample();
        await page.getByLabel('Backend').selectOption('webgpu');
        await button('Run').click();
        await page.getByText('BACKEND_UNAVAILABLE').waitFor();
        expect(await generated().count()).toBe(0);
      } finally {
        await page.context().close();
        await without.close();
      }
    });

    it('stops when it is told to, and runs again', async () => {
      // Zeros, of which greedy decoding makes id 0 for ever; large enough to take its time.
      const [dim, hidden, layers, heads, vocabulary, positions] = [512, 1376, 8, 8, 32_000, 1024] as const;
      const header = Buffer.alloc(256);
      header.write('24ka');
      [1, dim, hidden, layers, heads, heads, vocabulary, positions].forEach((value, index) => header.writeInt32LE(value, 4 + 4 * index));
      header.writeUInt8(1, 36);
      const path = join(work, 'zeros.bin');
      const file = openSync(path, 'w');
      writeSync(file, header);
      ftruncateSync(file, 256 + 4 * ((2 * layers + 1) * dim + vocabulary * dim + layers * (4 * dim * dim + 3 * dim * hidden)));
      closeSync(file);
      await openPage();
      await choose(path);
      await title('zeros.bin');
      await page.getByLabel('Backend').selectOption('reference');
      await page.getByLabel('Prompt').fill('1');
      for (const run of [1, 2]) {
        await button('Run').click();
        await expect.poll(() => generated().textContent({ timeout: 20_000 }), { timeout: 40_000 }).toMatch(/^0, 0/);
        await button('Stop').click();
        await page.getByText(/^Stopped\. \d+ tokens/).waitFor();
        expect((await generated().textContent())!.split(',').length, `run ${run}`).toBeLessThan(256);
      }
    });

    it('shows how much of its weights is loaded, and stops loading when it is told to', async () => {
      writeZeros(join(work, 'loading.safetensors'), { 'model.embed_tokens.weight': { dtype: 'F32', shape: [32_000, 2048] }, ...largeLayers(6) });
      writeFileSync(join(work, 'config.json'), JSON.stringify({ model_type: 'llama', hidden_size: 2048, intermediate_size: 5632, num_hidden_layers: 6, num_attention_heads: 16, num_key_value_heads: 16, vocab_size: 32_000, rms_norm_eps: 1e-5, torch_dtype: 'float32', tie_word_embeddings: true, max_position_embeddings: 256 }));
      await openPage();
      await choose([join(work, 'loading.safetensors'), join(work, 'config.json')]);
      await title('the files dropped');
      await page.getByLabel('Backend').selectOption('wasm');
      await page.getByLabel('Prompt').fill('1');
      await button('Run').click();
      await expect.poll(() => page.getByRole('progressbar', { name: 'Weights read' }).evaluate((bar: HTMLProgressElement) => bar.value), { timeout: 30_000 }).toBeGreaterThan(0);
      await button('Stop').click();
      await page.getByText('Stopped before the weights were loaded.').waitFor();
      expect(await button('Run').isEnabled()).toBe(true);
    });

    it('runs by token ids where no tokenizer was dropped, and with one that is chosen', async () => {
      await openPage();
      await choose(golden('recite/model.bin'));
      await title('model.bin');
      await page.getByLabel('Backend').selectOption('reference');
      await page.getByLabel('Prompt').fill('1');
      await button('Run').click();
      await expect.poll(() => generated().textContent(), { timeout: 30_000 }).toMatch(/^298, 382, 318, .*, 334, 385$/);
      await page.getByText('there is no tok411.bin, tokenizer.bin, tokenizer.model beside the model').waitFor();
      await page.getByLabel('Tokenizer file').setInputFiles(golden('recite/tokenizer.bin'));
      await page.getByLabel('Prompt').fill('');
      await button('Run').click();
      await expect.poll(() => generated().textContent(), { timeout: 30_000 }).toBe(recited[0]!.text);
    });

    it('is taken from a folder with its configuration and tokenizer', async () => {
      await openPage();
      await drop(golden('addition'));
      await title('addition');
      // The weights' bytes come first, with the header's keys as fields; any other file of the folder can be looked at.
      await button('len_header').waitFor();
      await region('Bytes').getByRole('combobox').selectOption('addition/config.json');
      await page.locator('.ascii').first().getByText('{').waitFor();
      expect(await page.getByRole('alert').count()).toBe(0);
      await page.getByLabel('Prompt').fill('17+25=');
      await button('Run').click();
      await expect.poll(() => generated().textContent(), { timeout: 30_000 }).toMatch(/^42/);
      await picture('folder');
    });
  });

  describe('a file of ten thousand tensors, some with names of hundreds of letters', () => {
    let path: string;
    beforeAll(() => {
      path = join(work, 'many.safetensors');
      const names = Array.from({ length: 9990 }, (_, index) => `model.layers.${Math.floor(index / 10)}.mlp.experts.${index % 10}.up_proj.weight`);
      const long = Array.from({ length: 10 }, (_, index) => `${'a_module_with_a_long_name.'.repeat(20)}${index}`);
      writeZeros(path, Object.fromEntries([...names, ...long].map((name, index) => [name, { dtype: index % 100 === 0 ? 'F16' : 'BF16', shape: [4, 8] }])));
    });

    it.each([1280, 390])('lays out only the rows that are seen, and finds and sorts among all, %i pixels wide', async (width) => {
      await openPage({ viewport: { width, height: 844 }, isMobile: width < 600, hasTouch: width < 600 });
      await choose(path);
      await title('many.safetensors');
      const table = region('Table of tensors');
      const rows = table.locator('tbody tr[aria-rowindex]');
      expect(await table.getByRole('table').getAttribute('aria-rowcount')).toBe('10001');
      expect(await rows.count()).toBeLessThan(100);
      await table.evaluate((element) => element.scrollTo(0, element.scrollHeight));
      await table.locator('tr[aria-rowindex="10001"]').waitFor();
      expect(await rows.count()).toBeLessThan(100);
      // Names are cut, not the page.
      expect(await overflow()).toBe(0);
      await picture(`many-${width}`);

      await button('Tensor').click();
      await expect.poll(() => rows.first().locator('td').first().textContent()).toMatch(/^a_module.*0$/);
      await page.getByLabel('Filter').fill('layers.77. experts.5');
      await expect.poll(() => rows.locator('td:first-child').allTextContents()).toEqual(['model.layers.77.mlp.experts.5.up_proj.weight']);
      await page.getByLabel('Filter').fill('no such name');
      await page.getByText('No tensor has such a name or type.').waitFor();
      // F16 is a part of the word BF16.
      await page.getByRole('list', { name: 'Types' }).getByRole('button', { name: /^F16/ }).click();
      await page.getByText('100 of 10,000, 6.40 kB').waitFor();
      expect(new Set(await rows.locator('td:nth-child(2)').allTextContents())).toEqual(new Set(['F16']));
    });
  });

  describe('a file of 5 GB', () => {
    const size = 5 * 2 ** 30;
    let path: string;
    beforeAll(() => {
      path = join(work, 'large.safetensors');
      writeZeros(path, { weight: { dtype: 'F16', shape: [size / 2 / 4096, 4096] } });
    });

    it('opens in under a second, and a check of all of it can be cancelled', async () => {
      await openPage();
      // Measured in the page, because Chromium first hands the file over; the best of three, because other tests run meanwhile.
      await page.evaluate(() => {
        const times = globalThis as unknown as { opening: number; opened?: number };
        document.querySelector('input[type=file]')!.addEventListener('change', () => Object.assign(times, { opening: performance.now(), opened: undefined }), { capture: true });
        new MutationObserver(() => {
          if (document.querySelector('#summary-title')?.textContent === 'large.safetensors') times.opened ??= performance.now();
        }).observe(document.body, { subtree: true, childList: true, characterData: true });
      });
      const milliseconds: number[] = [];
      for (let attempt = 0; attempt < 3; attempt++) {
        await choose(golden('recite/model.bin'));
        await title('model.bin');
        await choose(path);
        await title('large.safetensors');
        milliseconds.push(await page.evaluate(() => {
          const { opening, opened } = globalThis as unknown as { opening: number; opened: number };
          return opened - opening;
        }));
      }
      process.stderr.write(`5 GB opened in ${milliseconds.map(Math.round).join(', ')} ms\n`);
      expect(Math.min(...milliseconds)).toBeLessThan(1000);
      expect(await region('large.safetensors').textContent()).toContain('5.37 GB');

      await button('Check every byte').click();
      await page.getByRole('progressbar').waitFor();
      await button('Cancel').click();
      await button('Check every byte').waitFor();
    });

    it('has values that are streamed, and whose streaming can be cancelled', async () => {
      await openPage();
      await choose(path);
      await title('large.safetensors');
      await tensor('weight').click();
      await button('Histogram and quantization error').click();
      await expect.poll(() => page.getByRole('progressbar').evaluate((bar: HTMLProgressElement) => bar.value), { timeout: 30_000 }).toBeGreaterThan(0);
      await button('Cancel').click();
      await button('Histogram and quantization error').waitFor();
    });

    it('is checked on while the values of a tensor are read, and either ends alone', async () => {
      await openPage();
      await choose(path);
      await title('large.safetensors');
      const check = page.getByRole('group', { name: 'Reading every byte' });
      const values = page.getByRole('group', { name: 'Reading its values' });
      await button('Check every byte').click();
      await check.waitFor();
      await tensor('weight').click();
      await button('Histogram and quantization error').click();
      await values.getByRole('button', { name: 'Cancel' }).click();
      await button('Histogram and quantization error').click();
      await values.waitFor();
      await check.getByRole('button', { name: 'Cancel' }).click();
      await button('Check every byte').waitFor();
      expect(await values.count()).toBe(1);
    });
  });

  describe('an address', () => {
    let files: Server;
    let folders: string;
    /** What may read the answers: 'found' leaves "not found" out, as servers do that add headers to good answers only. */
    let allowed: 'all' | 'found' | 'none';
    const seen: string[] = [];
    const isAllowed = (response: ServerResponse, isFound: boolean): void => {
      if (allowed === 'none' || (allowed === 'found' && !isFound)) return;
      for (const [name, value] of Object.entries({ 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': 'range', 'Access-Control-Expose-Headers': 'content-range, etag' })) response.setHeader(name, value);
    };
    beforeAll(async () => {
      const sharded = join(work, 'sharded');
      weightspec('convert', golden('addition'), sharded, '--to', 'safetensors', '--shard-size', '300kB');
      if (!existsSync(join(sharded, 'model-00003-of-00003.safetensors'))) throw new Error('the command has not made three shards');
      files = createServer((request, response) => {
        const path = request.url!.slice(1);
        const file = path.startsWith('sharded/') ? join(work, path) : golden(path);
        const isFound = existsSync(file) && !path.endsWith('/');
        if (request.method === 'GET') seen.push(`${path} ${request.headers.range ?? 'all'}${isFound ? '' : ' 404'}`);
        isAllowed(response, isFound || request.method === 'OPTIONS');
        if (request.method === 'OPTIONS' || !isFound) {
          response.writeHead(request.method === 'OPTIONS' ? 204 : 404).end();
          return;
        }
        const bytes = readFileSync(file);
        const [, first = '0', last = String(bytes.length - 1)] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
        const end = Math.min(bytes.length, Number(last) + 1);
        response.writeHead(206, { 'Content-Range': `bytes ${first}-${end - 1}/${bytes.length}`, 'Content-Length': end - Number(first) });
        response.end(bytes.subarray(Number(first), end));
      }).listen(0, '127.0.0.1');
      await new Promise((resolve) => files.once('listening', resolve));
      folders = `http://127.0.0.1:${(files.address() as AddressInfo).port}`;
    });
    afterAll(() => void files.close());
    afterEach(() => {
      // The files' own server is no stranger here; anything else is.
      strangers = strangers.filter((url) => !url.startsWith(`${folders}/`));
      // The browser itself complains of what is not there, and of what the page explains.
      complaints = complaints.filter((text) => !/CORS|ERR_FAILED|404 \(Not Found\)/.test(text));
    });
    async function openAddress(path: string): Promise<void> {
      seen.length = 0;
      await openPage();
      await page.getByLabel('Address of a file').fill(`${folders}/${path}`);
      await button('Open').click();
    }
    const asked = (): string[] => [...new Set(seen.map((request) => request.replace(/ (bytes=[\d-]+|all)/, '')))];

    it('is read by ranges where its server allows it, with the vocabulary beside it', async () => {
      allowed = 'all';
      await openAddress('recite/model.bin');
      await title(`${folders}/recite/model.bin`);
      expect(await region(`${folders}/recite/model.bin`).locator('.verdict').textContent()).toBe('Valid');
      expect(seen[0]).toBe('recite/model.bin bytes=0-65535');
      expect(asked()).toEqual(['recite/model.bin']);
      await page.getByLabel('Backend').selectOption('reference');
      await button('Run').click();
      await expect.poll(() => generated().textContent(), { timeout: 30_000 }).toBe(recited[0]!.text);
      expect(seen.filter((request) => !request.includes(' bytes='))).toEqual([]);
      expect(asked()).toEqual(['recite/model.bin', 'recite/tok411.bin 404', 'recite/tokenizer.bin']);
      await page.getByText('Also asked for: tok411.bin (not there), tokenizer.bin.').waitFor();
    });

    it('of tensors alone is opened with its configuration and vocabulary, says which files were asked for, and asks for no others', async () => {
      allowed = 'all';
      await openAddress('addition/model.safetensors');
      await title(`${folders}/addition/model.safetensors`);
      const summary = region(`${folders}/addition/model.safetensors`);
      expect(await summary.locator('.verdict').textContent()).toBe('Valid');
      await summary.getByText(`29 names and shapes that ${folders}/addition/config.json implies`).waitFor();
      expect(await summary.getByText('Asked for:').locator('..').textContent()).toBe('Asked for: model.safetensors, config.json, tokenizer.bin; not there: tokenizer.json, tokenizer.model, qwen.tiktoken');
      expect(await page.getByRole('alert').count()).toBe(0);
      await region('Bytes').getByRole('combobox').selectOption(`${folders}/addition/config.json`);
      await page.locator('.ascii').first().getByText('{').waitFor();
      await page.getByLabel('Prompt').fill('17+25=');
      await button('Run').click();
      await expect.poll(() => generated().textContent(), { timeout: 30_000 }).toBe('42');
      const usual = ['tokenizer.json', 'tokenizer.model', 'qwen.tiktoken', 'tok272.bin'].map((name) => `addition/${name} 404`);
      expect(asked().toSorted()).toEqual(['addition/config.json', 'addition/model.safetensors', 'addition/tokenizer.bin', ...usual].toSorted());
      await picture('address');
    });

    it.each(['addition/', 'addition/config.json', 'sharded/', 'sharded/model.safetensors.index.json', 'sharded/model-00002-of-00003.safetensors'])('that is %s opens the whole model', async (path) => {
      allowed = 'all';
      await openAddress(path);
      const folder = `${folders}/${path.split('/')[0]}`;
      await title(folder);
      expect(await region(folder).locator('.verdict').textContent()).toBe('Valid');
      await region(folder).getByText(`29 names and shapes that ${folder}/config.json implies`).waitFor();
      expect(await region('Table of tensors').locator('tbody tr').count()).toBe(29);
      await page.getByLabel('Backend').selectOption('reference');
      // The vocabulary does not come with a conversion.
      if (path.startsWith('sharded/')) await page.getByLabel('Tokenizer file').setInputFiles(golden('addition/tokenizer.bin'));
      await page.getByLabel('Prompt').fill('58+67=');
      await button('Run').click();
      await expect.poll(() => generated().textContent(), { timeout: 30_000 }).toBe('125');
    });

    it('is opened where only what is there may be read, and says that the others may be missing or refused', async () => {
      allowed = 'found';
      await openAddress('addition/');
      await title(`${folders}/addition`);
      expect(await region(`${folders}/addition`).locator('.verdict').textContent()).toBe('Valid');
      await page.getByText('refused, or not there: tokenizer.json, tokenizer.model, qwen.tiktoken').waitFor();
      await page.getByText('A browser does not say whether a file is missing or may not be read').waitFor();
    });

    it('of a folder without a model says which names were asked for', async () => {
      allowed = 'all';
      await openAddress('nothing/');
      const alert = page.getByRole('alert');
      await alert.waitFor();
      expect(await alert.textContent()).toMatch(/none of the usual names.*model\.safetensors, model\.safetensors\.index\.json.*IO_NOT_FOUND/s);
    });

    it.each(['addition/model.safetensors', 'addition/'])('is explained where its server does not allow other pages to read it (CORS): %s', async (path) => {
      allowed = 'none';
      await openAddress(path);
      const alert = page.getByRole('alert');
      await alert.waitFor();
      expect(await alert.textContent()).toMatch(/CORS.*download the file and drop it here.*Access-Control-Allow-Origin.*IO_NETWORK/s);
      expect(await barriers()).toEqual([]);
    });

    it('can be reached by no code that sees files, only by the worker that never gets one', async () => {
      allowed = 'all';
      const address = `${folders}/recite/model.bin`;
      await openAddress('recite/model.bin');
      await title(address);
      await button('Run').click();
      await page.getByText('The model ended the text.').waitFor();
      const reach = (url: string): Promise<boolean> => fetch(url).then(() => true, () => false);
      expect(await page.evaluate(reach, address)).toBe(false);
      const threads = page.workers().filter((worker) => /\/(inspector|runner|network)\.worker/.test(worker.url()));
      const reached = await Promise.all(threads.map(async (worker) => `${/(\w+)\.worker/.exec(worker.url())![1]} ${await worker.evaluate(reach, address)}`));
      expect(reached.toSorted()).toEqual(['inspector false', 'network true', 'runner false']);
      complaints = complaints.filter((text) => !text.includes('Content Security Policy'));
    });
  });

  it.each([['light', 390], ['dark', 390], ['dark', 1280]] as const)('in %s, %i pixels wide, cuts nothing off, has nothing to be scrolled sideways, and can be read by all', async (colorScheme, width) => {
    await openPage({ colorScheme, viewport: { width, height: 844 }, isMobile: width < 600, hasTouch: width < 600 });
    expect(await overflow()).toBe(0);
    expect(await barriers()).toEqual([]);
    await picture(`${colorScheme}-${width}-start`);
    await button('Try a broken one').click();
    await title('heads-do-not-divide.bin');
    await button(/LLAMA2C_HEADS_DIVIDE_DIM/).click();
    await expect.poll(markedBytes).toHaveLength(4);
    expect(await overflow()).toBe(0);
    expect(await barriers()).toEqual([]);
    await picture(`${colorScheme}-${width}-broken`);
    await tryExample();
    await tensor('tok_embeddings.weight').click();
    await button('Histogram and quantization error').click();
    await page.getByRole('img', { name: /^Histogram/ }).locator('canvas').waitFor();
    await button('Run').click();
    await expect.poll(() => generated().textContent(), { timeout: 30_000 }).toBe(recited[0]!.text);
    expect(await overflow()).toBe(0);
    expect(await barriers()).toEqual([]);
    await picture(`${colorScheme}-${width}-run`);
  });

  it('runs on WebGPU where the browser has an adapter', async (context) => {
    const gpu = await chromium.launch({ executablePath, args: [...flags, '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'] });
    try {
      await openPage({}, gpu);
      const adapter = await page.evaluate(async () => {
        const { gpu: found } = navigator as unknown as { gpu?: { requestAdapter(): Promise<unknown> } };
        return Boolean(await found?.requestAdapter());
      });
      if (!adapter) {
        process.stderr.write('skipped: this Chromium has no WebGPU adapter, not even SwiftShader\n');
        context.skip();
      }
      await tryExample();
      await page.getByLabel('Backend').selectOption('webgpu');
      await button('Run').click();
      await expect.poll(() => generated().textContent(), { timeout: 50_000 }).toBe(recited[0]!.text);
      expect(await page.locator('.backend').textContent()).toBe('WebGPU');
    } finally {
      await page.context().close();
      await gpu.close();
    }
  });
});
