/** What the bytes of a file are called: header fields by the names of the specifications, tensors by their own. */
import type { ByteRange, ByteSource, Checkpoint, Format } from '@weightspec/core';
import { formats } from '../list.js';
import { open } from '../open.js';
import { ggmlQwenFields } from './ggml-qwen.js';
import { jsonFields } from './json.js';
import { llama2cFields, tokenizerFields } from './llama2c.js';
import { overlaps, pagedReader, readRecord, type Field } from './record.js';
import { zipFields } from './zip.js';

export type { Field } from './record.js';

export interface FieldMap {
  /** The fields that have bytes in `range`, in file order. Damage may leave bytes without a name. */
  at(range: ByteRange): Promise<readonly Field[]>;
}

/** Finds out what `source` is and names its bytes. Reads headers and directories only. Throws on I/O faults. */
export async function fieldMap(source: ByteSource, list: readonly Format[] = formats): Promise<FieldMap> {
  const { format, variant, checkpoint } = await open(source, list);
  return {
    async at(range) {
      const { records, rest = [] } = await namedParts(source, range, format?.id, variant, checkpoint);
      const accepted: Field[] = [];
      for (const field of [...records, ...tensorFields(source, checkpoint), ...rest]) {
        if (overlaps(field, range) && !accepted.some(({ byteRange: [start, end] }) => start < field.byteRange[1] && end > field.byteRange[0])) accepted.push(field);
      }
      return accepted.toSorted((a, b) => a.byteRange[0] - b.byteRange[0]);
    },
  };
}

/** Fields of the file's own records, which are more exact than a tensor that the directory puts there, and what is less exact than that. */
interface NamedParts {
  readonly records: readonly Field[];
  readonly rest?: readonly Field[];
}

async function namedParts(source: ByteSource, range: ByteRange, format: string | undefined, variant: string | undefined, checkpoint: Checkpoint | undefined): Promise<NamedParts> {
  switch (format) {
    case 'llama2c': return { records: await llama2cFields(source, checkpoint?.tensors[0]?.location.offset) };
    case 'llama2c-tokenizer': return { records: await tokenizerFields(source, variant, range) };
    case 'ggml-qwen': return { records: await ggmlQwenFields(source, range) };
    case 'safetensors': return { records: await safetensorsFields(source, range) };
    case 'sharded-index': return { records: await jsonFields(source, 0, source.size, range) };
    case 'torch-checkpoint': return variant === 'legacy' ? { records: [] } : zipParts(source, range);
    default: return { records: [] };
  }
}

async function zipParts(source: ByteSource, range: ByteRange): Promise<NamedParts> {
  const { records, members } = await zipFields(source, range);
  return { records, rest: members };
}

async function safetensorsFields(source: ByteSource, range: ByteRange): Promise<readonly Field[]> {
  const { fields, values } = await readRecord(pagedReader(source), source.size, 0, 'safetensors');
  const [length, header] = fields;
  if (!header) return fields;
  const inside = await jsonFields(source, 8, 8 + values.len_header!, range);
  return [length!, ...(inside.length > 0 ? inside : [header])];
}

const tensorFields = (source: ByteSource, checkpoint: Checkpoint | undefined): readonly Field[] =>
  (checkpoint?.tensors ?? [])
    .filter(({ location }) => location.source === source && location.length > 0)
    .map(({ name, location: { offset, length } }) => ({ name, byteRange: [offset, offset + length] }));
