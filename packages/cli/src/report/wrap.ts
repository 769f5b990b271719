/** `text` in lines of at most `width` columns, cut at spaces; a longer word has a line of its own. */
export function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** Columns to write in: a terminal's, up to `most`. A pipe has no end: one fact is one line there, for grep. */
export const widthOf = ({ isTTY, columns }: { readonly isTTY?: boolean; readonly columns?: number }, most: number): number => (isTTY === true ? Math.min(columns ?? 80, most) : Infinity);
