import type { CodeEntry, Format } from '@weightspec/core';
import { ggmlQwen } from '@weightspec/ggml-qwen';
import { llama2c, llama2cTokenizer } from '@weightspec/llama2c';
import { safetensors } from '@weightspec/safetensors';
import { shardedIndexFormat } from '@weightspec/sharded-index';
import { torchCheckpoint } from '@weightspec/torch-checkpoint';
import { formatCodes } from './codes.js';
import { folderCodes } from './folder-codes.js';

/** Every format that this version reads; an index of shards is judged alone here, and with its shards by `openFolder`. Where two claim a file with the same confidence, the one that reads it better wins, then the earlier one. */
export const formats: readonly Format[] = [safetensors, shardedIndexFormat(), torchCheckpoint, ggmlQwen, llama2c, llama2cTokenizer];

export interface CodeFamily {
  /** Format id, `formats` for files that no format claims, or `folder`. */
  readonly id: string;
  readonly title: string;
  readonly codes: Readonly<Record<string, CodeEntry>>;
}

/** The code tables of detection, of folders and of every format in `list`. */
export function codeFamilies(list: readonly Format[] = formats): readonly CodeFamily[] {
  return [{ id: 'formats', title: 'Files that no format claims', codes: formatCodes }, { id: 'folder', title: 'Folders of weights, configuration and tokenizer', codes: folderCodes }, ...list.map(({ id, title, codes }) => ({ id, title, codes }))];
}
