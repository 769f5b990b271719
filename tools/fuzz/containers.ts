/**
 * Containers that hide their contents behind a length or a checksum: the contents are mutated, then length and checksum made
 * right again, so that a mutation gets past the first check. Inputs that are no such container are mutated as they are.
 */
import { mutateBytes, mutateJson, mutatePickle, type Mutation } from './mutate.js';

/** safetensors: u64 header length, JSON, data. */
export const mutateSafetensors: Mutation = (bytes, dice) => {
  if (bytes.length < 8 || dice.oneIn(3)) return mutateBytes(bytes, dice);
  const headerEnd = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (headerEnd > bytes.length) return mutateBytes(bytes, dice);
  const header = mutateJson(bytes.subarray(8, headerEnd), dice);
  const out = new Uint8Array(8 + header.length + bytes.length - headerEnd);
  new DataView(out.buffer).setBigUint64(0, BigInt(header.length), true);
  out.set(header, 8);
  out.set(bytes.subarray(headerEnd), 8 + header.length);
  return out;
};

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 of zip (reflected, polynomial 0xedb88320). */
function crc32(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) value = crcTable[(value ^ byte) & 255]! ^ (value >>> 8);
  return ~value >>> 0;
}

interface Member {
  readonly name: Uint8Array;
  readonly data: Uint8Array;
}

const LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50;

/** Stored members of a small zip archive, by its central directory; undefined when there is none or a member is compressed. */
export function zipMembers(bytes: Uint8Array): Member[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - 22;
  if (end < 0 || view.getUint32(end, true) !== END) return undefined;
  const members: Member[] = [];
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== CENTRAL || view.getUint16(at + 10, true) !== 0) return undefined;
    const [length, nameLength, local] = [view.getUint32(at + 24, true), view.getUint16(at + 28, true), view.getUint32(at + 42, true)];
    if (local + 30 > bytes.length) return undefined;
    const data = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    members.push({ name: bytes.slice(at + 46, at + 46 + nameLength), data: bytes.slice(data, data + length) });
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return members.length > 0 ? members : undefined;
}

/** A zip archive as torch writes it: stored members whose data start at multiples of 64 behind an "FB" field, checksums and directory right. */
export function zipOf(members: readonly Member[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let position = 0;
  for (const { name, data } of members) {
    const padding = (64 - ((position + 30 + name.length + 4) % 64)) % 64;
    const header = new Uint8Array(30 + name.length + 4 + padding).fill(0x5a);
    const view = new DataView(header.buffer);
    const checksum = crc32(data);
    const fields = (at: number, target: DataView): void => {
      // Flags, method, time, date; then checksum and both lengths.
      target.setBigUint64(at, 0n, true);
      target.setUint32(at + 8, checksum, true);
      target.setUint32(at + 12, data.length, true);
      target.setUint32(at + 16, data.length, true);
      target.setUint16(at + 20, name.length, true);
    };
    view.setUint32(0, LOCAL, true);
    view.setUint16(4, 0, true);
    fields(6, view);
    view.setUint16(28, 4 + padding, true);
    header.set(name, 30);
    view.setUint16(30 + name.length, 0x4246, true);
    view.setUint16(32 + name.length, padding, true);
    const entry = new Uint8Array(46 + name.length);
    const central = new DataView(entry.buffer);
    central.setUint32(0, CENTRAL, true);
    fields(8, central);
    central.setUint32(42, position, true);
    entry.set(name, 46);
    directory.push(entry);
    parts.push(header, data);
    position += header.length + data.length;
  }
  const end = new Uint8Array(22);
  const view = new DataView(end.buffer);
  view.setUint32(0, END, true);
  view.setUint16(8, members.length, true);
  view.setUint16(10, members.length, true);
  view.setUint32(12, directory.reduce((sum, { length }) => sum + length, 0), true);
  view.setUint32(16, position, true);
  return new Uint8Array(Buffer.concat([...parts, ...directory, end]));
}

/** torch's zip archives: mostly data.pkl, its checksum made right; sometimes another member, a doubled or missing one, or the raw bytes. */
export const mutateTorchZip: Mutation = (bytes, dice) => {
  const members = dice.oneIn(4) ? undefined : zipMembers(bytes);
  if (!members) return mutateBytes(bytes, dice);
  const pickle = members.findIndex(({ name }) => Buffer.from(name).toString('latin1').endsWith('data.pkl'));
  const at = pickle < 0 || dice.oneIn(6) ? dice.below(members.length) : pickle;
  const member = members[at]!;
  switch (dice.below(12)) {
    case 0:
      return zipOf(members.filter((_, i) => i !== at));
    case 1:
      return zipOf([...members, member]);
    case 2:
      return zipOf(members.with(at, { ...member, name: mutateBytes(member.name, dice).slice(0, 300) }));
    default:
      return zipOf(members.with(at, { ...member, data: at === pickle ? mutatePickle(member.data, dice) : mutateBytes(member.data, dice) }));
  }
};
