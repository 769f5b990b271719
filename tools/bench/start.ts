/** From the command to the first token, whole processes of `weightspec run` on the 110M model. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { BenchOptions, StartResult } from './bench.js';
import { models, ourFile, type WeightType } from './models.js';

export const heading = 'start: from the command to its first token on stdout, M 110M, prompt of one token, best of 7 taken in turns; at most 250 ms are asked for';

const ROUNDS = 7;
const LIMIT_MILLISECONDS = 250;
const command = fileURLToPath(new URL('../../../packages/cli/bin/weightspec.js', import.meta.url));

/** Milliseconds from starting `node args` until `reached` of its stdout so far, or until it ends. */
function timed(args: readonly string[], reached: (stdout: string) => boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    let at: number | undefined;
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (at === undefined && reached(stdout)) at = performance.now() - started;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on('close', (code) => {
      if (code === 0) resolve(at ?? performance.now() - started);
      else reject(new Error(`node ${args.join(' ')} ended with ${code}: ${stderr}`));
    });
  });
}

/** The prompt's id, a comma, and a new one. */
const hasFirstToken = (stdout: string): boolean => /^1,\d/.test(stdout);

export async function bench({ backend = 'native', types = ['f32', 'q8_0', 'q4_0'] }: BenchOptions): Promise<StartResult[]> {
  const files: { readonly type: WeightType; readonly path: string }[] = [];
  for (const type of types) {
    const file = await ourFile(models.M, type);
    if ('path' in file) files.push({ type, path: file.path });
  }
  const best = new Map<string, number>();
  const keep = (name: string, milliseconds: number): void => void best.set(name, Math.min(best.get(name) ?? Infinity, milliseconds));
  for (let round = 0; round < ROUNDS; round++) {
    keep('empty', await timed(['-e', '0'], () => false));
    for (const { type, path } of files) keep(type, await timed([command, 'run', path, '--tokens', '1', '--print-ids', '-n', '2', '--backend', backend], hasFirstToken));
  }
  const empty = best.get('empty')!;
  return files.map(({ type }) => ({ name: `first token, ${type}`, milliseconds: best.get(type)!, baseline: { name: 'node -e 0', milliseconds: empty }, allowedRatio: LIMIT_MILLISECONDS / empty }));
}
