/** Names for the header and the records of qwen.cpp's container. Walks from record to record by what each says of itself. Clauses G-2, G-3. */
import { byteLength, dtype, type ByteSource } from '@weightspec/core';
import { lastBefore, pagedReader, readRecord, type Field, type Namer } from './record.js';

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

export function ggmlQwenNamer(source: ByteSource): Namer {
  const read = pagedReader(source);
  /** Starts of the records that were walked over, in file order. */
  const starts: { readonly offset: number }[] = [{ offset: HEADER_BYTES }];
  return async (range) => {
    const fields = [...(await readRecord(read, source.size, 0, 'ggml_qwen')).fields];
    let offset: number | undefined = lastBefore(starts, range[0])?.offset ?? HEADER_BYTES;
    while (offset !== undefined && offset < Math.max(range[1], range[0] + 1) && offset < source.size) {
      if (offset > starts.at(-1)!.offset) starts.push({ offset });
      const record = await recordAt(source, read, offset);
      fields.push(...record.fields);
      offset = record.next;
    }
    return fields;
  };
}

/** Fields, padding and data of the record at `offset`, and where the next one begins: nowhere when this one makes no sense. */
async function recordAt(source: ByteSource, read: ReturnType<typeof pagedReader>, offset: number): Promise<{ readonly fields: readonly Field[]; readonly next?: number }> {
  // The number of dimensions stands behind the name, so that the name is read first.
  const start = await readRecord(read, source.size, offset, 'ggml_qwen.vector_record');
  const { len_name: nameBytes = -1, num_dimensions: dimensions = 0 } = start.values;
  if (nameBytes < 0 || nameBytes > MAX_NAME_BYTES) return { fields: start.fields.slice(0, 1) };
  const name = start.fields.length > 2 ? new TextDecoder().decode(await read(offset + 4, nameBytes)) : undefined;
  const record = await readRecord(read, source.size, offset, dimensions === 2 ? 'ggml_qwen.matrix_record' : 'ggml_qwen.vector_record', name);
  const fields = [...record.fields];
  if (!record.whole) return { fields };
  const { num_elements: elements, num_rows: rows, num_columns: columns, ggml_type: typeId = -1 } = record.values;
  const length = dataBytes(typeId, dimensions === 2 ? [rows!, columns!] : [elements!]);
  const dataStart = Math.ceil(record.end / ALIGNMENT) * ALIGNMENT;
  if (dataStart > record.end) fields.push({ name: 'padding', ...(name === undefined ? {} : { record: name }), byteRange: [record.end, Math.min(dataStart, source.size)] });
  if (!Number.isSafeInteger(dataStart + length) || dataStart >= source.size) return { fields };
  fields.push({ name: name ?? 'data', byteRange: [dataStart, Math.min(dataStart + length, source.size)] });
  return { fields, next: dataStart + length };
}
