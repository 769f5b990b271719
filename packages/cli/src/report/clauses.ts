/** The text of the clauses that codes cite, as the specifications have it: data/clauses.json, which `npm run docs` writes. */
import { readFileSync } from 'node:fs';

let clauses: Readonly<Record<string, string>> | undefined;

/** Markdown without its marks, for terminals. */
const plain = (markdown: string): string => markdown.replaceAll(/`([^`]*)`/g, '$1').replaceAll('**', '');

/** What clause `specs/llama2c#C-1.3` demands; undefined for a clause without a number of its own. */
export function clauseText(clause: string): string | undefined {
  clauses ??= JSON.parse(readFileSync(new URL('../../data/clauses.json', import.meta.url), 'utf8')) as Readonly<Record<string, string>>;
  const text = Object.hasOwn(clauses, clause) ? clauses[clause] : undefined;
  return text === undefined ? undefined : plain(text);
}

const mostCharacters = 240;

/**
 * What the clause of a code expects, in a sentence; a clause may go on with reasons and sources. Undefined where the clause only says
 * what some other file is recognised by.
 */
export function expectation(clause: string): string | undefined {
  if (clause.startsWith('specs/formats#F-2.')) return undefined;
  const text = clauseText(clause);
  const sentence = text === undefined ? undefined : (/^.*?[.;](?=\s+[A-Z(]|$)/s.exec(text)?.[0] ?? text);
  return sentence !== undefined && sentence.length > mostCharacters ? `${sentence.slice(0, mostCharacters - 1).trimEnd()}…` : sentence;
}
