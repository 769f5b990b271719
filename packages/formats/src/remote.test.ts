/** Addresses as models: what is asked for, in which order, and what a refusal means. Servers are maps in memory. */
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { IoError, memorySource, type IoCode } from '@weightspec/io';
import { describe, expect, it } from 'vitest';
import { fileAddress, namesFolder, openFolder, remoteFolder, remoteModel, type OpenAddress } from './index.js';

const golden = (path: string): Uint8Array => new Uint8Array(readFileSync(fileURLToPath(new URL(`../../../fixtures/golden/${path}`, import.meta.url))));
const addition = Object.fromEntries(readdirSync(fileURLToPath(new URL('../../../fixtures/golden/addition', import.meta.url))).map((name) => [name, golden(`addition/${name}`)]));
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const host = 'https://host.example/models/a%20b/';

/** A server with these files under `host`; those in `faults` fail otherwise than by not being there. */
function serve(files: Readonly<Record<string, Uint8Array>>, faults: Readonly<Record<string, IoCode>> = {}): { open: OpenAddress; asked: string[]; openSources: () => number } {
  const asked: string[] = [];
  let openSources = 0;
  const open: OpenAddress = async (url, { whole }) => {
    const name = url.startsWith(host) ? url.slice(host.length).replace(/\?.*$/, '') : url;
    asked.push(`${url.slice(host.length)}${whole ? ' whole' : ''}`);
    if (faults[name]) throw new IoError(faults[name], name);
    if (!files[name]) throw new IoError('IO_NOT_FOUND', name);
    openSources++;
    const source = memorySource(files[name], `${host}${name}`);
    return { name: source.name, size: source.size, read: (offset, length) => source.read(offset, length), close: async () => void openSources-- };
  };
  return { open, asked, openSources: () => openSources };
}

describe('an address', () => {
  it.each([
    ['https://huggingface.co/owner/name', 'https://huggingface.co/owner/name/resolve/main/'],
    ['https://huggingface.co/owner/name/tree/main', 'https://huggingface.co/owner/name/resolve/main/'],
    ['https://huggingface.co/owner/name/tree/v1.0/sub/folder?x=1', 'https://huggingface.co/owner/name/resolve/v1.0/sub/folder/'],
    ['https://huggingface.co/owner/name/blob/main/model.safetensors', 'https://huggingface.co/owner/name/resolve/main/model.safetensors'],
    ['https://huggingface.co/owner/name/resolve/main/model.safetensors?download=true', 'https://huggingface.co/owner/name/resolve/main/model.safetensors?download=true'],
    ['https://huggingface.co/datasets/owner/name', 'https://huggingface.co/datasets/owner/name'],
    ['https://host.example/owner/name', 'https://host.example/owner/name'],
  ])('%s is read at %s', (given, read) => {
    expect(fileAddress(given)).toBe(read);
  });
  it('means a folder where it ends in a slash, or names an index or a configuration', () => {
    const named = ['', 'model.safetensors.index.json', 'config.json?download=true', 'params.json#top', 'model.safetensors', 'tokenizer.json', 'x.bin?name=/config.json'];
    expect(named.map((name) => namesFolder(host + name))).toEqual([true, true, true, true, false, false, false]);
    expect([namesFolder('https://huggingface.co/owner/name'), namesFolder('not an address')]).toEqual([true, false]);
  });
});

