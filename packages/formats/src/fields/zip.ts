/** Names for the records of a zip archive as torch writes it, found from its end, or from its start when the end is lost. Clauses Z-1 to Z-3. */
import type { ByteRange, ByteSource } from '@weightspec/core';
import { overlaps, pagedReader, readRecord, type Field } from './record.js';

const SIGNATURES = { descriptor: 0x08074b50, local: 0x04034b50, central: 0x02014b50, end: 0x06054b50, end64: 0x06064b50, locator: 0x07064b50 } as const;
const END_BYTES = 22;
const LOCATOR_BYTES = 20;
/** Of the form without zip64 sizes. */
const DESCRIPTOR_BYTES = 16;
const MAX_ENTRIES = 65_536;

interface Member {
  readonly name: string;
  readonly headerOffset: number;
  readonly dataBytes: number;
}

/** `members`: where the bytes of each member lie. */
export async function zipFields(source: ByteSource, range: ByteRange): Promise<{ readonly records: readonly Field[]; readonly members: readonly Field[] }> {
  const read = pagedReader(source);
  const records: Field[] = [];
  const data: Field[] = [];
  const record = async (offset: number, layout: Parameters<typeof readRecord>[3], signature: number, of: string) => {
    if (!(offset >= 0 && offset < source.size)) return undefined;
    const found = await readRecord(read, source.size, offset, layout, of);
    if (found.values.signature !== signature) return undefined;
    records.push(...found.fields.filter((field) => overlaps(field, range)));
    return found;
  };

  async function members(offset: number, end: number): Promise<Member[]> {
    const found: Member[] = [];
    for (let at = offset; at < end && found.length < MAX_ENTRIES; ) {
      const entry = await readRecord(read, source.size, at, 'torch_zip.central_entry');
      const nameField = entry.fields.find(({ name }) => name === 'name');
      if (!entry.whole || entry.values.signature !== SIGNATURES.central || !nameField) break;
      const name = new TextDecoder().decode(await read(nameField.byteRange[0], nameField.byteRange[1] - nameField.byteRange[0]));
      await record(at, 'torch_zip.central_entry', SIGNATURES.central, `directory entry of ${name}`);
      found.push({ name, headerOffset: entry.values.ofs_header!, dataBytes: entry.values.len_compressed! });
      at = entry.end;
    }
    return found;
  }

  const end = await record(source.size - END_BYTES, 'torch_zip.end_of_central_directory', SIGNATURES.end, 'end record');
  const locator = await record(source.size - END_BYTES - LOCATOR_BYTES, 'torch_zip.zip64_locator', SIGNATURES.locator, 'zip64 locator');
  const end64 = locator && (await record(locator.values.ofs_zip64_end!, 'torch_zip.zip64_end', SIGNATURES.end64, 'zip64 end record'));
  const directory = (end64 ?? end)?.values;
  const listed = directory ? await members(directory.ofs_directory!, directory.ofs_directory! + directory.len_directory!) : [];
  const places = listed.length > 0 ? listed : [{ name: 'the first member', headerOffset: 0, dataBytes: 0 }];
  for (const { name, headerOffset, dataBytes } of places) {
    if (headerOffset >= range[1] && headerOffset > range[0]) continue;
    const header = await record(headerOffset, 'torch_zip.local_header', SIGNATURES.local, `local header of ${name}`);
    if (!header?.whole || dataBytes === 0) continue;
    const dataEnd = header.end + dataBytes;
    data.push({ name, byteRange: [header.end, Math.min(source.size, dataEnd)] });
    if (dataEnd + DESCRIPTOR_BYTES > source.size) continue;
    const signature = await read(dataEnd, 4);
    if (new DataView(signature.buffer, signature.byteOffset, 4).getUint32(0, true) === SIGNATURES.descriptor) data.push({ name: 'data descriptor', record: name, byteRange: [dataEnd, dataEnd + DESCRIPTOR_BYTES] });
  }
  return { records, members: data };
}
