/**
 * Runs the targets one after the other (or several at once), each in processes of their own, and counts what they did. A process that
 * dies without a word runs its session again with a journal, so that the input that ended it is known.
 */
import { fork } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeFinding } from './session.js';
import type { WorkerRequest, WorkerResult } from './worker.js';

/** Inputs of one process: enough to forget what starting it costs, few enough to run again. */
const SESSION_INPUTS = 50_000;
/** Findings of one target after which looking for more tells nothing new. */
const MOST_FINDINGS = 20;
/**
 * A small heap shows what an input really needs: garbage that waits to be collected would look like memory taken. Beyond it the
 * process dies, which is a finding as well.
 */
const NODE_FLAGS = ['--max-old-space-size=192', '--max-semi-space-size=4'];

export interface FuzzOptions {
  readonly targets: readonly string[];
  /** Inputs for each target, at most. */
  readonly inputs: number;
  /** For all targets together, at most; shared out evenly. */
  readonly minutes: number;
  readonly seed: number;
  readonly jobs: number;
  readonly findingsFolder: string;
  /** Inputs with new behaviour are kept here from run to run. Default: a folder that goes away. */
  readonly corpusFolder?: string;
  readonly targetsModule?: string;
  readonly report?: (line: string) => void;
}

export interface TargetReport {
  readonly target: string;
  readonly inputs: number;
  /** What was thrown, or ended the process. */
  readonly crashes: number;
  readonly hangs: number;
  /** Inputs that made the process grow too much. */
  readonly memory: number;
  readonly mostGrowthBytes: number;
  readonly mostResidentBytes: number;
  readonly behaviours: number;
  readonly seconds: number;
  readonly findings: readonly string[];
}

interface SessionEnd {
  readonly result?: WorkerResult;
  /** Findings of the watchdog. */
  readonly findings: readonly string[];
  readonly end: string;
}

function runWorker(request: WorkerRequest): Promise<SessionEnd> {
  return new Promise((resolve) => {
    const child = fork(fileURLToPath(new URL('worker.js', import.meta.url)), [], { execArgv: NODE_FLAGS, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    let result: WorkerResult | undefined;
    let out = '';
    let errors = '';
    child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (errors = `${errors}${chunk.toString()}`.slice(-4000)));
    child.on('message', (message) => (result = message as WorkerResult));
    child.on('close', (code, signal) => {
      const findings = [...out.matchAll(/^finding (.*)$/gm)].map(([, path = '']) => path);
      resolve({ ...(result ? { result } : {}), findings, end: `${signal ?? `exit code ${code}`}\n${errors}` });
    });
    child.send(request);
  });
}

/** The session once more, each input written down first: the last one is what ended the process. Throws when it does not end again. */
async function findFatalInput(request: WorkerRequest, folder: string): Promise<string> {
  const journal = join(folder, `${request.target}.journal`);
  const again = await runWorker({ ...request, journal });
  if (again.findings[0] !== undefined) return again.findings[0];
  // An input that never was: the target itself, or its seeds, cannot be loaded.
  if (!existsSync(journal)) throw new Error(`the session of ${request.target} with seed ${request.seed} did not start: ${again.end}`);
  if (again.result) throw new Error(`a process of ${request.target} with seed ${request.seed} ended, and not when the session was run again`);
  return writeFinding(request.findingsFolder, request.target, 'dies', new Uint8Array(readFileSync(journal)), again.end);
}

/** Even a target whose turn comes late gets this long. */
const LEAST_MILLISECONDS = 1000;

async function fuzzTarget(target: string, milliseconds: number, options: FuzzOptions, folder: string): Promise<TargetReport> {
  const started = performance.now();
  const left = (): number => milliseconds - (performance.now() - started);
  const findings = new Set<string>();
  let [inputs, mostGrowthBytes, mostResidentBytes, behaviours] = [0, 0, 0, 0];
  for (let session = 0; inputs < options.inputs && (session === 0 || left() > 0) && findings.size < MOST_FINDINGS; session++) {
    const request: WorkerRequest = {
      target,
      seed: options.seed + session * 7919,
      mostInputs: Math.min(SESSION_INPUTS, options.inputs - inputs),
      mostMilliseconds: Math.max(left(), LEAST_MILLISECONDS),
      corpusFolder: options.corpusFolder ?? join(folder, 'corpus'),
      findingsFolder: options.findingsFolder,
      targetsModule: options.targetsModule ?? new URL('targets.js', import.meta.url).href,
    };
    const ended = await runWorker(request);
    for (const path of [...ended.findings, ...(ended.result?.findings ?? [])]) findings.add(path);
    if (ended.result) {
      inputs += ended.result.inputs;
      mostGrowthBytes = Math.max(mostGrowthBytes, ended.result.mostGrowthBytes);
      mostResidentBytes = Math.max(mostResidentBytes, ended.result.mostResidentBytes);
      behaviours = Math.max(behaviours, ended.result.behaviours);
      options.report?.(`${target}: ${inputs} inputs, ${behaviours} behaviours, ${findings.size} findings, ${((performance.now() - started) / 1000).toFixed(0)} s`);
    } else if (ended.findings.length === 0) findings.add(await findFatalInput(request, folder));
  }
  const count = (kinds: RegExp): number => [...findings].filter((path) => kinds.test(path)).length;
  return { target, inputs, crashes: count(/-(throws|dies)-/), hangs: count(/-hang-/), memory: count(/-memory-/), mostGrowthBytes, mostResidentBytes, behaviours, seconds: (performance.now() - started) / 1000, findings: [...findings] };
}

/** Every target's report, in the order asked for. */
export async function fuzz(options: FuzzOptions): Promise<TargetReport[]> {
  mkdirSync(options.findingsFolder, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), 'weightspec-fuzz-'));
  const reports = new Map<string, TargetReport>();
  const waiting = [...options.targets];
  const deadline = performance.now() + options.minutes * 60_000;
  const runNext = async (): Promise<void> => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
      const share = ((deadline - performance.now()) * Math.min(options.jobs, waiting.length + 1)) / (waiting.length + 1);
      reports.set(target, await fuzzTarget(target, share, options, folder));
    }
  };
  try {
    await Promise.all(Array.from({ length: options.jobs }, runNext));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return options.targets.map((target) => reports.get(target)!);
}
