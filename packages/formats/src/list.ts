import type { CodeEntry, Format } from '@weightspec/core';
import { ggmlQwen } from '@weightspec/ggml-qwen';
import { llama2c, llama2cTokenizer } from '@weightspec/llama2c';
import { safetensors } from '@weightspec/safetensors';
import { torchCheckpoint } from '@weightspec/torch-checkpoint';
import { formatCodes } from './codes.js';

/** Every format that this version reads. Where two claim a file with the same confidence, the one that reads it better wins, then the earlier one. */
export const formats: readonly Format[] = [safetensors, torchCheckpoint, ggmlQwen, llama2c, llama2cTokenizer];

export interface CodeFamily {
  /** Format id, or `formats` for files that no format claims. */
  readonly id: string;
  readonly title: string;
  readonly codes: Readonly<Record<string, CodeEntry>>;
}

/** The code tables of detection and of every format in `list`. */
export function codeFamilies(list: readonly Format[] = formats): readonly CodeFamily[] {
  return [{ id: 'formats', title: 'Files that no format claims', codes: formatCodes }, ...list.map(({ id, title, codes }) => ({ id, title, codes }))];
}
