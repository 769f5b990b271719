// Draws docs/images/terminal.svg from what the commands really print: `node tools/docs/terminal-picture.mjs` after a build.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const example = join(root, 'fixtures/golden/recite');
const columns = 112;
const colours = { 31: '#ff7b72', 32: '#7ee787', 33: '#e3b341', 36: '#79c0ff', 2: '#8b949e', 90: '#8b949e' };
const escapeXml = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

function run(folder, args) {
  const { stdout } = spawnSync(process.execPath, [join(root, 'packages/cli/bin/weightspec.js'), ...args], { cwd: folder, encoding: 'utf8', env: { ...process.env, FORCE_COLOR: '1' }, stdio: ['ignore', 'pipe', 'ignore'] });
  return stdout.trimEnd().split('\n');
}

const ESC = String.fromCodePoint(27);

/** Wraps one line at `columns`, counting only what is visible. */
function wrap(line) {
  const rows = [[]];
  let used = 0;
  let style = [];
  // Behind each escape character stands `[<code>m`, then text in that style.
  for (const [i, part] of line.split(ESC).entries()) {
    const [, code, styled] = i === 0 ? [] : /^\[(\d+)m(.*)$/.exec(part);
    if (code !== undefined) style = ['0', '22', '39'].includes(code) ? [] : [...style, Number(code)];
    for (let rest = styled ?? part; rest.length > 0; ) {
      const take = rest.slice(0, columns - used);
      rows.at(-1).push({ text: take, style });
      rest = rest.slice(take.length);
      used += take.length;
      if (rest.length > 0) {
        rows.push([]);
        used = 0;
      }
    }
  }
  return rows;
}

const folder = mkdtempSync(join(tmpdir(), 'weightspec-picture-'));
let lines;
try {
  const bytes = readFileSync(join(example, 'model.bin'));
  writeFileSync(join(folder, 'model.bin'), bytes);
  writeFileSync(join(folder, 'tokenizer.bin'), readFileSync(join(example, 'tokenizer.bin')));
  const damaged = Uint8Array.from(bytes);
  damaged[8] = 4; // n_layers: 3 becomes 4
  writeFileSync(join(folder, 'damaged.bin'), damaged);
  const command = (text) => `${ESC}[36m$ ${text}${ESC}[39m`;
  lines = [
    command('npx weightspec validate damaged.bin'), ...run(folder, ['validate', 'damaged.bin']), '',
    command('npx weightspec run model.bin -p ""'), ...run(folder, ['run', 'model.bin', '-p', '']),
  ];
} finally {
  rmSync(folder, { recursive: true });
}

const rows = lines.flatMap(wrap);
const lineHeight = 18;
const text = rows.map((spans, i) => {
  const body = spans.map(({ text: content, style }) => {
    const fill = style.map((code) => colours[code]).findLast(Boolean);
    return `<tspan${fill ? ` fill="${fill}"` : ''}${style.includes(1) ? ' font-weight="bold"' : ''}>${escapeXml(content)}</tspan>`;
  });
  return `<text x="16" y="${34 + i * lineHeight}" xml:space="preserve">${body.join('')}</text>`;
});
const height = 34 + rows.length * lineHeight;
writeFileSync(join(root, 'docs/images/terminal.svg'), `<svg xmlns="http://www.w3.org/2000/svg" width="${columns * 7.9 + 32}" height="${height}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13" fill="#e6edf3" role="img" aria-label="weightspec validate and weightspec run in a terminal"><rect width="100%" height="100%" rx="8" fill="#0d1117"/>
${text.join('\n')}
</svg>
`);
console.log(`docs/images/terminal.svg: ${rows.length} lines`);
