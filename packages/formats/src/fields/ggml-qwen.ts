/** Names for the header and the records of qwen.cpp's container. Walks from record to record by what each says of itself. Clauses G-2, G-3. */
import { byteLength, dtype, type ByteRange, type ByteSource } from '@weightspec/core';
import { pagedReader, readRecord, type Field } from './record.js';

const HEADER_BYTES = 52;
const ALIGNMENT = 16;
const MAX_NAME_BYTES = 255;
const types: ReadonlyMap<number, string> = new Map([[0, 'F32'], [1, 'F16'], [2, 'Q4_0'], [3, 'Q4_1'], [6, 'Q5_0'], [7, 'Q5_1'], [8, 'Q8_0']]);

/** Bytes that a tensor takes, NaN when its record makes no sense. */
function dataBytes(typeId: number, shape: readonly number[]): number {
  const name = types.get(typeId);
  if (name === undefined || shape.some((size) => size < 1)) return Number.NaN;
  try {
    return byteLength(dtype(name), shape.reduce((product, size) => product * size, 1));
  } catch {
    return Number.NaN;
  }
}

export async function ggmlQwenFields(source: ByteSource, range: ByteRange): Promise<Field[]> {
  const read = pagedReader(source);
  const fields = [...(await readRecord(read, source.size, 0, 'ggml_qwen')).fields];
  for (let offset = HEADER_BYTES; offset < range[1] && offset < source.size; ) {
    // The number of dimensions stands behind the name, so that the name is read first.
    const start = await readRecord(read, source.size, offset, 'ggml_qwen.vector_record');
    const { len_name: nameBytes = -1, num_dimensions: dimensions = 0 } = start.values;
    const sound = nameBytes >= 0 && nameBytes <= MAX_NAME_BYTES;
    const name = sound && start.fields.length > 2 ? new TextDecoder().decode(await read(offset + 4, nameBytes)) : undefined;
    const record = await readRecord(read, source.size, offset, dimensions === 2 ? 'ggml_qwen.matrix_record' : 'ggml_qwen.vector_record', name);
    fields.push(...(sound ? record.fields : record.fields.slice(0, 1)));
    if (!sound || !record.whole) break;
    const { num_elements: elements, num_rows: rows, num_columns: columns, ggml_type: typeId = -1 } = record.values;
    const length = dataBytes(typeId, dimensions === 2 ? [rows!, columns!] : [elements!]);
    const dataStart = Math.ceil(record.end / ALIGNMENT) * ALIGNMENT;
    if (dataStart > record.end) fields.push({ name: 'padding', ...(name === undefined ? {} : { record: name }), byteRange: [record.end, Math.min(dataStart, source.size)] });
    if (!Number.isSafeInteger(dataStart + length) || dataStart >= source.size) break;
    fields.push({ name: name ?? 'data', byteRange: [dataStart, Math.min(dataStart + length, source.size)] });
    offset = dataStart + length;
  }
  return fields;
}
