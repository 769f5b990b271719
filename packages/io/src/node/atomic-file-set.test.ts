import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { atomicFileSet } from './index.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weightspec-set-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const names = (): string[] => readdirSync(folder).toSorted();

describe('atomicFileSet', () => {
  it('shows nothing before commit, and everything after', async () => {
    writeFileSync(at('a'), 'old a');
    const set = atomicFileSet();
    for (const name of ['a', 'b']) await (await set.open(at(name))).write(bytes(`new ${name}`));
    expect(readFileSync(at('a'), 'utf8')).toBe('old a');
    expect(names().filter((name) => !name.startsWith('.'))).toEqual(['a']);
    await set.commit();
    await set.abort();
    expect(names()).toEqual(['a', 'b']);
    expect(['a', 'b'].map((name) => readFileSync(at(name), 'utf8'))).toEqual(['new a', 'new b']);
  });
  it('leaves everything as it was when the last file cannot take its place', async () => {
    writeFileSync(at('replaced'), 'old');
    const set = atomicFileSet();
    for (const name of ['replaced', 'new', 'blocked']) await (await set.open(at(name))).write(bytes(name));
    // A folder that is not empty has taken the name since the set was opened: a rename cannot replace it.
    mkdirSync(at('blocked'));
    writeFileSync(join(at('blocked'), 'content'), '');
    await expect(set.commit()).rejects.toMatchObject({ code: expect.stringMatching(/^IO_/) as string });
    await set.abort();
    expect(names()).toEqual(['blocked', 'replaced']);
    expect(readFileSync(at('replaced'), 'utf8')).toBe('old');
  });
  it('removes what was written on abort, and a second abort does nothing', async () => {
    const set = atomicFileSet();
    await (await set.open(at('a'))).write(bytes('a'));
    await set.abort();
    await set.abort();
    expect(names()).toEqual([]);
  });
  it('does not overwrite a file that is being read (IO_SAME_FILE)', async () => {
    writeFileSync(at('source'), 'source');
    const set = atomicFileSet({ protect: [at('source')] });
    await expect(set.open(at('source'))).rejects.toMatchObject({ code: 'IO_SAME_FILE' });
    await set.abort();
    expect(names()).toEqual(['source']);
  });
});
