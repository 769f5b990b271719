/** What the bytes of a file are called: header fields by the names of the specifications, tensors by their own. */
import type { ByteRange, ByteSource, Checkpoint, Format } from '@weightspec/core';
import { legacyStorages, torchLimits } from '@weightspec/torch-checkpoint';
import { formats } from '../list.js';
import { open, type OpenResult } from '../open.js';
import { ggmlQwenNamer } from './ggml-qwen.js';
import { jsonNamer } from './json.js';
import { llama2cFields, tokenizerNamer } from './llama2c.js';
import { pickleNamer } from './pickle.js';
import { overlaps, pagedReader, readRecord, type Field, type Namer } from './record.js';
import { zipNamer } from './zip.js';

export type { Field } from './record.js';

export interface FieldMap {
  /** The fields that have bytes in `range`, in file order. Damage may leave bytes without a name. */
  at(range: ByteRange): Promise<readonly Field[]>;
}

/** Finds out what `source` is and names its bytes. Reads headers and directories only. Throws on I/O faults. */
export async function fieldMap(source: ByteSource, list: readonly Format[] = formats): Promise<FieldMap> {
  const opened = await open(source, list);
  const parts = await namedParts(source, opened);
  const tensors = tensorFields(source, opened.checkpoint);
  return {
    async at(range) {
      const { records, rest = [] } = await parts(range);
      const accepted: Field[] = [];
      for (const field of [...records, ...tensors, ...rest]) {
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

type PartsNamer = (range: ByteRange) => Promise<NamedParts>;

const asRecords = (namer: Namer): PartsNamer => async (range) => ({ records: await namer(range) });

async function namedParts(source: ByteSource, { format, variant, checkpoint }: OpenResult): Promise<PartsNamer> {
  switch (format?.id) {
    case 'llama2c': {
      const fields = await llama2cFields(source, checkpoint?.tensors[0]?.location.offset);
      return asRecords(() => Promise.resolve(fields));
    }
    case 'llama2c-tokenizer': return asRecords(tokenizerNamer(source, variant));
    case 'ggml-qwen': return asRecords(ggmlQwenNamer(source));
    case 'safetensors': return asRecords(await safetensorsNamer(source));
    case 'sharded-index': return asRecords(jsonNamer(source, 0, source.size));
    case 'torch-checkpoint': return variant === 'legacy' ? legacyParts(source) : zipParts(source);
    default: return asRecords(() => Promise.resolve([]));
  }
}

function zipParts(source: ByteSource): PartsNamer {
  const namer = zipNamer(source);
  return async (range) => {
    const { records, members } = await namer(range);
    return { records, rest: members };
  };
}

/** The five pickles by opcodes, then the storages where the pickles say that they are; clause L-1. */
async function legacyParts(source: ByteSource): Promise<PartsNamer> {
  const storages = await legacyStorages(source);
  const records = ['magic number', 'protocol version', 'sys_info', 'pickle', 'storage keys'];
  const pickles = pickleNamer(source, { start: 0, end: Math.min(source.size, torchLimits.pickleBytes), records, announced: true });
  const isThere = ({ byteRange: [start, end] }: Field): boolean => start < end;
  const cut = ([start, end]: ByteRange): ByteRange => [start, Math.min(end, source.size)];
  const counts = storages.map(({ key, countRange }): Field => ({ name: 'num_elements', record: `storage ${key}`, begins: `storage ${key}`, byteRange: cut(countRange) })).filter(isThere);
  const data = storages.map(({ key, dataRange }): Field => ({ name: 'data', record: `storage ${key}`, byteRange: cut(dataRange) })).filter(isThere);
  return async (range) => ({ records: [...(await pickles(range)), ...counts], rest: data });
}

async function safetensorsNamer(source: ByteSource): Promise<Namer> {
  const { fields, values } = await readRecord(pagedReader(source), source.size, 0, 'safetensors');
  const [length, header] = fields;
  if (!length || !header) return () => Promise.resolve(fields);
  const namer = jsonNamer(source, header.byteRange[0], header.byteRange[0] + values.len_header!);
  return async (range) => {
    const inside = await namer(range);
    return [length, ...(inside.length > 0 ? inside : [header])];
  };
}

const tensorFields = (source: ByteSource, checkpoint: Checkpoint | undefined): readonly Field[] =>
  (checkpoint?.tensors ?? [])
    .filter(({ location }) => location.source === source && location.length > 0)
    .map(({ name, location: { offset, length } }) => ({ name, byteRange: [offset, offset + length] }));
