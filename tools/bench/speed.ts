/** Measures ours and the peers on one model after the other, in turns, and makes rows of a table of it. */
import { availableParallelism, cpus } from 'node:os';
import { bandwidthProbe } from './bandwidth.js';
import type { BenchOptions } from './bench.js';
import { openOurs, peers, type Peer, type Session, type Settings } from './engines.js';
import { bytesPerToken, int8Goal, models, type BenchModel, type ModelId, type PeerFamily, type WeightType } from './models.js';
import { samplesOf, type Samples } from './statistics.js';

export type SpeedKind = 'decode' | 'prefill';

export interface SpeedRow {
  readonly kind: SpeedKind;
  readonly model: string;
  readonly type: WeightType;
  /** Tokens a sample reads or decodes. */
  readonly tokens: number;
  /** Tokens a second. */
  readonly ours?: Samples;
  /** Why there is no figure of ours. */
  readonly failure?: string;
  readonly peers: readonly { readonly name: string; readonly family: PeerFamily; readonly speed?: Samples; readonly failure?: string }[];
  readonly goal?: { readonly family: PeerFamily; readonly ratio: number };
  /** Decode: weights read each token, times tokens a second, in 10⁹ bytes; and the machine's own for as many bytes. */
  readonly bandwidth?: { readonly ours: number; readonly machine: number };
  /** Greatest difference of one logit between ours and a peer after four tokens, and the deviation of the logits. */
  readonly logits?: { readonly peer: string; readonly greatestDifference: number; readonly deviation: number };
}

export interface SpeedReport {
  readonly machine: { readonly processor: string; readonly threads: number; readonly node: string };
  readonly notes: readonly string[];
  readonly rows: readonly SpeedRow[];
}

/** Ours ÷ the fastest peer of the goal's family (or of any, without a goal). */
export function ratioOf({ ours, peers: measured, goal }: SpeedRow): { readonly ratio: number; readonly peer: string } | undefined {
  const best = measured.filter(({ family, speed }) => speed && (goal === undefined || family === goal.family)).toSorted((a, b) => b.speed!.median - a.speed!.median)[0];
  return ours && best ? { ratio: ours.median / best.speed!.median, peer: best.name } : undefined;
}

const PROBE_IDS = [1, 400, 500, 600];
const PREFILL_LENGTHS = [64, 512];
const PREFILL_GOALS: Readonly<Record<number, number>> = { 64: 1.4, 512: 2.5 };
/** Seconds that a sample of decoding takes at least, by repeating it. */
const SAMPLE_SECONDS = 0.6;

interface Running {
  readonly name: string;
  readonly peer?: Peer;
  readonly session: Session;
  /** In the order of the tasks. */
  readonly speeds: number[][];
  repeats: number[];
}

interface Task {
  readonly kind: SpeedKind;
  readonly tokens: number;
}

export async function measureSpeeds(kind: SpeedKind, options: BenchOptions): Promise<SpeedReport> {
  const threads = options.threads ?? availableParallelism();
  const settings: Settings = { threads, contextLength: 1024, backend: options.backend ?? 'native' };
  const available = peers();
  const notes = available.filter(({ missing }) => missing).map(({ name, missing }) => `${name} is not here: ${missing}`);
  const probe = bandwidthProbe();
  if ('missing' in probe) notes.push(probe.missing);
  const rows: SpeedRow[] = [];
  try {
    for (const model of chosenModels(options)) {
      for (const type of model.types) {
        if (options.types && !options.types.includes(type)) continue;
        const tasks = kind === 'decode' ? [{ kind, tokens: model.decodeTokens }] : PREFILL_LENGTHS.map((tokens) => ({ kind, tokens }));
        if (kind === 'prefill' && type !== 'q8_0' && type !== 'q4_0' && !options.types) continue;
        const measured = await measureModel(model, type, tasks, available.filter((peer) => !peer.missing && peer.runs(model, type, kind)), settings, options);
        for (const row of measured) rows.push(row.kind === 'decode' && row.ours && 'measure' in probe ? withBandwidth(row, model, type, probe.measure(bytesPerToken(model, type), threads)) : row);
        for (const row of rows.slice(-measured.length)) options.onRow?.(row);
      }
    }
  } finally {
    if ('close' in probe) probe.close();
  }
  return { machine: { processor: cpus()[0]?.model ?? 'unknown', threads, node: process.version }, notes, rows };
}

function chosenModels({ models: wanted }: BenchOptions): readonly BenchModel[] {
  const ids = wanted ?? (['S', 'M', 'W'] as const);
  return ids.map((id: ModelId) => models[id]);
}

