/** The clauses of the specifications by the names that codes cite them by, for reports and `explain`. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';

/** `**C-1.3** text`, or with a title, `**F-1.1 Head window.** text`: at the start of an item or paragraph, or after another. */
const marker = /\*\*([A-Z]+-\d+(?:\.\d+)?)(?:\s+([^*]+?))?\*\*([,:]?)\s+/g;
/** A row of a table, `| F-2.1 | … |`. */
const row = /^\|\s*([A-Z]+-\d+(?:\.\d+)?)\s*\|(.*)\|\s*$/;
const onlyCodes = (cell: string): boolean => /^(`[A-Z0-9_]+`(,\s*)?)*$/.test(cell);

function clausesOf(markdown: string): [id: string, text: string][] {
  const rows = markdown.split('\n').flatMap((line): [string, string][] => {
    const [, id, cells] = row.exec(line) ?? [];
    const said = cells?.split('|').map((cell) => cell.trim()).find((cell) => cell !== '' && !onlyCodes(cell));
    return id !== undefined && said !== undefined ? [[id, said]] : [];
  });
  const blocks = markdown.split(/\n(?=\s*\n|- |\||#)/).map((block) => block.trim());
  const texts = blocks.flatMap((block): [string, string][] => {
    const found = [...block.matchAll(marker)];
    return found.map((match, index) => {
      const text = block.slice(match.index + match[0].length, found[index + 1]?.index).replaceAll(/\s*\n\s*/g, ' ').trim();
      const [, id = '', title, punctuation] = match;
      return [id, title === undefined ? text : `${title}${punctuation} ${text}`];
    });
  });
  return [...rows, ...texts].toSorted(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
}

/** packages/cli/data/clauses.json. `root`: the repository, with a slash at its end. */
export function renderClauses(root: URL): string {
  const pages = ['specs', 'packages'].flatMap((folder) => readdirSync(new URL(`${folder}/`, root)).map((name) => `${folder}/${name}`)).toSorted();
  const clauses = pages.flatMap((page) => {
    const readme = new URL(`${page}/README.md`, root);
    return existsSync(readme) ? clausesOf(readFileSync(readme, 'utf8')).map(([id, text]): [string, string] => [`${page}#${id}`, text]) : [];
  });
  return `${JSON.stringify(Object.fromEntries(clauses), null, 1)}\n`;
}
