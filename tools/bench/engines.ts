/** Ours and the peers behind one interface. A peer that is not here says what would bring it. */
import { fork, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { EngineOptions, EngineReply, EngineRequest } from './engine-process.js';
import { ggufFile, llama2cTokenizer, ourFile, qwenTiktoken, type BenchModel, type PeerFamily, type WeightType } from './models.js';

/** An engine with a model, ready to be measured again and again. Rates are tokens a second. */
export interface Session {
  decode(tokens: number): Promise<number>;
  prefill?(tokens: number): Promise<number>;
  logits?(ids: readonly number[]): Promise<Float32Array>;
  close(): Promise<void>;
}

export interface Settings {
  readonly threads: number;
  readonly contextLength: number;
  readonly backend: string;
}

export interface Peer {
  readonly name: string;
  readonly family: PeerFamily;
  /** Undefined when it is here; else how to bring it. */
  readonly missing?: string;
  /** Whether it has this model in this type, and can do what is asked. */
  runs(model: BenchModel, type: WeightType, what: 'decode' | 'prefill'): boolean;
  open(model: BenchModel, type: WeightType, settings: Settings): Promise<Session>;
}

const engineProcess = fileURLToPath(new URL('engine-process.js', import.meta.url));

/** An engine in a process of its own. Throws when it cannot start. */
async function processSession(options: EngineOptions): Promise<Session> {
  const child = fork(engineProcess, [JSON.stringify(options)], { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  let settle: ((reply: EngineReply) => void) | undefined;
  let ended: string | undefined;
  const next = (): Promise<EngineReply> => new Promise((resolve) => {
    settle = resolve;
    if (ended) resolve({ error: ended });
  });
  child.on('message', (reply: EngineReply) => settle?.(reply));
  child.on('exit', (code, signal) => {
    ended = `${options.engine} ended with ${signal ?? code}`;
    settle?.({ error: ended });
  });
  const close = async (): Promise<void> => {
    if (ended) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill();
    await gone;
  };
  const started = await next();
  if ('error' in started) {
    await close();
    throw new Error(started.error);
  }
  const ask = async (request: EngineRequest): Promise<EngineReply> => {
    const replied = next();
    child.send(request);
    const reply = await replied;
    if ('error' in reply) throw new Error(reply.error);
    return reply;
  };
  const rate = async (request: EngineRequest): Promise<number> => {
    const reply = await ask(request);
    if (!('value' in reply)) throw new Error('an answer without a value');
    return reply.value;
  };
  return {
    decode: (tokens) => rate({ kind: 'decode', tokens }),
    prefill: (tokens) => rate({ kind: 'prefill', tokens }),
    async logits(ids) {
      const reply = await ask({ kind: 'logits', ids });
      if (!('logits' in reply)) throw new Error('an answer without logits');
      return reply.logits;
    },
    close,
  };
}

export async function openOurs(model: BenchModel, type: WeightType, { threads, contextLength, backend }: Settings): Promise<Session> {
  return processSession({ engine: 'ours', file: await ourFile(model, type), threads, contextLength, backend });
}

/** Runs a program to its end. Throws with what it printed when it fails. */
function output(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    const collect = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve(text) : reject(new Error(`${command} ended with ${code}: ${text.slice(-500)}`))));
  });
}

function numberIn(text: string, pattern: RegExp, command: string): number {
  const found = Number(pattern.exec(text)?.[1]);
  if (!(found > 0)) throw new Error(`${command} did not say how fast it was: ${text.slice(-500)}`);
  return found;
}

const isGguf = (type: WeightType): boolean => type !== 'int8';
const closed = async (): Promise<void> => undefined;

const NODE_LLAMA_CPP = 'node-llama-cpp@3.22.1';

/** The folder whose node_modules has node-llama-cpp: PEER_NODE_LLAMA_CPP, or this checkout. */
function nodeLlamaCppPeer(): Peer {
  const from = process.env.PEER_NODE_LLAMA_CPP ?? fileURLToPath(new URL('../../../', import.meta.url));
  let missing: string | undefined;
  try {
    createRequire(pathToFileURL(join(from, 'package.json'))).resolve('node-llama-cpp');
  } catch {
    const binaries = `@node-llama-cpp/${process.platform === 'win32' ? 'win' : process.platform === 'darwin' ? 'mac' : 'linux'}-${process.arch}@3.22.1`;
    missing = `npm install --prefix FOLDER --omit=optional --ignore-scripts ${NODE_LLAMA_CPP} ${binaries}, then PEER_NODE_LLAMA_CPP=FOLDER`;
  }
  return {
    name: 'node-llama-cpp',
    family: 'llama.cpp',
    missing,
    runs: ({ id }, type) => isGguf(type) && id !== 'W',
    open: async (model, type, { threads, contextLength }) => processSession({ engine: 'node-llama-cpp', gguf: await ggufFile(model, type), from, threads, contextLength }),
  };
}

