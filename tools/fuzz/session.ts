/**
 * One session: a target, a seed and a corpus give the same inputs on every machine and every time, so that a session whose process
 * died can be run again with each input written down before it is tried.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MOST_BYTES, crossed } from './mutate.js';
import { dice, type Dice } from './random.js';
import type { Target } from './target.js';

/** What inputs with new behaviour one target keeps, at most. */
const MOST_KEPT = 1500;
/** Behaviours noted; messages that carry an input's own text must not fill memory. */
const MOST_BEHAVIOURS = 50_000;
/** Clocks are read once in so many inputs. */
const CLOCK_EVERY = 64;

export interface SessionRequest {
  readonly target: string;
  readonly seed: number;
  readonly mostInputs: number;
  /** For mutated inputs: on a busy machine loading, and trying the corpus, takes seconds. */
  readonly mostMilliseconds: number;
  /** Inputs with new behaviour, by target; read at the start, written at the end. */
  readonly corpusFolder: string;
  readonly findingsFolder: string;
  /** Write each input to this file before it is tried. */
  readonly journal?: string;
}

export interface SessionResult {
  readonly inputs: number;
  readonly findings: readonly string[];
  readonly kept: number;
  readonly behaviours: number;
}

/** How the session tells the watchdog what it is doing. */
export interface Heartbeat {
  begin(input: Uint8Array): void;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Writes an input that must not do what it did, and beside it what that was. Equal inputs have one name. */
export function writeFinding(folder: string, target: string, kind: string, input: Uint8Array, detail: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${target}-${kind}-${sha256(input).slice(0, 12)}`);
  writeFileSync(`${path}.bin`, input);
  writeFileSync(`${path}.txt`, `${detail}\n`);
  return `${path}.bin`;
}

/** What was thrown and where, without what differs from input to input: findings with one cause count once. */
const causeOf = (error: unknown): string =>
  error instanceof Error ? `${error.message.replace(/"[^"]*"|\d+/g, '_').slice(0, 80)} ${error.stack?.split('\n').find((line) => line.trimStart().startsWith('at '))?.trim() ?? ''}` : String(error);

function mutated(corpus: readonly Uint8Array[], target: Target, random: Dice): Uint8Array {
  let input = random.pick(corpus);
  if (random.oneIn(20)) input = crossed(input, random.pick(corpus), random);
  let count = 1;
  while (count < 6 && random.oneIn(2)) count++;
  for (; count > 0; count--) input = target.mutate(input, random);
  return input.length > MOST_BYTES ? input.slice(0, MOST_BYTES) : input;
}

export async function runSession(target: Target, request: SessionRequest, heartbeat: Heartbeat): Promise<SessionResult> {
  const random = dice(request.seed);
  const folder = join(request.corpusFolder, target.name);
  mkdirSync(folder, { recursive: true });
  const seeds = target.seeds().map(({ bytes }) => bytes);
  const kept = readdirSync(folder).toSorted().map((name) => new Uint8Array(readFileSync(join(folder, name))));
  const corpus = [...seeds, ...kept];
  const behaviours = new Set<string>();
  const findings: string[] = [];
  const causes = new Set<string>();

  /** Whether the input did something that no input before it did. */
  const tryInput = async (input: Uint8Array): Promise<boolean> => {
    if (request.journal !== undefined) writeFileSync(request.journal, input);
    heartbeat.begin(input);
    try {
      const behaviour = await target.run(input);
      if (behaviours.has(behaviour) || behaviours.size >= MOST_BEHAVIOURS) return false;
      behaviours.add(behaviour);
      return true;
    } catch (error) {
      const cause = causeOf(error);
      if (!causes.has(cause)) findings.push(writeFinding(request.findingsFolder, target.name, 'throws', input, error instanceof Error ? (error.stack ?? error.message) : String(error)));
      causes.add(cause);
      return false;
    }
  };

  for (const input of corpus) await tryInput(input);
  const fresh: Uint8Array[] = [];
  let inputs = 0;
  const until = performance.now() + request.mostMilliseconds;
  while (inputs < request.mostInputs && (inputs % CLOCK_EVERY !== 0 || performance.now() < until)) {
    const input = mutated(corpus, target, random);
    inputs += 1;
    if ((await tryInput(input)) && kept.length + fresh.length < MOST_KEPT) {
      corpus.push(input);
      fresh.push(input);
    }
  }
  for (const input of fresh) writeFileSync(join(folder, sha256(input)), input);
  return { inputs, findings, kept: corpus.length - seeds.length, behaviours: behaviours.size };
}
