/** `ops`: each operation alone, with a bound for each element. */
import type { OpCase } from '../case.js';
import { Unsupported } from '../codes.js';
import type { CaseFiles } from '../files.js';
import type { Matrix, OpInput, StoredMatrix, Subject } from '../subject.js';
import { assertWithin, fromHex, littleEndianF32 } from './numbers.js';

interface Tensor {
  readonly shape: readonly number[];
  readonly data: readonly number[];
}
interface PlainOp {
  readonly attributes: Readonly<Record<string, number | string>>;
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly output: Tensor;
  readonly bound: Tensor;
}
/** Of stored.json: a matrix in one element type. */
interface StoredOp {
  readonly op: string;
  readonly weight: { readonly storage: string; readonly groupSize?: number; readonly shape: readonly number[]; readonly parts: Readonly<Record<string, string>> };
  readonly x?: Tensor;
  readonly tokens?: readonly number[];
  readonly output: Tensor;
  readonly bound: readonly number[];
  readonly int8ActivationBound?: readonly number[];
}

const matrixOf = ({ shape, data }: Tensor): Matrix => ({ shape, values: Float32Array.from(data) });

/** F32 bytes are little-endian in every file. */
function storedF32({ shape, data }: Tensor): StoredMatrix {
  const bytes = new Uint8Array(4 * data.length);
  const view = new DataView(bytes.buffer);
  data.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return { storage: 'F32', shape, bytes };
}

function plainInput(op: string, { attributes, inputs }: PlainOp): OpInput {
  const { weight, bias, tokens, ...rows } = inputs;
  return {
    op,
    attributes,
    rows: Object.fromEntries(Object.entries(rows).map(([name, tensor]) => [name, matrixOf(tensor)])),
    tokens: tokens?.data,
    weight: weight && storedF32(weight),
    bias: bias && matrixOf(bias),
  };
}

function storedInput({ op, weight, x, tokens }: StoredOp): OpInput {
  const { storage, groupSize, shape, parts } = weight;
  const scales = parts.scales === undefined ? undefined : littleEndianF32(fromHex(parts.scales));
  return { op, attributes: {}, rows: x ? { x: matrixOf(x) } : {}, tokens, weight: { storage, groupSize, shape, bytes: fromHex(parts.values ?? ''), scales } };
}

export async function runOpCase({ inputs }: OpCase, subject: Subject, files: CaseFiles): Promise<void> {
  if (!subject.run) throw new Unsupported('it does not run operations alone');
  const data = await files.json<PlainOp | StoredOp>(inputs.file, inputs.pointer);
  const stored = 'weight' in data;
  const input = stored ? storedInput(data) : plainInput(await files.json<string>(inputs.file, '/op'), data);
  const bound = stored ? data.bound : data.bound.data;
  const roundsInputs = stored && subject.int8Activations?.(data.weight.storage) === true;
  const added = roundsInputs ? (data.int8ActivationBound ?? []) : [];
  const width = data.output.shape.at(-1) ?? 1;
  assertWithin('CONFORM_BOUND', await subject.run(input), data.output.data, (i) => bound[i]! + (added[i] ?? 0), (i) => `row ${Math.floor(i / width)}, element ${i % width}`);
}
