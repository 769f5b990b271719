/** One of two models that are compared: its tensors by names that both sides share. Nothing has to be whole here: what is missing is a finding. */
import { elementCount, type Checkpoint, type TensorInfo } from '@weightspec/core';
import { describeModel, metaNames, ModelError, nameSchemeOf, sliceRows, type DecoderConfig, type NameScheme, type RowOrder } from '@weightspec/models';
import { storedWeights, withCleanNames, type ConvertInput } from '../logical-model.js';
import { rowOrderOf } from '../recipes.js';
import { asType, floatCodec, f32 } from '../views.js';

export interface SideTensor {
  /** As the file calls it. */
  readonly storedName: string;
  readonly shape: readonly number[];
  /** A dtype, or the scheme that packs it. */
  readonly storage: string;
  /** Elements that share a scale, for packed weights. */
  readonly groupSize?: number;
  /** F32, rows as stored; absent for integers and the like. */
  readonly values?: TensorInfo;
  /** As stored. */
  readonly raw: TensorInfo;
}

export interface Side {
  readonly format: string;
  readonly variant: string;
  readonly names?: NameScheme;
  readonly rowOrder?: RowOrder;
  /** Absent where nothing says what model this is. */
  readonly config?: DecoderConfig;
  /** By Meta's names where the scheme is known, else by their own. */
  readonly tensors: ReadonlyMap<string, SideTensor>;
}

export function sideOf({ checkpoint: given, beside }: ConvertInput): Side {
  const checkpoint = withCleanNames(given);
  const description = described(checkpoint, beside);
  const names = description?.names ?? nameSchemeOf([...checkpoint.tensors.map(({ name }) => name), ...(checkpoint.packed ?? []).map(({ name }) => name)]);
  const tensors = new Map<string, SideTensor>();
  for (const [storedName, weight] of storedWeights(checkpoint)) {
    const { tensor, storage, packed } = weight;
    const shared = names ? metaNames(storedName, names) : [];
    const parts = shared.length > 1 && (tensor.shape[0] ?? 0) % shared.length === 0 ? shared.map((name, i) => [name, sliceRows(tensor, name, (i * tensor.shape[0]!) / shared.length, tensor.shape[0]! / shared.length)] as const) : [[shared.length === 1 ? shared[0]! : storedName, tensor] as const];
    for (const [name, raw] of parts) {
      const values = floatCodec(raw.dtype) ? asType(raw, f32) : undefined;
      tensors.set(name, { storedName, shape: raw.shape, storage, ...(packed ? { groupSize: packed.entry.groupSize } : {}), ...(values ? { values } : {}), raw });
    }
  }
  return { format: checkpoint.format, variant: checkpoint.variant, ...(names ? { names, rowOrder: rowOrderOf(names) } : {}), ...(description ? { config: description.config } : {}), tensors };
}

function described(checkpoint: Checkpoint, beside: ConvertInput['beside']): ReturnType<typeof describeModel> | undefined {
  try {
    return describeModel(checkpoint, beside);
  } catch (error) {
    if (error instanceof ModelError) return undefined;
    throw error;
  }
}

/** Rows and their length; a vector has rows of one. */
export function matrixShape(shape: readonly number[]): readonly [rows: number, columns: number] {
  const [rows = 1, ...inner] = shape;
  return [rows, elementCount(inner)];
}
