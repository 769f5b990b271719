// The page in headless Chromium, served by `weightspec web`: dropped, diagnosed, inspected and run as a person would.
// Screenshots are left in tools/full/artifacts. CHROMIUM_PATH may name another browser than Debian's.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
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

interface Expected {
  readonly prompts: readonly { readonly prompt: string; readonly text: string }[];
}
const recited = (JSON.parse(readFileSync(golden('recite/expected.json'), 'utf8')) as Expected).prompts;

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
    page = await (await launched.newContext({ viewport: { width: 1280, height: 900 }, ...options })).newPage();
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
  const overflow = (): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

  it('says what it does, and is isolated, so that threads can share memory', async () => {
    await openPage();
    expect(await page.title()).toContain('Weightspec');
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await picture('start');
  });

  it('is used by keyboard: the drop zone comes first, and opens the file chooser', async () => {
    await openPage();
    const focused = (): Promise<string> => page.evaluate(() => document.activeElement?.textContent ?? '');
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
      const bytes = region('Bytes');
      await bytes.getByText('specs/llama2c#C-2.2').waitFor();
      expect(await bytes.locator('.field-detail').textContent()).toContain('bytes [20, 24), 4 of them: 6');
      // A byte leads to its field, too.
      await bytes.locator('.codes [data-at="0"]').click();
      await bytes.getByRole('heading', { name: 'dim', exact: true }).waitFor();
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

    it('may be dropped, and truncated: the finding leads to its end', async () => {
      const bytes = readFileSync(golden('recite/model.bin')).subarray(0, -1);
      writeFileSync(join(work, 'truncated.bin'), bytes);
      await openPage();
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

  describe('a file of 5 GB', () => {
    const size = 5 * 2 ** 30;
    let path: string;
    beforeAll(() => {
      path = join(work, 'large.safetensors');
      const header = JSON.stringify({ weight: { dtype: 'F16', shape: [size / 2 / 4096, 4096], data_offsets: [0, size] } });
      const head = Buffer.alloc(8 + header.length);
      head.writeBigUInt64LE(BigInt(header.length));
      head.write(header, 8);
      const file = openSync(path, 'w');
      writeSync(file, head);
      // A hole: it takes no room on the disk.
      ftruncateSync(file, head.length + size);
      closeSync(file);
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
  });

  describe('an address', () => {
    let files: Server;
    let allowed: string | undefined;
    let address: string;
    const seen: string[] = [];
    beforeAll(async () => {
      const bytes = readFileSync(golden('recite/model.bin'));
      files = createServer((request, response) => {
        if (request.method === 'GET') seen.push(request.headers.range ?? 'all');
        if (allowed !== undefined) for (const [name, value] of Object.entries({ 'Access-Control-Allow-Origin': allowed, 'Access-Control-Allow-Headers': 'range', 'Access-Control-Expose-Headers': 'content-range, etag' })) response.setHeader(name, value);
        if (request.method === 'OPTIONS') {
          response.writeHead(204).end();
          return;
        }
        const [, first = '0', last = String(bytes.length - 1)] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
        const end = Math.min(bytes.length, Number(last) + 1);
        response.writeHead(206, { 'Content-Range': `bytes ${first}-${end - 1}/${bytes.length}`, 'Content-Length': end - Number(first) });
        response.end(bytes.subarray(Number(first), end));
      }).listen(0, '127.0.0.1');
      await new Promise((resolve) => files.once('listening', resolve));
      address = `http://127.0.0.1:${(files.address() as AddressInfo).port}/model.bin`;
    });
    afterAll(() => void files.close());
    afterEach(() => {
      // The file's own server is no stranger here; anything else is.
      strangers = strangers.filter((url) => url !== address);
    });

    it('is read by ranges where its server allows it', async () => {
      allowed = '*';
      seen.length = 0;
      await openPage();
      await page.getByLabel('Address of a file').fill(address);
      await button('Open').click();
      await title(address);
      expect(await region(address).locator('.verdict').textContent()).toBe('Valid');
      expect(seen[0]).toBe('bytes=0-65535');
      expect(seen.every((range) => range.startsWith('bytes='))).toBe(true);
      await page.getByLabel('Backend').selectOption('reference');
      await page.getByLabel('Tokenizer file').setInputFiles(golden('recite/tokenizer.bin'));
      await button('Run').click();
      await expect.poll(() => generated().textContent(), { timeout: 30_000 }).toBe(recited[0]!.text);
    });

    it('is explained where its server does not allow other pages to read it (CORS)', async () => {
      allowed = undefined;
      await openPage();
      await page.getByLabel('Address of a file').fill(address);
      await button('Open').click();
      const alert = page.getByRole('alert');
      await alert.waitFor();
      expect(await alert.textContent()).toMatch(/CORS.*IO_NETWORK/s);
      // The browser itself complains of what the page has explained.
      complaints = complaints.filter((text) => !/CORS|ERR_FAILED/.test(text));
    });

    it('can be reached by no code that sees files, only by the worker that never gets one', async () => {
      allowed = '*';
      await openPage();
      await page.getByLabel('Address of a file').fill(address);
      await button('Open').click();
      await title(address);
      await page.getByLabel('Prompt').fill('no ids');
      await button('Run').click();
      await page.getByText('without its tokenizer the model takes token ids').waitFor();
      const reach = (url: string): Promise<boolean> => fetch(url).then(() => true, () => false);
      expect(await page.evaluate(reach, address)).toBe(false);
      const threads = page.workers().filter((worker) => /\/(inspector|runner|network)\.worker/.test(worker.url()));
      const reached = await Promise.all(threads.map(async (worker) => `${/(\w+)\.worker/.exec(worker.url())![1]} ${await worker.evaluate(reach, address)}`));
      expect(reached.toSorted()).toEqual(['inspector false', 'network true', 'runner false']);
      complaints = complaints.filter((text) => !text.includes('Content Security Policy'));
    });
  });

  it.each([['light', 390], ['dark', 390], ['dark', 1280]] as const)('in %s, %i pixels wide, cuts nothing off and has nothing to be scrolled sideways', async (colorScheme, width) => {
    await openPage({ colorScheme, viewport: { width, height: 844 }, isMobile: width < 600, hasTouch: width < 600 });
    expect(await overflow()).toBe(0);
    await picture(`${colorScheme}-${width}-start`);
    await button('Try a broken one').click();
    await title('heads-do-not-divide.bin');
    await button(/LLAMA2C_HEADS_DIVIDE_DIM/).click();
    await expect.poll(markedBytes).toHaveLength(4);
    expect(await overflow()).toBe(0);
    await picture(`${colorScheme}-${width}-broken`);
    await tryExample();
    await tensor('tok_embeddings.weight').click();
    await button('Histogram and quantization error').click();
    await page.getByRole('img', { name: /^Histogram/ }).locator('canvas').waitFor();
    await button('Run').click();
    await expect.poll(() => generated().textContent(), { timeout: 30_000 }).toBe(recited[0]!.text);
    expect(await overflow()).toBe(0);
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
