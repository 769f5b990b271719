/** The records of a PyTorch archive by binary-parser, from PKWARE's APPNOTE 6.3.9 (4.3.7, 4.3.12, 4.3.14 to 4.3.16). Independent of the .ksy file and of packages/torch-checkpoint. */
// The main entry of binary-parser leads an ES module to no types; its CommonJS file does.
import { Parser } from 'binary-parser/dist/binary_parser.js';
import type { SyncBytes } from './sync-bytes.js';
import { demand } from './torch-checkpoint.reading.js';
import type { ZipEntry, ZipExtraField, ZipLocal, ZipRecords } from './torch-zip.records.js';

const little = () => Parser.start().endianness('little');

const endRecord = little().uint32('signature').uint16('disk').uint16('directoryDisk').uint16('entriesOnDisk').uint16('entryCount').uint32('directoryLength').uint32('directoryOffset').uint16('commentLength');
const locatorRecord = little().uint32('signature').uint32('locatorDisk').uint64('pointedTo').uint32('diskCount');
const end64Record = little()
  .uint32('signature').uint64('restLength').uint16('madeBy').uint16('needed').uint32('disk').uint32('directoryDisk')
  .uint64('entriesOnDisk').uint64('entryCount').uint64('directoryLength').uint64('directoryOffset');
const entryRecord = little()
  .uint32('signature').uint16('madeBy').uint16('needed').uint16('flags').uint16('method').uint16('time').uint16('date').uint32('crc').uint32('compressed').uint32('uncompressed')
  .uint16('nameLength').uint16('extraLength').uint16('commentLength').uint16('disk').uint16('internalAttributes').uint32('externalAttributes').uint32('offset');
const localRecord = little()
  .uint32('signature').uint16('needed').uint16('flags').uint16('method').uint16('time').uint16('date').uint32('crc').uint32('compressed').uint32('uncompressed')
  .uint16('nameLength').uint16('extraLength');
const fieldStart = little().uint16('id').uint16('length');

interface Common {
  readonly signature: number;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly compressed: number;
  readonly uncompressed: number;
  readonly nameLength: number;
  readonly extraLength: number;
}
interface End<N> {
  readonly signature: number;
  readonly disk: number;
  readonly directoryDisk: number;
  readonly entriesOnDisk: N;
  readonly entryCount: N;
  readonly directoryLength: N;
  readonly directoryOffset: N;
}

/** Throws TorchRefused where a record has another signature or the file ends inside one. */
export function zipRecordsWithBinaryParser(source: SyncBytes): ZipRecords {
  const take = (offset: number, length: number): Uint8Array => {
    demand(offset >= 0 && length >= 0 && offset + length <= source.size, `Z: the file ends inside [${offset}, ${offset + length})`);
    return source.read(offset, length);
  };
  const parse = (parser: Parser, offset: number, length: number): unknown => parser.parse(take(offset, length));

  const end = parse(endRecord, source.size - 22, 22) as End<number> & { commentLength: number };
  demand(end.signature === 0x06054b50, 'Z-1.1');
  const locator = source.size >= 42 ? (parse(locatorRecord, source.size - 42, 20) as { signature: number; locatorDisk: number; pointedTo: bigint; diskCount: number }) : undefined;
  const end64 = locator?.signature === 0x07064b50 ? (parse(end64Record, source.size - 98, 56) as End<bigint> & { restLength: bigint }) : undefined;
  if (end64) demand(end64.signature === 0x06064b50, 'Z-1.4: no zip64 record before its locator');

  const entryCount = Number(end64?.entryCount ?? end.entryCount);
  demand(entryCount <= 65_536, 'K-4.1');
  const entries: ZipEntry[] = [];
  let position = Number(end64?.directoryOffset ?? end.directoryOffset);
  for (let i = 0; i < entryCount; i++) {
    const entry = parse(entryRecord, position, 46) as Common & { commentLength: number; disk: number; offset: number };
    demand(entry.signature === 0x02014b50, `Z-1.4: entry ${i}`);
    const variable = variablePart(take(position + 46, entry.nameLength + entry.extraLength), entry.nameLength);
    const entryLength = 46 + entry.nameLength + entry.extraLength + entry.commentLength;
    entries.push({ ...entry, ...variable, compressed: BigInt(entry.compressed), uncompressed: BigInt(entry.uncompressed), offset: BigInt(entry.offset), entryLength: BigInt(entryLength) });
    position += entryLength;
  }
  return {
    end: { disks: [end.disk, end.directoryDisk], entriesOnDisk: BigInt(end.entriesOnDisk), entryCount: BigInt(end.entryCount), directoryLength: BigInt(end.directoryLength), directoryOffset: BigInt(end.directoryOffset), commentLength: end.commentLength },
    ...(end64 && locator ? { end64: { ...end64, ...locator, disks: [end64.disk, end64.directoryDisk] } } : {}),
    entries,
    localAt(offset): ZipLocal {
      const local = parse(localRecord, Number(offset), 30) as Common;
      demand(local.signature === 0x04034b50, `Z-3.1: no local header at ${offset}`);
      const { nameLength, extraLength } = local;
      return { ...local, ...variablePart(take(Number(offset) + 30, nameLength + extraLength), nameLength), compressed: BigInt(local.compressed), uncompressed: BigInt(local.uncompressed), headerLength: BigInt(30 + nameLength + extraLength) };
    },
  };
}

function variablePart(bytes: Uint8Array, nameLength: number): { name: Uint8Array; extra: ZipExtraField[] } {
  const extra: ZipExtraField[] = [];
  let rest = bytes.subarray(nameLength);
  while (rest.length > 0) {
    demand(rest.length >= 4, 'Z-2.5: a cut extra field');
    const { id, length } = fieldStart.parse(rest) as { id: number; length: number };
    demand(rest.length >= 4 + length, 'Z-2.5: an extra field past its block');
    extra.push({ id, body: rest.subarray(4, 4 + length) });
    rest = rest.subarray(4 + length);
  }
  return { name: bytes.subarray(0, nameLength), extra };
}
