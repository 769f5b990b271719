import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { IO_CODES, IoError } from './errors.js';

describe('the table of I/O codes', () => {
  it.each(Object.entries(IO_CODES))('%s says what, why and what to do', (code, entry) => {
    expect(code).toMatch(/^IO_[A-Z_]+$/);
    expect(entry.clause).toBe(`packages/io#${code}`);
    for (const text of [entry.summary, entry.rationale, entry.hint]) expect(text).toMatch(/^[A-Z].{20,}\.$/s);
  });
});

describe('README.md', () => {
  it('has an anchor for every code, where its clause leads', () => {
    const anchors = [...readFileSync(new URL('../README.md', import.meta.url), 'utf8').matchAll(/<a id="(\w+)"><\/a>`\1`/g)].map(([, code]) => code);
    expect(anchors.toSorted()).toEqual(Object.keys(IO_CODES).toSorted());
  });
});

describe('IoError', () => {
  it('takes its hint from the table unless it is given one', () => {
    expect(new IoError('IO_DISK_FULL', 'full').hint).toBe(IO_CODES.IO_DISK_FULL.hint);
    const cause = new Error('errno');
    const error = new IoError('IO_DISK_FULL', 'full', { hint: 'Delete something.', cause });
    expect(error).toMatchObject({ name: 'IoError', code: 'IO_DISK_FULL', message: 'full', hint: 'Delete something.', cause });
    expect(error).toBeInstanceOf(Error);
  });
});
