import type { Case } from './case.js';
import { ConformanceError } from './codes.js';

/** Part `index` (from 1) of `count`. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** Whether `pattern` means `id`: the id itself, a prefix that ends at a slash (a suite's name is one), or a pattern in which * stands for anything. */
export function matches(id: string, pattern: string): boolean {
  const trimmed = pattern.replace(/\/$/, '');
  if (!trimmed.includes('*')) return id === trimmed || id.startsWith(`${trimmed}/`);
  const source = trimmed.split('*').map((text) => text.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)).join('.*');
  return new RegExp(`^${source}$`).test(id);
}

/** The cases that any of `patterns` means (all, when there is none), in the order of the list. Throws ConformanceError (CONFORM_NO_CASE) for a pattern that means nothing. */
export function selectCases(cases: readonly Case[], patterns: readonly string[] = [], shard: Shard = { index: 1, count: 1 }): readonly Case[] {
  for (const pattern of patterns) {
    if (!cases.some(({ id }) => matches(id, pattern))) throw new ConformanceError('CONFORM_NO_CASE', `no case is called ${JSON.stringify(pattern)}`);
  }
  const chosen = patterns.length === 0 ? cases : cases.filter(({ id }) => patterns.some((pattern) => matches(id, pattern)));
  return chosen.filter((_, position) => position % shard.count === shard.index - 1);
}