describe('a file', () => {
  it('of tensors alone is taken with the configuration and the vocabulary beside it', async () => {
    const { open, asked, openSources } = serve(addition);
    const heard: string[] = [];
    const { listing, folder, name } = await remoteModel(`${host}model.safetensors?secret=1`, open, (file) => heard.push(file));
    const opened = await openFolder(listing!, folder.resolve, { name: folder.name });
    expect([name, folder.name]).toEqual([`${host}model.safetensors`, host.slice(0, -1)]);
    expect(opened.checked.join()).toContain(`that ${host}config.json implies`);
    expect(asked).toEqual(['model.safetensors?secret=1', 'config.json whole', 'tokenizer.json whole', 'tokenizer.model whole', 'qwen.tiktoken whole', 'tokenizer.bin whole']);
    expect(heard).toEqual(folder.asked().map((file) => file.name));
    expect(folder.asked().map(({ outcome }) => outcome)).toEqual(['found', 'found', 'absent', 'absent', 'absent', 'found']);
    await opened.close();
    expect(openSources()).toBe(3);
    await folder.close();
    expect(openSources()).toBe(0);
  });
  it('without a configuration stays a file', async () => {
    const { open, asked } = serve({ 'model.safetensors': addition['model.safetensors']! });
    const { listing, file } = await remoteModel(`${host}model.safetensors`, open);
    expect([listing, file!.size, asked]).toEqual([undefined, addition['model.safetensors']!.length, ['model.safetensors', 'config.json whole', 'params.json whole']]);
  });
  it('that describes itself needs nothing beside it', async () => {
    const { open, asked } = serve({ 'model.bin': golden('recite/model.bin') });
    const { listing } = await remoteModel(`${host}model.bin`, open);
    expect([listing, asked]).toEqual([undefined, ['model.bin']]);
  });
  it('that is one shard stands for the model whose index lies beside it', async () => {
    const index = utf8(JSON.stringify({ metadata: { total_size: 1 }, weight_map: { a: 'model-00001-of-00002.safetensors' } }));
    const first = addition['model.safetensors']!;
    const { open } = serve({ 'model-00001-of-00002.safetensors': first, 'model.safetensors.index.json': index });
    expect((await remoteModel(`${host}model-00001-of-00002.safetensors`, open)).listing).toEqual([{ name: 'model.safetensors.index.json', size: index.length }]);
    const alone = serve({ 'model-00001-of-00002.safetensors': first });
    const { listing, file } = await remoteModel(`${host}model-00001-of-00002.safetensors`, alone.open);
    expect([listing, file!.size]).toEqual([undefined, first.length]);
  });
  it('that is not there, or refused, throws, and leaves nothing open', async () => {
    const { open, openSources } = serve({}, { 'other.bin': 'IO_NETWORK' });
    await expect(remoteModel(`${host}model.bin`, open)).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
    await expect(remoteModel(`${host}other.bin`, open)).rejects.toMatchObject({ code: 'IO_NETWORK' });
    expect(openSources()).toBe(0);
  });
});

describe('a folder', () => {
  const folder = (files: Readonly<Record<string, Uint8Array>>, name = '', faults: Readonly<Record<string, IoCode>> = {}) => remoteModel(host + name, serve(files, faults).open).then(({ listing }) => listing!.map((file) => file.name));
  const some = new Uint8Array(1);
  it('is asked for weights by their usual names, best first', async () => {
    expect(await folder({ 'model.safetensors.index.json': some, 'pytorch_model.bin': some })).toEqual(['model.safetensors.index.json']);
    expect(await folder({ 'consolidated.00.pth': some, 'consolidated.01.pth': some, 'model.bin': some })).toEqual(['consolidated.00.pth', 'consolidated.01.pth']);
  });
  it('is the model of the index that is named, whatever else it holds', async () => {
    expect(await folder({ 'model.safetensors': some, 'pytorch_model.bin.index.json': some }, 'pytorch_model.bin.index.json')).toEqual(['pytorch_model.bin.index.json']);
  });
  it('needs the configuration that is named (IO_NOT_FOUND)', async () => {
    expect(await folder({ 'config.json': some, 'model.safetensors': some }, 'config.json')).toEqual(['model.safetensors']);
    await expect(folder({ 'model.safetensors': some }, 'config.json')).rejects.toMatchObject({ code: 'IO_NOT_FOUND' });
  });
  it('without any says what was asked for (IO_NOT_FOUND), or why nothing could be seen (IO_NETWORK)', async () => {
    await expect(folder({})).rejects.toMatchObject({ code: 'IO_NOT_FOUND', message: expect.stringContaining('pytorch_model.bin.index.json') as string });
    await expect(folder({}, '', { 'model.safetensors': 'IO_NETWORK' })).rejects.toMatchObject({ code: 'IO_NETWORK' });
  });
  it('gives undefined for small files that are refused, and throws for weights', async () => {
    const { open } = serve({}, { 'config.json': 'IO_NETWORK', 'model-00001-of-00001.safetensors': 'IO_NETWORK' });
    const remote = remoteFolder(host, open);
    expect(await remote.resolve('config.json')).toBeUndefined();
    await expect(remote.resolve('model-00001-of-00001.safetensors')).rejects.toMatchObject({ code: 'IO_NETWORK' });
    expect(remote.asked()).toEqual([{ name: 'config.json', outcome: 'refused', reason: 'config.json' }, { name: 'model-00001-of-00001.safetensors', outcome: 'refused', reason: 'model-00001-of-00001.safetensors' }]);
  });
  it('is not left by names that lead out of it', async () => {
    const { open, asked } = serve({});
    const remote = remoteFolder(host, open);
    for (const name of ['..', '.', '', '../x', 'https://elsewhere.example/x']) expect(await remote.resolve(name)).toBeUndefined();
    expect(asked).toEqual([]);
  });
});
