import type { CodeEntry, CodeFamily } from '@weightspec/cli';

const intro = `<!-- Generated from the code tables by \`npm run docs\`. Do not edit. -->

# Diagnostic codes

A code is permanent and has one cause. An **error** means that a file is not what it claims, or that reading it is unsafe or ambiguous; a **warning**, that it can be read but some reader in use would differ or a clause is bent; an **info** is worth knowing. \`--strict\` turns warnings into errors. \`weightspec explain CODE\` prints one entry.
`;

/** \`specs/llama2c#C-3.2\` as a link to the page that holds the clause. */
function clauseLink(clause: string): string {
  const [page = '', anchor = ''] = clause.split('#');
  const file = page.startsWith('docs/') ? `${page.slice('docs/'.length)}.md#${anchor}` : `../${page}/README.md`;
  return `[${clause}](${file})`;
}

function section(code: string, { severity, summary, clause, rationale, hint }: CodeEntry): string {
  const sentence = summary.endsWith('.') ? summary : `${summary}.`;
  return `### ${code}\n\n**${severity}** · ${clauseLink(clause)}\n\n${sentence} ${rationale}\n\nWhat to do: ${hint}\n`;
}

/** The whole page. Text from the tables is Markdown already; angle brackets in it are escaped. */
export function renderCodes(families: readonly CodeFamily[]): string {
  const chapters = families.map(({ id, title, codes }) => {
    const entries = Object.entries(codes).toSorted(([a], [b]) => (a < b ? -1 : 1));
    return `## ${title} (\`${id}\`)\n\n${entries.map(([code, entry]) => section(code, entry)).join('\n')}`;
  });
  return [intro, ...chapters].join('\n').replaceAll(/<(?!!--)(?=[a-z/])/gi, '&lt;');
}
