import { formats } from '@weightspec/formats';
import { columns } from '../report/columns.js';
import type { Terminal } from '../terminal.js';
import { EXIT } from '../terminal.js';

/** Lists the formats with their variants. */
export async function listFormats({ json }: { readonly json?: boolean }, { stdout }: Terminal): Promise<number> {
  const rows = formats.map((format) => ({ id: format.id, title: format.title, variants: format.variants, extensions: format.extensions, writes: 'write' in format }));
  if (json) {
    stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
    return EXIT.ok;
  }
  const lines = rows.map(({ id, title, variants, extensions, writes }) => [id, title, extensions.join(' '), writes ? 'read, write' : 'read', variants.join(', ')]);
  stdout.write(columns([['format', 'what', 'files', 'can', 'variants'], ...lines], ''));
  return EXIT.ok;
}
