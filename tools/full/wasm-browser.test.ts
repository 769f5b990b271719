/** The WebAssembly backend in a real browser: the contract, bundled as a page would be, in headless Chromium. */
import { chromium, type Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OpenOptions } from '@weightspec/backend-wasm';
import { bundledPage } from './page-bundle.js';
import { APT_COMMAND, chromiumPath } from './swiftshader.js';
import type { PageReport } from './wasm-page.js';

if (chromiumPath === undefined) console.warn(`skipped: there is no Chromium; for this test: ${APT_COMMAND}, or set CHROMIUM_PATH`);

/** A secure context. Nothing listens: the requests are answered here. */
const ORIGIN = 'http://localhost:8080';
const ISOLATION = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

describe.skipIf(chromiumPath === undefined)('in headless Chromium', { timeout: 120_000 }, () => {
  let script: string;
  let browser: Browser;

  beforeAll(async () => {
    script = await bundledPage('./wasm-page.ts');
    browser = await chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox'] });
  }, 120_000);
  afterAll(() => browser?.close());

  async function reportOf(headers: Readonly<Record<string, string>>, options: OpenOptions): Promise<PageReport> {
    const page = await browser.newPage();
    try {
      await page.route('**/*', (route) => (route.request().url().endsWith('/page.js')
        ? route.fulfill({ headers, contentType: 'text/javascript', body: script })
        : route.fulfill({ headers, contentType: 'text/html', body: '<!doctype html><script type="module" src="/page.js"></script>' })));
      await page.goto(ORIGIN);
      await page.waitForFunction(() => 'runWasmContract' in globalThis);
      return await page.evaluate((opened) => globalThis.runWasmContract(opened), options);
    } finally {
      await page.close();
    }
  }

  it.each([
    ['on threads, with relaxed SIMD, where the page is isolated', ISOLATION, {}, true, /^wasm, \d+ threads?, relaxed SIMD$/],
    ['without relaxed SIMD', ISOLATION, { threads: 2, relaxedSimd: false }, true, /^wasm, 2 threads$/],
    ['on one thread where the page may not share memory', {}, {}, false, /^wasm, 1 thread, relaxed SIMD$/],
  ])('passes the whole contract %s', async (_, headers, options, isolated, placement) => {
    const report = await reportOf(headers, options);
    expect(report.failures).toEqual([]);
    expect(report.passed).toBeGreaterThan(100);
    expect(report.isolated).toBe(isolated);
    expect(report.placement).toMatch(placement);
  });
  it('does not open several threads where the page may not share memory (BACKEND_UNAVAILABLE)', async () => {
    await expect(reportOf({}, { threads: 2 })).rejects.toThrow(/BACKEND_UNAVAILABLE: threads may not share memory here/);
  });
});
