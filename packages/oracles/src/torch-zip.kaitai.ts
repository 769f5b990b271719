/** The records of a PyTorch archive by the parser generated from specs/torch-checkpoint/torch_zip.ksy. Imports nothing from packages/torch-checkpoint. */
import type { TorchZip } from '../generated/TorchZip.js';
import { loadGenerated } from './generated.js';
import { PagedKaitaiStream } from './paged-kaitai-stream.js';
import type { SyncBytes } from './sync-bytes.js';
import type { ZipEnd, ZipHeader, ZipRecords } from './torch-zip.records.js';

const parsers = loadGenerated('TorchZip') as { TorchZip: typeof TorchZip };

/** Throws what the generated parser throws, and RangeError for numbers that a double does not hold. */
export function zipRecordsWithKaitai(source: SyncBytes): ZipRecords {
  const stream = new PagedKaitaiStream(source);
  const file = new parsers.TorchZip(stream);
  const { end, zip64End, zip64Locator } = file;
  return {
    end: { ...ends(end), commentLength: end.lenComment },
    ...(zip64End && zip64Locator ? { end64: { ...ends(zip64End), restLength: exact(zip64End.lenRest), pointedTo: exact(zip64Locator.ofsZip64End), locatorDisk: zip64Locator.disk, diskCount: zip64Locator.numDisks } } : {}),
    entries: file.entries.map((entry) => ({ ...header(entry), offset: exact(entry.ofsHeader), commentLength: entry.lenComment, disk: entry.disk, entryLength: BigInt(46 + entry.lenName + entry.lenExtra + entry.lenComment) })),
    localAt(offset) {
      stream.seek(Number(offset));
      const local = new parsers.TorchZip.LocalHeader(stream);
      return { ...header(local), headerLength: BigInt(local.ofsData) };
    },
  };
}

/** The runtime makes doubles of u64. */
function exact(value: number): bigint {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is above 2^53 - 1`);
  return BigInt(value);
}

const ends = ({ disk, directoryDisk, numEntriesOnDisk, numEntries, lenDirectory, ofsDirectory }: TorchZip.EndOfCentralDirectory | TorchZip.Zip64End): ZipEnd => ({
  disks: [disk, directoryDisk],
  entriesOnDisk: exact(numEntriesOnDisk),
  entryCount: exact(numEntries),
  directoryLength: exact(lenDirectory),
  directoryOffset: exact(ofsDirectory),
});

const header = ({ flags, method, crc, lenCompressed, lenUncompressed, name, extra }: TorchZip.CentralEntry | TorchZip.LocalHeader): ZipHeader => ({
  flags,
  method,
  crc,
  compressed: exact(lenCompressed),
  uncompressed: exact(lenUncompressed),
  name,
  extra: extra.fields.map(({ id, body }) => ({ id, body })),
});
