/** A Python with one package from PyPI, and what tools/interop/read_back.py reads with it. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

const script = fileURLToPath(new URL('../interop/read_back.py', import.meta.url));
const run = (command: string, args: readonly string[]) => spawnSync(command, args, { encoding: 'utf8', timeout: 240_000, maxBuffer: 1 << 26 });
export const works = (command: string, args: readonly string[]): boolean => run(command, args).status === 0;

/** The system's python3 where it has `module`, else one in a virtual environment at `folder` with `requirement`; or why there is none. */
export function pythonWith(requirement: string, module: string, folder: string): { readonly python?: string; readonly why?: string } {
  if (works('python3', ['-c', `import ${module}`])) return { python: 'python3' };
  if (!works('python3', ['--version'])) return { why: 'python3 is not installed' };
  if (!works('python3', ['-m', 'venv', folder])) return { why: 'python3 -m venv failed (apt-get install python3-venv)' };
  const python = join(folder, 'bin/python');
  return works(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', requirement]) ? { python } : { why: `${requirement} could not be installed from PyPI` };
}

export interface ReadBack {
  readonly library: string;
  readonly tensors: Readonly<Record<string, { readonly dtype: string; readonly shape: readonly number[]; readonly sha256: string }>>;
}

export function readBack(python: string, file: string): ReadBack {
  const { status, stdout, stderr } = run(python, [script, file]);
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as ReadBack;
}
