import { columns } from '../report/columns.js';
import type { Terminal } from '../terminal.js';
import { EXIT } from '../terminal.js';
import { allCodeFamilies } from './all-codes.js';

/** Lists every code with its severity and one line. */
export async function listCodes({ json }: { readonly json?: boolean }, { stdout }: Terminal): Promise<number> {
  const families = allCodeFamilies();
  const rows = families.flatMap(({ id, codes }) => Object.entries(codes).map(([code, entry]) => ({ code, family: id, ...entry })));
  if (json) {
    stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
    return EXIT.ok;
  }
  for (const { title, codes } of families) {
    stdout.write(`${title}\n${columns(Object.entries(codes).map(([code, { severity, summary }]) => [code, severity, summary]))}\n`);
  }
  stdout.write('`weightspec explain CODE` says why a rule exists and what to do.\n');
  return EXIT.ok;
}
