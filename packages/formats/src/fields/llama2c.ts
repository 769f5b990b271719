/** Names for the headers of llama2.c's weight files and for the tokens of its tokenizer.bin. Clauses C-2.1, C-3, T-1. */
import type { ByteRange, ByteSource } from '@weightspec/core';
import { lastBefore, pagedReader, readRecord, type Field, type Namer } from './record.js';
import type { LayoutName } from './layouts.js';

const MAGIC = [0x32, 0x34, 0x6b, 0x61];
/** More tokens than any vocabulary has. */
const MAX_TOKENS = 524_288;

/** The ak42 header stands also behind a magic number with one damaged byte, and behind a swapped one. */
function hasMagic(head: Uint8Array): boolean {
  const agreeing = (order: readonly number[]) => order.filter((byte, index) => head[index] === byte).length;
  return agreeing(MAGIC) >= 3 || agreeing(MAGIC.toReversed()) === 4;
}

/** `headerBytes`: where the first tensor begins, if that is known; one variant has a shorter header. */
export async function llama2cFields(source: ByteSource, headerBytes?: number): Promise<Field[]> {
  const read = pagedReader(source);
  const ak42 = hasMagic(await read(0, Math.min(4, source.size)));
  const { fields } = await readRecord(read, source.size, 0, ak42 ? 'llama2c_ak42_header' : 'llama2c_v0');
  if (headerBytes === undefined) return [...fields];
  return fields.map((field) => ({ ...field, byteRange: [field.byteRange[0], Math.min(field.byteRange[1], headerBytes)] }));
}

/** Tokens between two places at which the walk can be taken up again. */
const TOKENS_BETWEEN = 1024;

export function tokenizerNamer(source: ByteSource, variant: string | undefined): Namer {
  if (!variant || !/^gen[1-5]$/.test(variant)) return () => Promise.resolve([]);
  const read = pagedReader(source);
  const places: { readonly id: number; readonly offset: number }[] = [];
  return async (range) => {
    const header = await readRecord(read, source.size, 0, `llama2c_tokenizer_${variant}` as LayoutName);
    if (variant === 'gen1') return [...header.fields, ...(await offsetTable(read, source, header.values.num_offsets ?? 0, range))];
    const fields = [...header.fields];
    let { id, offset: at } = lastBefore(places, range[0]) ?? { id: 0, offset: header.end };
    for (; at < Math.min(Math.max(range[1], range[0] + 1), source.size) && id < MAX_TOKENS; id += 1) {
      if (id % TOKENS_BETWEEN === 0 && at > (places.at(-1)?.offset ?? -1)) places.push({ id, offset: at });
      const token = await readRecord(read, source.size, at, `llama2c_tokenizer_${variant}.token` as LayoutName, `token ${id}`);
      if (token.end > range[0]) fields.push(...token.fields);
      if (!token.whole) break;
      at = token.end;
    }
    return fields;
  };
}

/** The first generation has all offsets first, then the pieces (T-1.1). */
async function offsetTable(read: ReturnType<typeof pagedReader>, source: ByteSource, offsetCount: number, range: ByteRange): Promise<Field[]> {
  const tableEnd = 4 + 4 * offsetCount;
  const fields: Field[] = [];
  let previous = 0;
  for (let index = 0; index < offsetCount && index < MAX_TOKENS; index += 1) {
    const at = 4 + 4 * index;
    if (at + 4 > source.size) break;
    const bytes = await read(at, 4);
    const offset = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
    fields.push({ name: `offsets[${index}]`, byteRange: [at, at + 4] });
    if (index > 0 && offset > previous && tableEnd + offset <= source.size) fields.push({ name: 'piece', record: `token ${index - 1}`, byteRange: [tableEnd + previous, tableEnd + offset] });
    previous = offset;
  }
  return fields.filter(({ byteRange: [start, end] }) => start < range[1] && end > range[0]);
}
