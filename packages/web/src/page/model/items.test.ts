import { describe, expect, it } from 'vitest';
import { itemsOf } from './items.js';

const files = (...paths: string[]) => paths.map((path) => ({ path, blob: new Blob([]) }));
const shown = (...paths: string[]) => itemsOf(files(...paths)).map(({ kind, name }) => `${kind} ${name}`);

describe('what was dropped', () => {
  it('is one model where config.json lies beside the weights', () => {
    expect(shown('qwen/model.safetensors', 'qwen/config.json', 'qwen/tokenizer.json')).toEqual(['folder qwen']);
  });
  it('is one model without a folder, too', () => {
    expect(shown('config.json', 'model.safetensors')).toEqual(['folder the files dropped']);
  });
  it('is file by file otherwise, each with those beside it', () => {
    const items = itemsOf(files('stories/tokenizer.bin', 'stories/model.bin', 'other.bin'));
    expect(items.map(({ kind, name }) => `${kind} ${name}`)).toEqual(['file other.bin', 'file stories/model.bin', 'file stories/tokenizer.bin']);
    expect(items.map((item) => (item.kind === 'file' ? item.beside.map(({ path }) => path) : []))).toEqual([[], ['stories/tokenizer.bin'], ['stories/model.bin']]);
  });
  it('may be several folders, each judged by itself', () => {
    expect(shown('a/params.json', 'a/consolidated.00.pth', 'b/x.bin')).toEqual(['folder a', 'file b/x.bin']);
  });
});
