/** Activation statistics: the largest magnitude of each input channel of each linear layer (specs/smoothquant#S-3.1). */
import { codecOf, quantizeChecked } from '@weightspec/codecs';
import { DiagnosticError, dtype, readTensor, type ByteSink, type ByteSource, type Checkpoint, type Diagnostic, type TensorInfo } from '@weightspec/core';
import { writeTorch } from '@weightspec/torch-checkpoint';
import { smoothquantDiagnostic } from './codes.js';
import { isFloat } from './floats.js';

/** Layer, named without `.weight` → absmax [in]. */
export type ActivationStatistics = ReadonlyMap<string, Float32Array>;

/** LMDeploy's key of these in `inputs_stats.pth`, beside `max`, `min`, `mean` and `absmean`. */
const KEY = 'absmax';

/** The statistics in a file that was opened: `absmax.<layer>` in LMDeploy's, `<layer>` alone in others. Throws DiagnosticError (SMOOTHQUANT_STATISTICS). */
export async function readStatistics(checkpoint: Checkpoint): Promise<ActivationStatistics> {
  const keyed = checkpoint.tensors.filter(({ name }) => name.startsWith(`${KEY}.`));
  const statistics = new Map<string, Float32Array>();
  const problems: Diagnostic[] = [];
  for (const tensor of keyed.length > 0 ? keyed : checkpoint.tensors) {
    const layer = keyed.length > 0 ? tensor.name.slice(KEY.length + 1) : tensor.name;
    const values = isVector(tensor) ? codecOf(tensor.dtype).dequantize(await readTensor(tensor)) : undefined;
    if (values?.every((value) => value >= 0 && value < Infinity)) statistics.set(layer, values);
    else problems.push(problemOf(tensor, values));
  }
  if (problems.length > 0) throw new DiagnosticError(problems);
  return statistics;
}

const isVector = (tensor: TensorInfo): boolean => tensor.shape.length === 1 && !tensor.strides && isFloat(tensor) && tensor.location.length <= 2 ** 24;

function problemOf({ name, dtype: { name: type }, shape, location }: TensorInfo, values: Float32Array | undefined): Diagnostic {
  const bad = values?.findIndex((value) => !(value >= 0 && value < Infinity));
  const message = bad === undefined ? `${name} is ${type} [${shape.join(', ')}], not a vector of magnitudes` : `${name} has ${values![bad]} for channel ${bad}`;
  return smoothquantDiagnostic('SMOOTHQUANT_STATISTICS', location.source.name, { message, pointer: `/tensors/${name}`, byteRange: [location.offset, location.offset + location.length] });
}

/** Writes `inputs_stats.pth` as LMDeploy does, in F16, with the key `absmax` alone. Throws DiagnosticError (CODEC_VALUE_OVERFLOW) for what f16 cannot hold. */
export async function writeStatistics(statistics: ActivationStatistics, sink: ByteSink): Promise<void> {
  const half = dtype('F16');
  const tensors = [...statistics].map(([name, absmax]): TensorInfo => {
    const bytes = quantizeChecked(codecOf(half), absmax, { tensor: name });
    const source: ByteSource = { name: 'statistics', size: bytes.length, read: (offset, length) => Promise.resolve(bytes.slice(offset, offset + length)) };
    return { name, dtype: half, shape: [absmax.length], location: { source, offset: 0, length: bytes.length } };
  });
  await writeTorch(tensors, sink, { flavor: 'torch-1.13', archiveName: 'inputs_stats', under: KEY });
}
