import type { ReportOptions } from '@weightspec/formats';
import { checkSmoothQuant, isSmoothQuant } from '@weightspec/smoothquant';
import { openConversionInput } from './conversion-input.js';

/** A shard seen without its index: what is missing may be in another. */
const isShard = (path: string): boolean => /-\d+-of-\d+\.(bin|safetensors)$/.test(path);

export interface SmoothQuantCheck {
  /** For the file, index or folder at `path`. */
  further(path: string): NonNullable<ReportOptions['further']>;
  close(): Promise<void>;
}

/**
 * Checks LMDeploy's int8 exports among the files that are validated, beside `original` where it is given. Throws as openConversionInput
 * does for an original that cannot be read.
 */
export async function smoothQuantCheck(original: string | undefined): Promise<SmoothQuantCheck> {
  const opened = original === undefined ? undefined : await openConversionInput(original);
  return {
    further: (path) => async (checkpoint, options) => {
      if (isSmoothQuant(checkpoint)) return checkSmoothQuant(checkpoint, opened?.input.checkpoint, { ...options, partial: isShard(path) });
      return opened && { diagnostics: [], checked: [], notChecked: ['anything against the original: only LMDeploy’s int8 exports are compared with it (`weightspec compare` compares any two models)'] };
    },
    close: async () => opened?.close(),
  };
}
