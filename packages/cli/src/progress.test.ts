import { describe, expect, it } from 'vitest';
import { progressBar } from './progress.js';
import type { Terminal } from './terminal.js';

/** A terminal whose stderr keeps what is drawn on it. */
function fakeTerminal(isTTY: boolean) {
  const drawn: string[] = [];
  const stderr = { isTTY, columns: 80, write: (text: string | Uint8Array) => drawn.push(String(text)) };
  const terminal: Terminal = { stdout: stderr, stderr, env: {} };
  return { terminal, drawn };
}

/** Long enough for the library to be imported and to draw once. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 200));

async function drawnAfter(elapsedMs: number, isTTY: boolean): Promise<string> {
  const { terminal, drawn } = fakeTerminal(isTTY);
  let time = 0;
  const bar = progressBar('model{bar}.bin', terminal, () => time);
  time = elapsedMs;
  bar.progress(25, 100);
  await settle();
  bar.progress(50, 100);
  bar.stop();
  return drawn.join('');
}

describe('progressBar', () => {
  it('draws on a terminal after a second, with the label, whose braces are no placeholders', async () => {
    const drawn = await drawnAfter(1000, true);
    expect(drawn).toContain('modelbar.bin');
    expect(drawn).toMatch(/(25|50)%/);
  });
  it('shows bytes a second and the time left', async () => {
    // 25 bytes in 90 s: 75 more take 270 s.
    expect(await drawnAfter(90_000, true)).toMatch(/0 B\/s {2}4:30 left/);
  });
  it('draws nothing before a second has passed, nor elsewhere than on a terminal', async () => {
    expect(await drawnAfter(999, true)).toBe('');
    expect(await drawnAfter(5000, false)).toBe('');
  });
});
