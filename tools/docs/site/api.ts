/** What a package exports, with the docstrings of its declarations: read from the .d.ts files of its build. */
import { existsSync, readFileSync } from 'node:fs';

export interface ApiEntry {
  readonly name: string;
  /** function, class, interface, type, const. */
  readonly kind: string;
  /** As TypeScript declares it, without bodies. */
  readonly declaration: string;
  /** Markdown; empty where there is none. */
  readonly doc: string;
}

export interface ApiModule {
  /** What to import: `@weightspec/io/node`. */
  readonly specifier: string;
  readonly doc: string;
  readonly entries: readonly ApiEntry[];
}

const docText = (comment: string): string => comment.replace(/^\/\*\*/, '').replace(/\*\/$/, '').split('\n').map((line) => line.replace(/^\s*\* ?/, '')).join('\n').trim();

/** Where the declaration that starts at `from` ends: after the `;` or, of a body, the `}` that closes it. */
function declarationEnd(text: string, from: number, hasBody: boolean): number {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const character = text[at]!;
    if ('{(['.includes(character)) depth += 1;
    if ('})]'.includes(character)) depth -= 1;
    if (depth === 0 && (character === ';' || (hasBody && character === '}'))) return at + 1;
  }
  return text.length;
}

/** Declarations of one file, by name. */
function declarationsOf(text: string): ReadonlyMap<string, ApiEntry> {
  const found = new Map<string, ApiEntry>();
  const pattern = /(\/\*\*(?:(?!\*\/)[^])*\*\/\s*)?export (?:declare )?(?:abstract )?(function|const|class|interface|type) (\w+)/g;
  for (const match of text.matchAll(pattern)) {
    const [, comment = '', kind = '', name = ''] = match;
    const start = match.index + comment.length;
    const declaration = text.slice(start, declarationEnd(text, start, kind === 'class' || kind === 'interface')).replace(/^export (declare )?/, '');
    // Overloads: all of them under the first docstring.
    const before = found.get(name);
    found.set(name, before && kind === 'function' ? { ...before, declaration: `${before.declaration}\n${declaration}` } : { name, kind, declaration, doc: docText(comment.trim()) });
  }
  return found;
}

/** What the module at `file` exports, its own and what it passes on from files beside it. */
function exportsOf(file: URL): ReadonlyMap<string, ApiEntry> {
  if (!existsSync(file)) return new Map();
  const text = readFileSync(file, 'utf8');
  const found = new Map(declarationsOf(text));
  for (const [, list, from = ''] of text.matchAll(/export (?:type )?(\*|\{[^}]*\}) from '(\.[^']+)'/g)) {
    const inner = exportsOf(new URL(from.replace(/\.js$/, '.d.ts'), file));
    if (list === '*') for (const [name, entry] of inner) found.set(name, entry);
    else {
      for (const item of list!.slice(1, -1).split(',')) {
        const [original = '', alias = original] = item.trim().replace(/^type /, '').split(' as ');
        const entry = inner.get(original);
        if (entry) found.set(alias, { ...entry, name: alias });
      }
    }
  }
  return found;
}

interface Manifest {
  readonly name: string;
  readonly exports: Readonly<Record<string, { readonly types?: string } | string>>;
}

/** Every module of the package in `folder` (with a slash at its end) that can be imported. Empty before its first build. */
export function packageApi(folder: URL): readonly ApiModule[] {
  const { name, exports } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as Manifest;
  return Object.entries(exports).flatMap(([path, target]): ApiModule[] => {
    const types = typeof target === 'string' ? undefined : target.types;
    if (types === undefined) return [];
    const file = new URL(types, folder);
    const head = existsSync(file) ? (/^\/\*\*[^]*?\*\//.exec(readFileSync(file, 'utf8'))?.[0] ?? '') : '';
    const entries = [...exportsOf(file).values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
    return entries.length > 0 ? [{ specifier: path === '.' ? name : `${name}/${path.slice(2)}`, doc: docText(head), entries }] : [];
  });
}
