import { dirname, join } from 'node:path';
import type { Checkpoint } from '@weightspec/core';
import { IoError } from '@weightspec/io';
import { openSource } from '@weightspec/io/node';
import { describesItself, type BesideModel } from '@weightspec/models';
import { CliError } from './codes.js';
import { isUrl } from './folders.js';

/** Configurations have some kB; a model's vocabulary must not be parsed for one. */
const MOST_BYTES = 2 ** 24;

/** config.json and params.json in the folder of the model file at `path`, for files of tensors alone. Nothing for a URL. Throws CliError (CLI_BAD_CONFIG), IoError. */
export async function besideModel(path: string, checkpoint: Checkpoint): Promise<BesideModel> {
  if (describesItself(checkpoint) || isUrl(path)) return {};
  const [config, params] = await Promise.all(['config.json', 'params.json'].map((name) => parsedFile(join(dirname(path), name))));
  return { config, params };
}

/** A JSON file; undefined when it is not there. Throws CliError (CLI_BAD_CONFIG), IoError. */
export async function parsedFile(path: string): Promise<unknown> {
  const source = await openSource(path).catch((error: unknown) => {
    if (error instanceof IoError && error.code === 'IO_NOT_FOUND') return undefined;
    throw error;
  });
  if (!source) return undefined;
  try {
    if (source.size > MOST_BYTES) throw new CliError('CLI_BAD_CONFIG', `${path} has ${source.size} bytes, far more than a configuration`);
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await source.read(0, source.size));
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) throw new CliError('CLI_BAD_CONFIG', `${path} is not JSON: ${error.message}`);
    throw error;
  } finally {
    await source.close();
  }
}
