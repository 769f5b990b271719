/** Files that come with the page: a model that recites a text, and a file with one defect. */
import type { ChosenFile } from './model/items.js';
import broken from '../../../../fixtures/llama2c/invalid/v0-heads-do-not-divide-dim.bin?url';
import model from '../../../../fixtures/golden/recite/model.bin?url';
import tokenizer from '../../../../fixtures/golden/recite/tokenizer.bin?url';

async function shipped(path: string, url: string): Promise<ChosenFile> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
  return { path, blob: await response.blob() };
}

export const example = (): Promise<ChosenFile[]> => Promise.all([shipped('recite/model.bin', model), shipped('recite/tokenizer.bin', tokenizer)]);
export const brokenExample = async (): Promise<ChosenFile[]> => [await shipped('heads-do-not-divide.bin', broken)];
