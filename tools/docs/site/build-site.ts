/**
 * The documentation as a static site: every Markdown page of the repository in its place, the specifications with their layouts drawn,
 * the codes with their examples, and the exported declarations of each package. Links stay relative, so that it can be put anywhere.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import MarkdownIt from 'markdown-it';
import { packageApi, type ApiModule } from './api.js';
import { layoutSvg } from './layout-svg.js';
import { schemaSvg } from './schema-layout.js';
import { style } from './style.js';

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** `# A heading, so` → `a-heading-so`, as code hosts name the anchor. */
export const slug = (heading: string): string => heading.toLowerCase().replaceAll(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-');

/** Where a page or file of the repository stands in the site. */
export const sitePath = (path: string): string => (path === 'README.md' || path.endsWith('/README.md') ? `${path.slice(0, -'README.md'.length)}index.html` : path.replace(/\.md$/, '.html'));

interface Page {
  /** In the repository: `docs/cli.md`. */
  readonly path: string;
  readonly markdown: string;
  /** HTML that follows. */
  readonly more?: string;
}

/** Pages at fixed places, then those of specifications, packages, fixtures and tools. */
function pagesOf(root: string): Page[] {
  const read = (path: string, more?: string): Page => ({ path, markdown: readFileSync(join(root, path), 'utf8'), ...(more === undefined ? {} : { more }) });
  const inside = (folder: string): string[] => (existsSync(join(root, folder)) ? readdirSync(join(root, folder)).toSorted() : []);
  const markdownIn = (folder: string): string[] => inside(folder).filter((name) => name.endsWith('.md')).map((name) => `${folder}/${name}`);
  const readmesIn = (folder: string): string[] => inside(folder).map((name) => `${folder}/${name}/README.md`).filter((path) => existsSync(join(root, path)));
  const rootUrl = new URL(`file://${root}/`);
  return [
    ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'fixtures/README.md'].filter((path) => existsSync(join(root, path))).map((path) => read(path)),
    ...markdownIn('docs').map((path) => (path === 'docs/CODES.md' ? codesPage(root) : read(path))),
    ...[...markdownIn('docs/adr'), ...markdownIn('docs/examples'), ...readmesIn('tools'), ...readmesIn('fixtures')].map((path) => read(path)),
    ...readmesIn('specs').map((path) => read(path, layoutsHtml(rootUrl, path.split('/')[1]!))),
    ...readmesIn('packages').map((path) => read(path, apiHtml(packageApi(new URL(`packages/${path.split('/')[1]}/`, rootUrl))))),
  ];
}

/** The codes with the example that `explain` shows behind each. */
function codesPage(root: string): Page {
  const examples = JSON.parse(readFileSync(join(root, 'packages/cli/data/examples.json'), 'utf8')) as Readonly<Record<string, { from: string; message: string; at?: string; frame?: readonly string[] }>>;
  const markdown = readFileSync(join(root, 'docs/CODES.md'), 'utf8').replaceAll(/^### ([A-Z0-9_]+)\n\n([^]*?)(?=\n#{2,3} |$(?![^]))/gm, (section, code: string) => {
    const example = Object.hasOwn(examples, code) ? examples[code] : undefined;
    if (!example) return section;
    const lines = [`${example.from}: ${example.message}`, ...(example.at === undefined ? [] : [`at ${example.at}`]), ...(example.frame ?? [])];
    return `${section.trimEnd()}\n\n\`\`\`\n${lines.join('\n')}\n\`\`\`\n`;
  });
  return { path: 'docs/CODES.md', markdown };
}

