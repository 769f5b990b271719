/** A smallest example of each code: bytes that break one rule, as a report shows them. From the fixtures, and from the few bytes below. */
import { readFileSync, readdirSync } from 'node:fs';
import { fieldNames, withFrames, type Frame } from '@weightspec/cli';
import type { Diagnostic, Format } from '@weightspec/core';
import { formats, validateSource } from '@weightspec/formats';
import { memorySource } from '@weightspec/io';
import { shardedIndexFormat } from '@weightspec/sharded-index';
import { shards, shortExamples } from './short-examples.js';
import { exampleIn, situations } from './situations/index.js';

/** What `weightspec explain` shows: data/examples.json, by code. */
export interface CodeExample {
  /** Where the bytes are from: a fixture, or what they are. Empty where files or a program say more. */
  readonly from: string;
  readonly message: string;
  /** Fields, or where else: `bytes [4, 8), version`. */
  readonly at?: string;
  /** Lines of the annotated hexdump. */
  readonly frame?: readonly string[];
  /** Files that there have to be, each with its contents or what they are. */
  readonly files?: readonly string[];
  /** A command line, or a module, that has this message. */
  readonly run?: readonly string[];
}

interface Candidate extends CodeExample {
  /** Findings of the same file that are more than infos: one is best, then few. */
  readonly others: number;
  readonly byteLength: number;
}

const fixtureFolders = ['safetensors', 'llama2c', 'ggml-qwen', 'torch-checkpoint'] as const;

function exampleOf(from: string, name: string, { message, byteRange, source }: Diagnostic, frame: Frame | undefined): CodeExample {
  const at = byteRange && [`bytes [${byteRange[0]}, ${byteRange[1]})${source === name ? '' : ` of ${source}`}`, fieldNames(frame?.marked ?? [])].filter((part) => part !== '').join(', ');
  return { from, message, ...(at === undefined ? {} : { at }), ...(frame ? { frame: frame.lines.map(({ text }) => text) } : {}) };
}

async function candidatesOf(bytes: Uint8Array, name: string, from: string, list: readonly Format[] = formats): Promise<[code: string, Candidate][]> {
  const source = memorySource(bytes, name);
  const { report, frames } = await withFrames(await validateSource(source, { deep: true, formats: list }), source);
  const problems = report.diagnostics.filter(({ severity }) => severity !== 'info').length;
  return report.diagnostics.map((diagnostic) => [diagnostic.code, { ...exampleOf(from, name, diagnostic, frames.get(diagnostic)), others: problems, byteLength: bytes.length }]);
}

const named = (format: Format): Format => ({ ...format, detect: () => ({ confidence: 'certain', evidence: 'named' }) });

const better = (a: Candidate, b: Candidate): boolean => a.others < b.others || (a.others === b.others && a.byteLength < b.byteLength);

/** By code, of what the bytes of one file show. `root`: the repository, with a slash at its end. */
async function examplesOfFiles(root: URL): Promise<Readonly<Record<string, CodeExample>>> {
  const best = new Map<string, Candidate>();
  const consider = (found: readonly (readonly [string, Candidate])[]): void => {
    for (const [code, candidate] of found) {
      const known = best.get(code);
      if (!known || better(candidate, known)) best.set(code, candidate);
    }
  };
  for (const folder of fixtureFolders) {
    for (const kind of ['ambiguous', 'invalid', 'valid']) {
      const place = new URL(`fixtures/${folder}/${kind}/`, root);
      for (const file of readdirSync(place).filter((name) => !name.endsWith('.expect.json')).toSorted()) {
        const { detected, format } = JSON.parse(readFileSync(new URL(file.replace(/\.\w+$/, '.expect.json'), place), 'utf8')) as { readonly detected: boolean; readonly format: string };
        // Where the bytes cannot give the format away, a person has to name it.
        const list = detected ? formats : formats.filter(({ id }) => id === format).map(named);
        consider(await candidatesOf(new Uint8Array(readFileSync(new URL(file, place))), file, `fixtures/${folder}/${kind}/${file}`, list));
      }
    }
  }
  const index = shardedIndexFormat((name) => Promise.resolve(Object.hasOwn(shards, name) ? memorySource(shards[name]!, name) : undefined));
  const withShards = formats.map((format) => (format.id === index.id ? index : format));
  for (const { name, bytes } of shortExamples) consider(await candidatesOf(bytes, name, `a file ${name} of ${bytes.length} bytes`, withShards));
  return Object.fromEntries([...best].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([code, { others: _others, byteLength: _byteLength, ...example }]) => [code, example]));
}

/** By code. `root`: the repository, with a slash at its end. */
export async function codeExamples(root: URL): Promise<Readonly<Record<string, CodeExample>>> {
  const examples = { ...(await examplesOfFiles(root)) };
  for (const situation of await situations()) {
    if (Object.hasOwn(examples, situation.code)) throw new Error(`${situation.code} has an example in the bytes of a file`);
    examples[situation.code] = await exampleIn(situation);
  }
  return Object.fromEntries(Object.entries(examples).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** packages/cli/data/examples.json. */
export const renderExamples = async (root: URL): Promise<string> => `${JSON.stringify(await codeExamples(root), null, 1)}\n`;
