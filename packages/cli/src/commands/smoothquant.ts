import type { ConversionFile, ConversionPlan } from '@weightspec/convert';
import { DiagnosticError, type TensorInfo } from '@weightspec/core';
import { open } from '@weightspec/formats';
import { openSource } from '@weightspec/io/node';
import { writeSafetensors } from '@weightspec/safetensors';
import { planShards } from '@weightspec/sharded-index';
import { readStatistics, smoothQuant, type ActivationStatistics } from '@weightspec/smoothquant';
import { writeTorch } from '@weightspec/torch-checkpoint';
import { openConversionInput } from '../conversion-input.js';
import { progressBar } from '../progress.js';
import { EXIT, type Terminal } from '../terminal.js';
import { writePlan } from './convert.js';

type Target = 'torch' | 'safetensors';

export interface SmoothQuantCommandOptions {
  readonly alpha: number;
  readonly to: Target;
  /** Bytes of tensors a file at most. */
  readonly shardSize?: number;
  /** False leaves them out. */
  readonly migrationScales: boolean;
}

/** Writes LMDeploy's int8 export of `originalTarget`: all files or none. */
export async function smoothquant(originalTarget: string, statisticsPath: string, destination: string, options: SmoothQuantCommandOptions, terminal: Terminal): Promise<number> {
  const original = await openConversionInput(originalTarget);
  try {
    const statistics = await statisticsIn(statisticsPath);
    const bar = progressBar('scales', terminal);
    const exported = await smoothQuant(original.input.checkpoint, statistics, { alpha: options.alpha, withoutMigrationScales: !options.migrationScales, progress: bar.progress }).finally(() => bar.stop());
    const files = [...weightFiles(exported.tensors, options), ...configFile(original.input.beside?.config)];
    const plan: ConversionPlan = { target: options.to, diagnostics: [], files: files.toSorted((a, b) => Number(a.kind === 'index') - Number(b.kind === 'index')) };
    await writePlan(plan, [...original.paths, statisticsPath], destination, terminal);
    return EXIT.ok;
  } finally {
    await original.close();
  }
}

/** Throws DiagnosticError for a damaged file and for one without statistics. */
async function statisticsIn(path: string): Promise<ActivationStatistics> {
  const source = await openSource(path);
  try {
    const { checkpoint, diagnostics } = await open(source);
    const errors = diagnostics.filter(({ severity }) => severity === 'error');
    if (!checkpoint || errors.length > 0) throw new DiagnosticError(errors);
    return await readStatistics(checkpoint);
  } finally {
    await source.close();
  }
}

/** As LMDeploy saves them, through transformers: shards by size, and an index when there are several. The torch archives are those that torch 1.6 and later read. */
function weightFiles(tensors: readonly TensorInfo[], { to, shardSize }: SmoothQuantCommandOptions): ConversionFile[] {
  const { shards, index } = planShards(tensors, to, shardSize);
  const files = shards.map(({ name, tensors: inShard, byteLength }): ConversionFile => ({
    name,
    kind: 'weights',
    byteLength,
    write: (sink) => (to === 'torch' ? writeTorch(inShard, sink, { flavor: 'torch-1.13', archiveName: name.replace(/\.bin$/, '') }) : writeSafetensors(inShard, sink, { metadata: { format: 'pt' } })),
  }));
  return index ? [...files, smallFile(index.name, 'index', index.bytes)] : files;
}

/** The original's, of a model whose floats are halves now. */
function configFile(config: unknown): ConversionFile[] {
  if (typeof config !== 'object' || config === null) return [];
  return [smallFile('config.json', 'config', new TextEncoder().encode(`${JSON.stringify({ ...config, torch_dtype: 'float16' }, null, 2)}\n`))];
}

const smallFile = (name: string, kind: ConversionFile['kind'], bytes: Uint8Array): ConversionFile => ({ name, kind, byteLength: bytes.length, write: (sink) => sink.write(bytes) });