function withBandwidth(row: SpeedRow, model: BenchModel, type: WeightType, machine: number): SpeedRow {
  return { ...row, bandwidth: { ours: (bytesPerToken(model, type) * row.ours!.median) / 1e9, machine } };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function measureModel(model: BenchModel, type: WeightType, tasks: readonly Task[], available: readonly Peer[], settings: Settings, options: BenchOptions): Promise<SpeedRow[]> {
  const running: Running[] = [];
  const failures = new Map<string, string>();
  const start = async (name: string, peer: Peer | undefined, open: () => Promise<Session>): Promise<void> => {
    try {
      running.push({ name, peer, session: await open(), speeds: tasks.map(() => []), repeats: tasks.map(() => 1) });
    } catch (error) {
      failures.set(name, messageOf(error));
    }
  };
  try {
    await start('ours', undefined, () => openOurs(model, type, settings));
    for (const peer of available) await start(peer.name, peer, () => peer.open(model, type, settings));
    await runRounds(running, tasks, options.rounds ?? 5, failures);
    const logits = await compareLogits(running);
    return tasks.map((task, i) => rowOf(model, type, task, i, running, available, failures, logits));
  } finally {
    for (const { session } of running) await session.close();
  }
}

async function once({ session }: Running, { kind, tokens }: Task): Promise<number> {
  if (kind === 'decode') return session.decode(tokens);
  if (!session.prefill) throw new Error('it reads no prompt');
  return session.prefill(tokens);
}

/** In turns, so that a busy moment falls on all alike. The first round, which warms up, sets how often a sample repeats, and is dropped. */
async function runRounds(running: readonly Running[], tasks: readonly Task[], rounds: number, failures: Map<string, string>): Promise<void> {
  for (let round = 0; round <= rounds; round++) {
    for (const engine of running) {
      if (failures.has(engine.name)) continue;
      try {
        for (const [i, task] of tasks.entries()) await sample(engine, i, task, round === 0);
      } catch (error) {
        failures.set(engine.name, messageOf(error));
      }
    }
  }
}

async function sample(engine: Running, index: number, task: Task, warmUp: boolean): Promise<void> {
  let seconds = 0;
  const repeats = engine.repeats[index]!;
  for (let i = 0; i < repeats; i++) seconds += task.tokens / (await once(engine, task));
  if (!warmUp) engine.speeds[index]!.push((repeats * task.tokens) / seconds);
  // Programs that start anew for each sample are not repeated: loading takes longer than what it is for.
  else if (engine.session.logits) engine.repeats[index] = Math.max(1, Math.ceil(SAMPLE_SECONDS / seconds));
}

async function compareLogits(running: readonly Running[]): Promise<SpeedRow['logits']> {
  const ours = running.find(({ name }) => name === 'ours');
  const other = running.find(({ peer, session }) => peer !== undefined && 'logits' in session);
  if (!ours?.session.logits || !other?.session.logits) return undefined;
  const [a, b] = [await ours.session.logits(PROBE_IDS), await other.session.logits(PROBE_IDS)];
  if (a.length !== b.length) throw new Error(`${a.length} logits of ours, and ${b.length} of ${other.name}`);
  let greatest = 0;
  let squares = 0;
  for (let i = 0; i < a.length; i++) {
    greatest = Math.max(greatest, Math.abs(a[i]! - b[i]!));
    squares += b[i]! ** 2;
  }
  return { peer: other.name, greatestDifference: greatest, deviation: Math.sqrt(squares / a.length) };
}

function goalOf(model: BenchModel, type: WeightType, { kind, tokens }: Task): SpeedRow['goal'] {
  if (kind === 'prefill') {
    const isGoal = (type === 'q8_0' || type === 'q4_0') && model.id !== 'S' && model.id !== 'W';
    return isGoal ? { family: 'llama.cpp', ratio: PREFILL_GOALS[tokens]! } : undefined;
  }
  if (type === 'int8') return { family: int8Goal.peer, ratio: int8Goal.ratio };
  const ratio = model.goals[type];
  return ratio === undefined ? undefined : { family: model.goalPeer, ratio };
}

function rowOf(model: BenchModel, type: WeightType, task: Task, index: number, running: readonly Running[], available: readonly Peer[], failures: ReadonlyMap<string, string>, logits: SpeedRow['logits']): SpeedRow {
  const speedOf = (name: string): Samples | undefined => {
    const values = running.find((engine) => engine.name === name)?.speeds[index] ?? [];
    return values.length > 0 && !failures.has(name) ? samplesOf(values) : undefined;
  };
  return {
    kind: task.kind,
    model: model.title,
    type,
    tokens: task.tokens,
    ours: speedOf('ours'),
    failure: failures.get('ours'),
    peers: available.map(({ name, family }) => ({ name, family, speed: speedOf(name), failure: failures.get(name) })),
    goal: goalOf(model, type, task),
    logits,
  };
}
