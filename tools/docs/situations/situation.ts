/**
 * What makes a code appear that the bytes of one file cannot: a folder, a command line, a program of a few lines, a server. Each one is
 * really run, in a folder of its own, to get the message that `weightspec explain` then shows with it.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { main } from '@weightspec/cli';
import { DiagnosticError } from '@weightspec/core';
import type { CodeExample } from '../render-examples.js';
import { modules } from './modules.js';

export interface Situation {
  readonly code: string;
  /** By path. Text is shown, of bytes their number; `about` in the place of either. */
  readonly files?: Readonly<Record<string, string | Uint8Array | { readonly bytes: Uint8Array; readonly about: string }>>;
  /** What follows `weightspec`, in single quotes where it has spaces. */
  readonly command?: string;
  /** A module that throws the error, or leaves it in a constant called `diagnostics` or `results`. Its imports are those of modules.ts. */
  readonly program?: string;
  /** What is another number from one version or machine to the next; shown as an ellipsis. */
  readonly varies?: RegExp;
  /** Answers http://127.0.0.1:8000, which the command or program names (it really listens elsewhere). */
  readonly serve?: { readonly about: string; readonly answer: RequestListener };
}

const ADDRESS = 'http://127.0.0.1:8000';

interface Said {
  readonly code: string;
  readonly message: string;
  readonly source?: string;
}

/** The example that `situation` makes. Throws where it does not give its code. Changes the folder of the process while it runs. */
export async function exampleIn(situation: Situation): Promise<CodeExample> {
  const { code, files = {}, command, program, serve, varies } = situation;
  const before = process.cwd();
  const folder = await mkdtemp(join(tmpdir(), 'weightspec-example-'));
  const server = serve && createServer(serve.answer);
  if (server) await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const address = server ? `http://127.0.0.1:${(server.address() as AddressInfo).port}` : ADDRESS;
  try {
    for (const [name, contents] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), typeof contents === 'string' || contents instanceof Uint8Array ? contents : contents.bytes);
    }
    process.chdir(folder);
    const port = new URL(address).port;
    // Numbers of ports stand alone; nothing else here is 8000.
    const place = (text: string): string => text.replaceAll(/\b8000\b/g, port);
    const said = command === undefined ? await programSays(place(program!)) : await commandSays(place(command), code);
    const found = said.find((each) => each.code === code);
    if (!found) throw new Error(`${code} was not said, but ${JSON.stringify(said)}`);
    const message = found.message.replaceAll(new RegExp(`\\b${port}\\b`, 'g'), '8000').replaceAll(`${folder}/`, '').replace(varies ?? /$^/, '…');
    const there = [...Object.entries(files).map(([name, contents]) => `${name}:${shown(contents)}`), ...(serve ? [`${ADDRESS}: ${serve.about}`] : [])];
    return { from: '', ...(there.length > 0 ? { files: there } : {}), run: command === undefined ? program!.trim().split('\n') : [`$ weightspec ${command}`], message };
  } finally {
    process.chdir(before);
    server?.closeAllConnections();
    server?.close();
    await rm(folder, { recursive: true });
  }
}

function shown(contents: NonNullable<Situation['files']>[string]): string {
  // Text of several lines begins on a line of its own.
  if (typeof contents === 'string') return `${contents.trimEnd().includes('\n') ? '\n' : ' '}${contents.trimEnd()}`;
  return contents instanceof Uint8Array ? ` ${contents.length} bytes` : ` ${contents.about}, ${contents.bytes.length} bytes`;
}

/** `a 'b c' "d e"` as a shell cuts it. */
const words = (line: string): string[] => Array.from(line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g), ([, single, double, plain]) => single ?? double ?? plain!);

async function commandSays(command: string, code: string): Promise<readonly Said[]> {
  let stdout = '';
  let stderr = '';
  const argv = words(command);
  // The same check, in the form that a program can read.
  const isCheck = argv[0] === 'validate';
  await main(isCheck ? [...argv, '--format', 'json'] : argv, {
    stdout: { write: (chunk) => (stdout += String(chunk)) },
    stderr: { write: (chunk) => (stderr += String(chunk)) },
    env: {},
  });
  if (isCheck) {
    const { reports = [], failed = [] } = JSON.parse(stdout) as { readonly reports?: readonly { readonly diagnostics: readonly Said[] }[]; readonly failed?: readonly Said[] };
    const said = [...reports.flatMap(({ diagnostics }) => diagnostics), ...failed];
    if (said.some((each) => each.code === code)) return said;
  }
  return Array.from(`${stdout}\n${stderr}`.matchAll(/(?:^|: )(?:error|warning|info|FAILED \S+) ([A-Z0-9_]+)(?:: |\n {2})(.*)$/gm), ([, name = '', message = '']) => ({ code: name, message }));
}

const AsyncFunction = Object.getPrototypeOf(async () => undefined).constructor as new (...parameters: string[]) => (load: (name: string) => object) => Promise<unknown>;

/** Runs a module's text; its imports come from `modules`, so that sources and builds can both run it. */
async function programSays(text: string): Promise<readonly Said[]> {
  // What a reader would print is what is returned.
  const body = `${text.replaceAll(/^import (\{[^}]*\}) from '([^']+)';$/gm, (_, names: string, from: string) => `const ${names} = load('${from}');`)}
return typeof diagnostics === 'undefined' ? typeof results === 'undefined' ? [] : results : diagnostics;`;
  const load = (name: string): object => {
    const found = modules[name];
    if (!found) throw new Error(`${name} is not among the modules of examples`);
    return found;
  };
  try {
    return (await new AsyncFunction('load', body)(load)) as readonly Said[];
  } catch (error) {
    if (error instanceof DiagnosticError) return error.diagnostics;
    const { code, message } = error as Partial<Said>;
    if (!/^[A-Z0-9]+_[A-Z0-9_]+$/.test(code ?? '')) throw error;
    return [{ code: code!, message: message!.replace(`${code}: `, '') }];
  }
}
