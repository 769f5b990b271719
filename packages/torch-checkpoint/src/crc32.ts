/**
 * CRC-32 of zip and gzip (reflected polynomial 0xEDB88320), sixteen bytes a step from sixteen tables.
 * Where the runtime has a native one (Node's zlib), that is used: a deep check is then bound by reading, not by the checksum.
 */
const TABLES = 16;

const tables: readonly Uint32Array[] = makeTables();

function makeTables(): Uint32Array[] {
  const all = Array.from({ length: TABLES }, () => new Uint32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    all[0]![byte] = crc;
  }
  for (let k = 1; k < TABLES; k++) for (let byte = 0; byte < 256; byte++) all[k]![byte] = (all[k - 1]![byte]! >>> 8) ^ all[0]![all[k - 1]![byte]! & 255]!;
  return all;
}

/** CRC-32 of `bytes` following data whose CRC-32 is `previous` (0 at the start). */
export function crc32InTables(bytes: Uint8Array, previous = 0): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15] = tables as Uint32Array[];
  let crc = ~previous;
  const whole = bytes.length - (bytes.length % 16);
  for (let i = 0; i < whole; i += 16) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    crc = t15![crc & 255]! ^ t14![(crc >>> 8) & 255]! ^ t13![(crc >>> 16) & 255]! ^ t12![crc >>> 24]!
      ^ t11![bytes[i + 4]!]! ^ t10![bytes[i + 5]!]! ^ t9![bytes[i + 6]!]! ^ t8![bytes[i + 7]!]!
      ^ t7![bytes[i + 8]!]! ^ t6![bytes[i + 9]!]! ^ t5![bytes[i + 10]!]! ^ t4![bytes[i + 11]!]!
      ^ t3![bytes[i + 12]!]! ^ t2![bytes[i + 13]!]! ^ t1![bytes[i + 14]!]! ^ t0![bytes[i + 15]!]!;
  }
  for (let i = whole; i < bytes.length; i++) crc = t0![(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

type Crc32 = (bytes: Uint8Array, previous?: number) => number;

interface MaybeNode {
  readonly process?: { getBuiltinModule?(name: string): { readonly crc32?: Crc32 } | undefined };
}

/** Asked for, not imported: a browser has no `process`, and no bundler goes looking for zlib. */
const native = (globalThis as MaybeNode).process?.getBuiltinModule?.('node:zlib')?.crc32;

/** CRC-32 of `bytes` following data whose CRC-32 is `previous` (0 at the start). */
export const crc32: Crc32 = native ?? crc32InTables;