function layoutsHtml(root: URL, folder: string): string | undefined {
  const specs = new URL('specs/', root);
  const files = readdirSync(new URL(`${folder}/`, specs)).toSorted();
  const drawing = (file: string, svg: (id: string) => string): string => {
    const id = file.replace(/\.(ksy|schema\.json)$/, '');
    return `<h3 id="${id}">${id}</h3>\n<p><a href="${file}">${file}</a></p>\n<figure>${svg(id)}</figure>`;
  };
  const layouts = files.filter((name) => name.endsWith('.ksy')).map((file) => drawing(file, (id) => layoutSvg(specs, folder, id)));
  const schemas = files.filter((name) => name.endsWith('.schema.json')).map((file) => drawing(file, (id) => schemaSvg(new URL(`${folder}/${file}`, specs), `Members of ${id}`)));
  if (layouts.length + schemas.length === 0) return undefined;
  const legend = [
    ...(layouts.length > 0 ? ['Drawn from the specifications beside this page: offsets in decimal where they are fixed, sizes, and what a field must be. Blue fields are read with the header, green ones are places of tensors, dashed ones repeat.'] : []),
    ...(schemas.length > 0 ? ['Drawn from the JSON Schema beside this page: members by their path, types, and what a value must be. Dashed members repeat; a green one says that there is no other.'] : []),
  ];
  return `<h2 id="layouts">Layouts</h2>\n${legend.map((text) => `<p>${text}</p>\n`).join('')}${[...layouts, ...schemas].join('\n')}`;
}

function apiHtml(modules: readonly ApiModule[]): string | undefined {
  if (modules.length === 0) return undefined;
  const markdown = new MarkdownIt();
  const entry = ({ specifier, entries, doc }: ApiModule): string => {
    const rows = entries.map(({ name, kind, declaration, doc: text }) => `<h4 id="${escape(`${specifier}.${name}`)}">${escape(name)} <small>${kind}</small></h4>\n${markdown.render(text)}<pre><code>${escape(declaration)}</code></pre>`);
    return `<h3>${escape(specifier)}</h3>\n${markdown.render(doc)}${rows.join('\n')}`;
  };
  return `<h2 id="exports">Exports</h2>\n${modules.map(entry).join('\n')}`;
}

