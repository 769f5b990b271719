/**
 * Rows as aligned columns, nothing between them but spaces: greps and copies well. One line a row, no trailing spaces.
 * Not cli-table3: loading it and drawing 220 rows took 80 of the 300 ms that inspecting a 30 GB file may take.
 */
export function columns(rows: readonly (readonly string[])[], indent = '  '): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, index) => (widths[index] = Math.max(widths[index] ?? 0, cell.length)));
  return rows.map((row) => `${indent}${row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  ').trimEnd()}\n`).join('');
}
