/**
 * Writes qwen.cpp's container. `write` reproduces a file that was read, byte for byte; `writeGgmlQwen` writes any
 * Qwen-1 checkpoint with these tensor names in another type, tensor by tensor. Source: convert.py@e532c24.
 */
import { codecOf, quantizeChecked } from '@weightspec/codecs';
import { DiagnosticError, copyRange, type ByteSink, type Checkpoint, type DType, type Rounding, type TensorInfo } from '@weightspec/core';
import { ggmlQwenDiagnostic } from './codes.js';
import { checkConfig, encodeHeader } from './header.js';
import { encodeRecordHeader, fieldNames, ggmlTypes, halvedWidth, records, type FieldName, type QwenConfig, type TensorRecord } from './layout.js';

const CHUNK_ELEMENTS = 1 << 18;

export interface WriteOptions {
  /** Type of every matrix: F32, F16, Q4_0, Q4_1, Q5_0, Q5_1 or Q8_0. */
  readonly dtype: DType;
  /** `ggml` (default) or `torch`, which gives the published converter's bytes. */
  readonly rounding?: Rounding;
}

const configOf = ({ metadata }: Checkpoint): QwenConfig => Object.fromEntries(fieldNames.map((name) => [name, Number(metadata[name])])) as Record<FieldName, number>;

/** Writes `checkpoint` in its own type, copying every tensor's bytes. */
export async function write(checkpoint: Checkpoint, sink: ByteSink): Promise<void> {
  await writeRecords(checkpoint, configOf(checkpoint), sink, (record, tensor) => copyRange(tensor.location.source, tensor.location.offset, tensor.location.length, sink));
}

/**
 * Writes the model with its matrices in `dtype`. Float tensors are quantized; a tensor that already has the wanted type is copied.
 * metadata must hold the twelve header fields (ggml_type is replaced). Throws DiagnosticError for a missing or misshapen
 * tensor, a header that breaks a rule, and weights that cannot be quantized.
 */
export async function writeGgmlQwen(checkpoint: Checkpoint, sink: ByteSink, { dtype, rounding = 'ggml' }: WriteOptions): Promise<void> {
  const typeId = [...ggmlTypes].find(([, type]) => type.name === dtype.name)?.[0];
  if (typeId === undefined) throw new RangeError(`this container has no ${dtype.name}; it has ${[...ggmlTypes.values()].map((type) => type.name).join(', ')}`);
  const config = { ...configOf(checkpoint), ggml_type: typeId };
  const source = checkpoint.tensors[0]?.location.source.name ?? checkpoint.format;
  const problems = checkConfig(config, source).filter((diagnostic) => diagnostic.severity === 'error');
  if (problems.length > 0) throw new DiagnosticError(problems);
  await writeRecords(checkpoint, config, sink, (record, tensor) => writeTensor(record, tensor, rounding, sink));
}

async function writeRecords(checkpoint: Checkpoint, config: QwenConfig, sink: ByteSink, body: (record: TensorRecord, tensor: TensorInfo) => Promise<void>): Promise<void> {
  const tensors = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  // A file that was read keeps the width it has, even where the header names it undoubled (G-2.7).
  const ffn = tensors.get('transformer.h.0.mlp.w1.weight')?.shape[0] ?? halvedWidth(config);
  const plan = [...records(config, ffn === config.intermediate_size ? ffn : halvedWidth(config))].map((record) => ({ record, tensor: matching(tensors, record, checkpoint) }));
  await sink.write(encodeHeader(config));
  for (const { record, tensor } of plan) {
    await sink.write(encodeRecordHeader(record));
    await body(record, tensor);
  }
}

function matching(tensors: ReadonlyMap<string, TensorInfo>, { name, shape }: TensorRecord, checkpoint: Checkpoint): TensorInfo {
  const tensor = tensors.get(name);
  if (tensor && tensor.shape.join() === shape.join()) return tensor;
  const source = checkpoint.tensors[0]?.location.source.name ?? checkpoint.format;
  const message = tensor ? `${name} has shape [${tensor.shape.join(', ')}]; the header implies [${shape.join(', ')}]` : `${name} is missing`;
  throw new DiagnosticError([ggmlQwenDiagnostic(tensor ? 'GGML_QWEN_SHAPE' : 'GGML_QWEN_NAME', source, { pointer: `/tensors/${name}`, message })]);
}

async function writeTensor(record: TensorRecord, tensor: TensorInfo, rounding: Rounding, sink: ByteSink): Promise<void> {
  const { source, offset, length } = tensor.location;
  if (tensor.dtype.name === record.dtype.name) return copyRange(source, offset, length, sink);
  const from = codecOf(tensor.dtype);
  const to = codecOf(record.dtype);
  // 2^18 is a multiple of every block size, so that chunks are whole blocks on both sides.
  const chunkBytes = (CHUNK_ELEMENTS / tensor.dtype.blockSize) * tensor.dtype.bytesPerBlock;
  for (let done = 0; done < length; done += chunkBytes) {
    const values = from.dequantize(await source.read(offset + done, Math.min(chunkBytes, length - done)));
    const firstElement = (done / tensor.dtype.bytesPerBlock) * tensor.dtype.blockSize;
    await sink.write(quantizeChecked(to, values, { tensor: tensor.name, firstElement, source: source.name, rounding }));
  }
}