/** `bench` of `variable`, when it is set and there. */
function program(variable: string, name?: string): { readonly path: string; readonly missing?: string } {
  const given = process.env[variable];
  if (given === undefined) return { path: '', missing: `${variable}=${name ? `FOLDER with ${name}` : 'PATH'}` };
  const path = name ? join(given, name) : given;
  return { path, missing: existsSync(path) ? undefined : `${path} is not there (${variable})` };
}

function llamaBenchPeer(): Peer {
  const { path, missing } = program('PEER_LLAMACPP', 'llama-bench');
  return {
    name: 'llama.cpp (llama-bench)',
    family: 'llama.cpp',
    missing,
    runs: ({ id }, type) => isGguf(type) && id !== 'W',
    async open(model, type, { threads }) {
      const gguf = await ggufFile(model, type);
      // It loads the model, warms up and then measures; a sample of the smallest model is too short for one measurement.
      const repetitions = model.id === 'S' ? '3' : '1';
      const bench = async (prompt: number, tokens: number): Promise<number> => {
        const text = await output(path, ['-m', gguf, '-t', String(threads), '-p', String(prompt), '-n', String(tokens), '-r', repetitions, '-o', 'json']);
        return numberIn(text, /"avg_ts":\s*([\d.e+]+)/, path);
      };
      return { decode: (tokens) => bench(0, tokens), prefill: (tokens) => bench(tokens, 0), close: closed };
    },
  };
}

/** run.c on f32, runq.c on int8. Both count from the second token on. */
function llama2cPeer(variable: string, name: string, wanted: WeightType): Peer {
  const { path, missing } = program(variable);
  return {
    name,
    family: 'llama2.c',
    missing,
    runs: ({ id }, type, what) => type === wanted && what === 'decode' && (id === 'S' || id === 'M'),
    async open(model, type, { threads }) {
      const file = await ourFile(model, type);
      if (!('path' in file)) throw new Error('llama2.c reads no GGUF');
      const tokenizer = await llama2cTokenizer(model.shape.vocab);
      return {
        async decode(tokens) {
          const text = await output(path, [file.path, '-z', tokenizer, '-t', '0', '-n', String(tokens + 1), '-i', ''], { OMP_NUM_THREADS: String(threads) });
          return numberIn(text, /achieved tok\/s:\s*([\d.]+)/, path);
        },
        close: closed,
      };
    },
  };
}

function qwenCppPeer(): Peer {
  const { path, missing } = program('PEER_QWENCPP');
  return {
    name: 'qwen.cpp',
    family: 'qwen.cpp',
    missing,
    runs: ({ id }, _type, what) => id === 'W' && what === 'decode',
    async open(model, type, { threads }) {
      const file = await ourFile(model, type);
      if (!('path' in file)) throw new Error('qwen.cpp reads no GGUF');
      const tiktoken = await qwenTiktoken(model.shape.vocab);
      return {
        async decode(tokens) {
          const text = await output(path, ['-m', file.path, '--tiktoken', tiktoken, '--mode', 'generate', '-p', 'a', '-l', String(tokens + 2), '--temp', '0', '-t', String(threads), '-v']);
          // The time runs from the first new token, which it counts too.
          const [, milliseconds, count] = /output time: ([\d.]+) ms \/ (\d+) tokens/.exec(text) ?? [];
          if (!(Number(count) > 1)) throw new Error(`${path} decoded nothing: ${text.slice(-500)}`);
          return (Number(count) - 1) / (Number(milliseconds) / 1000);
        },
        close: closed,
      };
    },
  };
}

export const peers = (): readonly Peer[] => [
  nodeLlamaCppPeer(), llamaBenchPeer(), llama2cPeer('PEER_LLAMA2C', 'llama2.c run', 'f32'), llama2cPeer('PEER_LLAMA2C_RUNQ', 'llama2.c runq', 'int8'), qwenCppPeer(),
];
