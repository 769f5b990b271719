/**
 * The line-JSON protocol between the suite and an outside program, version 1 (docs/conformance.md): one JSON object a line, requests
 * on the program's standard input, answers on its standard output in the same order.
 */
import { ConformanceError, Unsupported } from '../codes.js';

export const PROTOCOL_VERSION = 1;
/** Longer answers are refused: 10,000 rows of a vocabulary of 1,000 in base64 have 54 MB. */
export const MOST_LINE_CHARACTERS = 2 ** 28;

/** A running program. Lines come without their line end. */
export interface AdapterChannel {
  send(line: string): void;
  /** The next line; undefined when the program has ended. Throws ConformanceError (ADAPTER_GARBAGE) for a line past the limit. */
  next(): Promise<string | undefined>;
  /** What it last printed on standard error, and how it ended. */
  lastWords(): string;
  /** Ends it, whatever it does. */
  kill(): Promise<void>;
}

export interface AdapterClient {
  /** Starts the program, unless it runs, and greets it. Throws ConformanceError (ADAPTER_START). */
  open(): Promise<void>;
  /** The result of a request. Throws Unsupported, or ConformanceError: ADAPTER_* when it cannot answer, CONFORM_ERROR when it answers with an error. */
  request(method: string, params: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>>;
  close(): Promise<void>;
}

export interface AdapterOptions {
  /** Starts the program. Throws ConformanceError (ADAPTER_START). */
  readonly start: () => Promise<AdapterChannel>;
  /** For each answer. Default 60 seconds. */
  readonly timeoutMs?: number;
}

/** Called with every new program before it is asked anything else. */
export type Greeting = (request: AdapterClient['request']) => Promise<void>;

/** A program that is started when it is first needed, and again after it crashed, hung or wrote garbage. */
export function adapterClient({ start, timeoutMs = 60_000 }: AdapterOptions, greet: Greeting): AdapterClient {
  let channel: AdapterChannel | undefined;
  let lastId = 0;

  async function abandon(): Promise<void> {
    const ended = channel;
    channel = undefined;
    await ended?.kill();
  }
  async function ask(open: AdapterChannel, method: string, params: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>> {
    const id = (lastId += 1);
    open.send(JSON.stringify({ id, method, params }));
    try {
      return resultOf(await withinTime(open, timeoutMs, method), id);
    } catch (error) {
      if (error instanceof ConformanceError && error.code.startsWith('ADAPTER_')) await abandon();
      throw error;
    }
  }
  async function opened(): Promise<AdapterChannel> {
    if (channel) return channel;
    const fresh = await start();
    channel = fresh;
    try {
      await greet((method, params) => ask(fresh, method, params));
    } catch (error) {
      await abandon();
      throw error;
    }
    return fresh;
  }
  return {
    open: async () => void (await opened()),
    request: async (method, params) => ask(await opened(), method, params),
    close: abandon,
  };
}

async function withinTime(channel: AdapterChannel, timeoutMs: number, method: string): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ConformanceError('ADAPTER_TIMEOUT', `no answer to ${method} within ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    const line = await Promise.race([channel.next(), late]);
    if (line === undefined) throw new ConformanceError('ADAPTER_CRASH', `it ended before it answered ${method}${channel.lastWords()}`);
    return line;
  } finally {
    clearTimeout(timer);
  }
}

/** The result in an answer, which names the request's id and has exactly one of result, unsupported and error. */
function resultOf(line: string, id: number): Readonly<Record<string, unknown>> {
  const garbage = (what: string) => new ConformanceError('ADAPTER_GARBAGE', `${what}: ${line.length > 120 ? `${line.slice(0, 120)}…` : line}`);
  let answer: unknown;
  try {
    answer = JSON.parse(line);
  } catch {
    throw garbage('a line that is not JSON');
  }
  if (typeof answer !== 'object' || answer === null) throw garbage('a line that is no JSON object');
  const { id: answered, result, unsupported, error } = answer as Record<string, unknown>;
  if (answered !== id) throw garbage(`an answer to request ${JSON.stringify(answered)}, not to ${id}`);
  if (typeof unsupported === 'string') throw new Unsupported(unsupported);
  if (typeof error === 'string') throw new ConformanceError('CONFORM_ERROR', error);
  if (typeof result !== 'object' || result === null) throw garbage('an answer without result, unsupported or error');
  return result as Record<string, unknown>;
}
