/** `run` on a named backend, and what --verbose says of it, with the model that adds. */
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { main } from '../main.js';

async function weightspec(...argv: string[]) {
  const written = { stdout: '', stderr: '' };
  const output = (name: 'stdout' | 'stderr') => ({ write: (chunk: string | Uint8Array) => (written[name] += typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)) });
  return { code: await main(argv, { stdout: output('stdout'), stderr: output('stderr'), env: {} }), ...written };
}

const model = fileURLToPath(new URL('../../../../fixtures/golden/addition', import.meta.url));
const OPS = ['embed', 'rmsnorm', 'matmul', 'rope', 'attention', 'swiglu', 'add'];

afterEach(() => vi.unstubAllEnvs());

describe('run --verbose', () => {
  it.each([
    ['wasm on two threads', ['--backend', 'wasm', '--threads', '2'], {}, 'wasm, 2 threads, relaxed SIMD'],
    ['wasm on one thread', ['--backend', 'wasm', '--threads', '1'], {}, 'wasm, 1 thread, relaxed SIMD'],
    ['wasm without relaxed SIMD', ['--backend', 'wasm', '--threads', '1'], { WEIGHTSPEC_RELAXED_SIMD: '0' }, 'wasm, 1 thread'],
    ['reference', ['--backend', 'reference'], {}, 'reference'],
  ])('%s: every op runs there, and the sum is right', async (_, options, environment, where) => {
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    const { code, stdout, stderr } = await weightspec('run', model, '-p', '17+25=', '--verbose', ...options);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '17+25=42\n' });
    const lines = Array.from(stderr.matchAll(/^(\w+)(?: by .*)? × \d+: (.*)$/gm), ([, op, backend]) => ({ op, backend }));
    expect(lines.map(({ op }) => op).toSorted()).toEqual(OPS.toSorted());
    for (const line of lines) expect(line).toEqual({ op: line.op, backend: where });
  });
  it('is silent about it when not asked', async () => {
    const { stderr } = await weightspec('run', model, '-p', '1+2=', '--backend', 'wasm');
    expect(stderr).not.toContain('×');
  });
});
