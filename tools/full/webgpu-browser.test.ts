/** The WebGPU backend in a real browser: the contract, bundled as a page would be, in headless Chromium. */
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundledPage } from './page-bundle.js';
import { APT_COMMAND, chromiumPath } from './swiftshader.js';
import type { PageReport } from './webgpu-page.js';

if (chromiumPath === undefined) console.warn(`skipped: there is no Chromium; for this test: ${APT_COMMAND}, or set CHROMIUM_PATH`);

/** navigator.gpu is only there in a secure context, such as localhost. Nothing listens: the requests are answered here. */
const ORIGIN = 'http://localhost:8080';

describe.skipIf(chromiumPath === undefined)('in headless Chromium', () => {
  let report: PageReport;

  beforeAll(async () => {
    const script = await bundledPage('./webgpu-page.ts');
    const browser = await chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox', '--enable-unsafe-webgpu'] });
    try {
      const page = await browser.newPage();
      await page.route('**/*', (route) => (route.request().url().endsWith('/page.js')
        ? route.fulfill({ contentType: 'text/javascript', body: script })
        : route.fulfill({ contentType: 'text/html', body: '<!doctype html><script type="module" src="/page.js"></script>' })));
      await page.goto(ORIGIN);
      await page.waitForFunction(() => 'runContract' in globalThis);
      report = await page.evaluate(() => globalThis.runContract());
    } finally {
      await browser.close();
    }
  }, 360_000);
  afterAll(() => console.log(`adapter in the browser: ${report?.adapter}`));

  it('passes the whole contract, and chooses tokens', () => {
    expect(report.results.filter(({ error }) => error !== undefined)).toEqual([]);
    expect(report.results.length).toBeGreaterThan(100);
  });
});
