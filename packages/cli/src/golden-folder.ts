/** A folder of fixtures/golden, or one made like it: expected.json names prompts, and files of logits and activations. */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CliError } from './codes.js';

export interface GoldenPrompt {
  readonly tokens: readonly number[];
  readonly greedyIds: readonly number[];
  /** One row after each of `tokens` and `greedyIds` but the last; absent where only the ids are known. */
  readonly logits?: Float64Array;
}

export interface GoldenFolder {
  readonly prompts: readonly GoldenPrompt[];
  readonly vocabSize: number;
  /** How far a logit may be off. */
  readonly tolerance: number;
  /** Added where activations are rounded to int8; 0 where the golden says nothing of those. */
  readonly int8Tolerance: number;
  /** Activations of one of the prompts. */
  readonly trace?: { readonly path: string; readonly tokens: readonly number[] };
}

interface GoldenJson {
  readonly logits: { readonly file: string; readonly shape: readonly [number, number] };
  readonly tolerance: { readonly absolute: number };
  readonly int8Activations?: { readonly absolute: number };
  readonly trace?: { readonly file: string; readonly prompt: number };
  readonly prompts: readonly { readonly tokens?: readonly number[]; readonly greedyIds: readonly number[]; readonly firstLogitsRow?: number }[];
}

/** The golden for the model at `modelPath`: the one of its file's name, where the folder has several. Throws CliError (CLI_BAD_GOLDEN). */
export async function readGoldenFolder(folder: string, modelPath: string): Promise<GoldenFolder> {
  try {
    return await goldenIn(folder, modelPath);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('CLI_BAD_GOLDEN', `${folder}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const jsonIn = async <T>(path: string): Promise<T> => JSON.parse(await readFile(path, 'utf8')) as T;

interface Varied {
  readonly prompts: readonly (readonly number[])[];
  readonly variants: Readonly<Record<string, { readonly open: string; readonly golden: string }>>;
  readonly goldens: Readonly<Record<string, GoldenJson>>;
}

async function goldenIn(folder: string, modelPath: string): Promise<GoldenFolder> {
  const expected = await jsonIn<Varied | Omit<GoldenJson, 'tolerance'>>(join(folder, 'expected.json'));
  const golden = 'goldens' in expected ? goldenFor(expected, folder, modelPath) : { ...expected, ...(await jsonIn<Pick<GoldenJson, 'tolerance'>>(join(folder, 'manifest.json'))) };
  const { logits, tolerance, int8Activations, trace } = golden;
  const [, vocabSize] = logits.shape;
  const bytes = await readFile(join(folder, logits.file));
  const prompts = golden.prompts.map(({ tokens = [], greedyIds, firstLogitsRow }): GoldenPrompt => {
    if (firstLogitsRow === undefined) return { tokens, greedyIds };
    const count = (tokens.length + greedyIds.length - 1) * vocabSize;
    return { tokens, greedyIds, logits: Float64Array.from({ length: count }, (_, i) => bytes.readDoubleLE(8 * (firstLogitsRow * vocabSize + i))) };
  });
  return { prompts, vocabSize, tolerance: tolerance.absolute, int8Tolerance: int8Activations?.absolute ?? 0, ...(trace && { trace: { path: join(folder, trace.file), tokens: prompts[trace.prompt]?.tokens ?? [] } }) };
}

function goldenFor({ prompts, variants, goldens }: Varied, folder: string, modelPath: string): GoldenJson {
  const named = Object.values(variants).find(({ open }) => open === basename(modelPath));
  const golden = goldens[named?.golden ?? ''];
  if (!golden) throw new CliError('CLI_BAD_GOLDEN', `${folder} has goldens for files called ${Object.values(variants).map(({ open }) => open).join(', ')}, not ${basename(modelPath)}`);
  return { ...golden, prompts: golden.prompts.map((prompt, i) => ({ ...prompt, tokens: prompts[i] })) };
}
