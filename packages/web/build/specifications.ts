/** The clauses and fields of specs/ as data for the page: `import { specifications } from 'virtual:specifications'`. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { load as parseYaml } from 'js-yaml';
import type { Plugin } from 'vite';

export interface Specification {
  /** Id → text. */
  readonly clauses: Readonly<Record<string, string>>;
  /** Name in the .ksy → what it says. */
  readonly fields: Readonly<Record<string, SpecifiedField>>;
}

export interface SpecifiedField {
  readonly doc?: string;
  readonly clauses: readonly string[];
}

/** The parts of a .ksy that are wanted here. */
interface Structure {
  readonly seq?: readonly { readonly id: string; readonly doc?: string; readonly 'doc-ref'?: string | readonly string[] }[];
  readonly types?: Readonly<Record<string, Structure>>;
}

/** By folder. `specs`: URL of the folder of that name, with a slash at its end. */
export function readSpecifications(specs: URL): Readonly<Record<string, Specification>> {
  const folders = readdirSync(specs, { withFileTypes: true }).filter((entry) => entry.isDirectory() && existsSync(new URL(`${entry.name}/README.md`, specs)));
  return Object.fromEntries(folders.map(({ name }) => {
    const folder = new URL(`${name}/`, specs);
    const structures = readdirSync(folder).filter((file) => file.endsWith('.ksy')).map((file) => parseYaml(readFileSync(new URL(file, folder), 'utf8')) as Structure);
    return [name, { clauses: clausesOf(readFileSync(new URL('README.md', folder), 'utf8')), fields: fieldsOf(structures) }];
  }));
}

const marker = /\*\*([A-Z]-\d+\.\d+)\.?(?: ([^*]+?)\.?)?\*\*/;

/** `**C-1.1** text` and `**C-1.1 Title.** text` up to the next clause or the end of the paragraph, table rows `| F-2.1 | text |`, and `## C-1 Title`. */
export function clausesOf(markdown: string): Record<string, string> {
  const clauses: Record<string, string> = {};
  for (const line of markdown.replaceAll(/\n {2,}(?=\S)/g, ' ').split('\n')) {
    const [, section, title] = /^#{2,3} ([A-Z]-\d+) (.*)$/.exec(line) ?? [];
    if (section && title) clauses[section] = title;
    const [, row, cells] = /^\| *([A-Z]-\d+\.\d+) *\|(.*)\|$/.exec(line) ?? [];
    if (row && cells) clauses[row] = cells.split('|').map((cell) => cell.trim()).filter((cell) => cell !== '').join('; ');
    const [, ...parts] = line.split(marker);
    for (let i = 0; i < parts.length; i += 3) clauses[parts[i]!] = [parts[i + 1], parts[i + 2]?.trim()].filter(Boolean).join(': ');
  }
  return clauses;
}

/** Attributes of structures and their types; of several with one name, the first that refers to a clause. */
function fieldsOf(structures: readonly Structure[]): Record<string, SpecifiedField> {
  const fields: Record<string, SpecifiedField> = {};
  const visit = ({ seq = [], types = {} }: Structure): void => {
    for (const { id, doc, 'doc-ref': reference } of seq) {
      const clauses = Array.from([reference ?? []].flat().join(' ').matchAll(/\b[A-Z]-\d+(?:\.\d+)?\b/g), ([clause]) => clause);
      const known = fields[id];
      if (!known || (known.clauses.length === 0 && clauses.length > 0)) fields[id] = { doc: doc?.trim(), clauses };
    }
    Object.values(types).forEach(visit);
  };
  structures.forEach(visit);
  return fields;
}

const ID = 'virtual:specifications';

export function specificationsPlugin(specs: URL): Plugin {
  return {
    name: 'specifications',
    resolveId: (id) => (id === ID ? `\0${ID}` : undefined),
    load: (id) => (id === `\0${ID}` ? `export const specifications = JSON.parse(${JSON.stringify(JSON.stringify(readSpecifications(specs)))});` : undefined),
  };
}