/** Relative links as they are in the site; what they point at besides pages is put into `files`. */
function markdownFor(page: Page, root: string, files: Set<string>): MarkdownIt {
  const markdown = new MarkdownIt({ html: true });
  const target = (href: string): string => {
    if (/^[a-z]+:|^#|^\/\//i.test(href)) return href;
    const [path = '', anchor] = href.split('#');
    const inRepository = posix.normalize(posix.join(posix.dirname(page.path), decodeURIComponent(path))).replace(/\/$/, '');
    const isFolder = existsSync(join(root, inRepository)) && statSync(join(root, inRepository)).isDirectory();
    if (!isFolder && !path.endsWith('.md')) files.add(inRepository);
    const there = isFolder ? `${inRepository === '.' ? '' : `${inRepository}/`}index.html` : sitePath(inRepository);
    return relativeTo(sitePath(page.path), there) + (anchor === undefined ? '' : `#${anchor}`);
  };
  const { rules } = markdown.renderer;
  const plainLink = (tokens: Parameters<NonNullable<typeof rules.link_open>>[0], index: number, options: Parameters<NonNullable<typeof rules.link_open>>[2], _: unknown, self: Parameters<NonNullable<typeof rules.link_open>>[4]): string => self.renderToken(tokens, index, options);
  rules.link_open = (tokens, index, options, env, self) => {
    const token = tokens[index]!;
    const text = tokens[index + 1]?.content ?? '';
    // `[specs/llama2c#C-1.3](…)` is the clause itself.
    const clause = /^(?:specs|packages)\/[\w-]+#([\w.-]+)$/.exec(text)?.[1];
    const href = target(token.attrGet('href') ?? '');
    token.attrSet('href', clause === undefined || href.includes('#') ? href : `${href}#${clause}`);
    return plainLink(tokens, index, options, env, self);
  };
  rules.image = (tokens, index, options, env, self) => {
    const token = tokens[index]!;
    token.attrSet('src', target(token.attrGet('src') ?? ''));
    token.attrSet('alt', self.renderInlineAsText(token.children ?? [], options, env));
    return self.renderToken(tokens, index, options);
  };
  rules.heading_open = (tokens, index, options, env, self) => {
    tokens[index]!.attrSet('id', slug(tokens[index + 1]?.content.replaceAll('`', '') ?? ''));
    return self.renderToken(tokens, index, options);
  };
  return markdown;
}

/** Clauses can be linked to: `**C-1.3**` and the first cells of tables. */
const withClauseAnchors = (html: string): string =>
  html.replaceAll(/<strong>([A-Z]+-\d+(?:\.\d+)?)(?=[\s<])/g, '<strong id="$1">$1').replaceAll(/<td>([A-Z]+-\d+(?:\.\d+)?)<\/td>/g, '<td id="$1">$1</td>');

const relativeTo = (from: string, to: string): string => posix.relative(posix.dirname(from), to) || posix.basename(to);

interface NavigationItem {
  readonly text: string;
  readonly to: string;
}

function shell(page: string, title: string, body: string, navigation: readonly NavigationItem[]): string {
  const links = navigation.map(({ text, to }) => `<a href="${relativeTo(page, to)}"${to === page ? ' aria-current="page"' : ''}>${escape(text)}</a>`).join('\n');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escape(title)} - Weightspec</title><style>${style}</style></head>
<body><nav>${links}</nav><main>
${body}
</main></body></html>
`;
}

/** The first heading of a page. */
const titleOf = ({ markdown, path }: Page): string => /^# (.+)$/m.exec(markdown)?.[1]?.replaceAll('`', '') ?? path;

/** Writes the site of the repository at `root` (an URL with a slash at its end) into the folder `out`. Gives the paths of its pages. */
export function buildSite(rootUrl: URL, out: string): readonly string[] {
  const root = fileURLToPath(rootUrl).replace(/\/$/, '');
  const pages = pagesOf(root);
  const files = new Set<string>();
  const titles = new Map(pages.map((page) => [page.path, titleOf(page)]));
  const fixed: readonly (readonly [path: string, text: string])[] = [['README.md', 'Weightspec'], ['docs/cli.md', 'Commands'], ['docs/CODES.md', 'Codes'], ['docs/convert.md', 'Converting'], ['docs/examples/README.md', 'Reports'], ['docs/architecture.md', 'Architecture'], ['CONTRIBUTING.md', 'Contributing'], ['CHANGELOG.md', 'Changes']];
  const named = fixed.filter(([path]) => titles.has(path)).map(([path, text]) => ({ text, to: sitePath(path) }));
  const groups = ['specs', 'packages'].flatMap((folder) => pages.filter(({ path }) => path.startsWith(`${folder}/`)).map(({ path }) => ({ text: path.split('/').slice(0, 2).join('/'), to: sitePath(path) })));
  const navigation = [...named, ...groups];
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(out, path)), { recursive: true });
    writeFileSync(join(out, path), text);
  };
  const written: string[] = [];
  for (const page of pages) {
    const at = sitePath(page.path);
    const body = withClauseAnchors(markdownFor(page, root, files).render(page.markdown));
    put(at, shell(at, titleOf(page), `${body}${page.more ?? ''}`, navigation));
    written.push(at);
  }
  for (const folder of ['docs/adr']) {
    const listed = pages.filter(({ path }) => path.startsWith(`${folder}/`)).map(({ path }) => `<li><a href="${posix.basename(sitePath(path))}">${escape(titles.get(path) ?? path)}</a></li>`);
    put(`${folder}/index.html`, shell(`${folder}/index.html`, 'Decisions', `<h1>Decisions</h1><ul>${listed.join('')}</ul>`, navigation));
    written.push(`${folder}/index.html`);
  }
  for (const { path } of pages.filter((page) => page.path.startsWith('specs/'))) {
    for (const name of readdirSync(join(root, dirname(path))).filter((file) => /\.(ksy|json)$/.test(file))) files.add(`${dirname(path)}/${name}`);
  }
  for (const file of files) {
    if (!existsSync(join(root, file))) throw new Error(`${file}: a page links to it, and it is not there`);
    mkdirSync(dirname(join(out, file)), { recursive: true });
    cpSync(join(root, file), join(out, file));
  }
  return written;
}
