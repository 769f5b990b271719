/** 1234567 → 1,234,567, whatever the machine's language. */
export const grouped = (value: number): string => value.toLocaleString('en-US');

/** 1056540 → 1.06 MB. Powers of ten. */
export function humanBytes(bytes: number): string {
  const units = ['kB', 'MB', 'GB', 'TB'];
  if (bytes < 1000) return `${bytes} B`;
  const power = Math.min(units.length, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** power).toPrecision(3)} ${units[power - 1]}`;
}

/** 1 file, 2 files. */
export const counted = (count: number, noun: string): string => `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`;
