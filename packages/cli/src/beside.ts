import type { Checkpoint } from '@weightspec/core';
import type { FolderResolver } from '@weightspec/formats';
import { describesItself, type BesideModel } from '@weightspec/models';
import { CliError } from './codes.js';
import { resolverBeside } from './folders.js';

/** Configurations have some kB; a model's vocabulary must not be parsed for one. */
const MOST_BYTES = 2 ** 24;

/** config.json and params.json in the folder of the model file at `path`, a path or URL, for files of tensors alone. Throws CliError (CLI_BAD_CONFIG), IoError. */
export async function besideModel(path: string, checkpoint: Checkpoint): Promise<BesideModel> {
  if (describesItself(checkpoint)) return {};
  const { resolve, closeAll } = resolverBeside(path);
  try {
    const [config, params] = await Promise.all(['config.json', 'params.json'].map((name) => parsedFile(name, resolve)));
    return { config, params };
  } finally {
    await closeAll();
  }
}

/** A JSON file; undefined when it is not there. Throws CliError (CLI_BAD_CONFIG), IoError. */
export async function parsedFile(name: string, resolve: FolderResolver): Promise<unknown> {
  const source = await resolve(name);
  if (!source) return undefined;
  try {
    if (source.size > MOST_BYTES) throw new CliError('CLI_BAD_CONFIG', `${source.name} has ${source.size} bytes, far more than a configuration`);
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await source.read(0, source.size));
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) throw new CliError('CLI_BAD_CONFIG', `${source.name} is not JSON: ${error.message}`);
    throw error;
  } finally {
    await source.close?.();
  }
}
