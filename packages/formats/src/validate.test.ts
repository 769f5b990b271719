import { describe, expect, it } from 'vitest';
import { byteLength, dtype, type ByteSource, type Checkpoint, type Diagnostic, type TensorInfo } from '@weightspec/core';
import { memorySink, memorySource } from '@weightspec/io';
import { writeSafetensors } from '@weightspec/safetensors';
import { validateSource } from './index.js';

const zeros = (name: string, type: string, shape: readonly number[]): TensorInfo => {
  const size = byteLength(dtype(type), shape.reduce((product, n) => product * n, 1));
  const source: ByteSource = { name: 'zeros', size, read: (_, length) => Promise.resolve(new Uint8Array(length)) };
  return { name, dtype: dtype(type), shape, location: { source, offset: 0, length: size } };
};
async function fileOf(...tensors: readonly TensorInfo[]): Promise<ByteSource> {
  const sink = memorySink();
  await writeSafetensors(tensors, sink);
  return memorySource(sink.bytes(), 'model.safetensors');
}

describe('validateSource with further checks', () => {
  const warning: Diagnostic = { code: 'X_WARNING', severity: 'warning', message: 'm', source: 'model.safetensors' };

  it('puts what they find, checked and left out into the report', async () => {
    const seen: Checkpoint[] = [];
    const further = async (checkpoint: Checkpoint) => {
      seen.push(checkpoint);
      return { diagnostics: [warning], checked: ['more'], notChecked: ['the rest'] };
    };
    const { verdict, summary, diagnostics, stats } = await validateSource(await fileOf(zeros('a', 'F32', [1])), { further });
    expect({ verdict, warnings: summary.warnings, checked: stats.checked.at(-1), notChecked: stats.notChecked.at(-1) }).toEqual({ verdict: 'warnings', warnings: 1, checked: 'more', notChecked: 'the rest' });
    expect(diagnostics).toContain(warning);
    expect(seen[0]?.tensors.map(({ name }) => name)).toEqual(['a']);
    expect((await validateSource(await fileOf(zeros('a', 'F32', [1])), { further, strict: true })).verdict).toBe('invalid');
  });
  it('leaves them out where nothing could be read, and where they have nothing to say', async () => {
    const never = () => Promise.reject(new Error('called without a checkpoint'));
    expect((await validateSource(memorySource(new Uint8Array(64), 'x.bin'), { further: never })).verdict).toBe('unrecognized');
    const { verdict, stats } = await validateSource(await fileOf(zeros('a', 'F32', [1])), { further: () => Promise.resolve(undefined) });
    expect(verdict).toBe('valid');
    expect(stats.checked).not.toEqual([]);
  });
});

describe('parameters of a report', () => {
  it('count a weight of LMDeploy’s int8 once, and not its scales', async () => {
    const { stats } = await validateSource(await fileOf(zeros('a.weight', 'I8', [3, 4]), zeros('a.scale', 'F32', [3, 1]), zeros('a.migration_scale', 'F32', [4]), zeros('norm.weight', 'F16', [4])));
    expect(stats.parameterCount).toBe(3 * 4 + 4);
  });
});
