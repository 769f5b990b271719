/**
 * Makes small PyTorch checkpoints from the clauses of specs/torch-checkpoint/README.md, in more ways than torch does (protocols,
 * memo, zip64 fields, descriptors, deflate), and damages them. For tests; shares no code with any reader, writer or fixture.
 */
import zlib from 'node:zlib';
import { seededRandom } from './generate-llama2c.js';

/** A tensor that the file was made to hold, under its name. Strides and offset in elements. */
export interface TorchTensorPlan {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly storageKey: string;
  readonly storageOffset: number;
}

/** One opcode with its argument. */
export type PickleOpcode = readonly number[];

export interface TorchRecipe {
  readonly seed: number;
  readonly container: 'zip' | 'legacy';
  /** Changes the opcodes behind PROTO of data.pkl, or of one of the five pickles of a legacy stream. */
  readonly edit?: (opcodes: readonly PickleOpcode[], pickle: number) => readonly PickleOpcode[];
}

export interface GeneratedTorch {
  readonly bytes: Uint8Array;
  /** data.pkl, or the five pickles. */
  readonly pickles: readonly Uint8Array[];
  readonly tensors: readonly TorchTensorPlan[];
  /** Of a zip archive: where its records stand. */
  readonly zip?: ZipMap;
}

interface ZipMap {
  /** Fields of the end records, [offset, width]. */
  readonly ends: readonly Field[];
  readonly members: readonly { readonly local: readonly Field[]; readonly central: readonly Field[]; readonly entry: readonly [number, number] }[];
}
type Field = readonly [offset: number, width: number];

type Random = () => number;
const below = (random: Random, limit: number): number => Math.floor(random() * limit);
const pick = <T>(random: Random, items: readonly T[]): T => items[below(random, items.length)]!;

const little = (value: number | bigint, width: number): number[] => Array.from({ length: width }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 255n));
const utf8 = (text: string): number[] => [...new TextEncoder().encode(text)];

// Pickles

const typedStorages = [['DoubleStorage', 'F64', 8], ['FloatStorage', 'F32', 4], ['HalfStorage', 'F16', 2], ['BFloat16Storage', 'BF16', 2], ['ByteStorage', 'U8', 1], ['CharStorage', 'I8', 1], ['ShortStorage', 'I16', 2], ['IntStorage', 'I32', 4], ['LongStorage', 'I64', 8], ['BoolStorage', 'BOOL', 1], ['ComplexFloatStorage', 'C64', 8], ['ComplexDoubleStorage', 'C128', 16]] as const;
const newDtypes = [['uint16', 'U16', 2], ['uint32', 'U32', 4], ['uint64', 'U64', 8], ['float8_e4m3fn', 'F8_E4M3', 1], ['float8_e5m2', 'F8_E5M2', 1], ['float8_e8m0fnu', 'F8_E8M0', 1], ['bfloat16', 'BF16', 2], ['float32', 'F32', 4]] as const;

interface StoragePlan {
  readonly key: string;
  readonly className: string;
  readonly dtype: string | undefined;
  /** In elements; UntypedStorage counts bytes. */
  readonly count: number;
  readonly byteLength: number;
}

/** Emits opcodes, choosing at random among the encodings that mean the same. */
class PickleWriter {
  readonly opcodes: PickleOpcode[] = [];
  readonly #memo = new Map<string, number>();
  #memoCount = 0;

  constructor(readonly random: Random, readonly protocol: number, readonly memoChance: number) {}

  op(...bytes: number[]): void {
    this.opcodes.push(bytes);
  }

  /** Perhaps puts the top of the stack into the memo, under `name` if it may be taken from there. */
  memoize(name?: string): void {
    if (this.random() >= this.memoChance) return;
    const index = this.#memoCount++;
    if (this.protocol === 4 && this.random() < 0.7) this.op(0x94);
    else if (index < 256 && this.random() < 0.9) this.op(0x71, index);
    else this.op(0x72, ...little(index, 4));
    if (name !== undefined) this.#memo.set(name, index);
  }

  /** Takes `name` from the memo, if it is there. */
  recall(name: string): boolean {
    const index = this.#memo.get(name);
    if (index === undefined || this.random() < 0.2) return false;
    if (index < 256) this.op(0x68, index);
    else this.op(0x6a, ...little(index, 4));
    return true;
  }

  int(value: number): void {
    const ways: number[][] = [];
    if (value >= 0 && value < 256) ways.push([0x4b, value]);
    if (value >= 0 && value < 65_536) ways.push([0x4d, ...little(value, 2)]);
    if (Math.abs(value) < 2 ** 31) ways.push([0x4a, ...little(BigInt.asUintN(32, BigInt(value)), 4)]);
    if (value >= 0) ways.push([0x8a, 8, ...little(value, 8)]);
    this.op(...(this.random() < 0.7 ? ways[0]! : pick(this.random, ways)));
  }

  text(value: string): void {
    if (this.recall(`text ${value}`)) return;
    const bytes = utf8(value);
    if (this.protocol === 4 && bytes.length < 256 && this.random() < 0.8) this.op(0x8c, bytes.length, ...bytes);
    else this.op(0x58, ...little(bytes.length, 4), ...bytes);
    this.memoize(`text ${value}`);
  }

  global(module: string, name: string): void {
    if (this.recall(`global ${module} ${name}`)) return;
    if (this.protocol === 4 && this.random() < 0.8) {
      this.text(module);
      this.text(name);
      this.op(0x93);
    } else this.op(0x63, ...utf8(`${module}\n${name}\n`));
    this.memoize(`global ${module} ${name}`);
  }

  tuple(items: readonly (() => void)[]): void {
    const short = items.length >= 1 && items.length <= 3 && this.random() < 0.9;
    if (!short && items.length > 0) this.op(0x28);
    for (const item of items) item();
    if (items.length === 0) this.op(0x29);
    else this.op(short ? 0x84 + items.length : 0x74);
    this.memoize();
  }

  /** Into the container on the stack: dict entries or list items, one by one or behind a MARK. */
  fill(items: readonly (() => void)[], one: number, many: number): void {
    for (let i = 0; i < items.length; ) {
      const count = this.random() < 0.3 ? 1 : 1 + below(this.random, items.length - i);
      if (count > 1) this.op(0x28);
      for (const item of items.slice(i, i + count)) item();
      this.op(count > 1 ? many : one);
      i += count;
    }
  }

  dict(entries: readonly (() => void)[], ordered: boolean): void {
    if (ordered) {
      this.global('collections', 'OrderedDict');
      this.tuple([]);
      this.op(0x52);
    } else this.op(0x7d);
    this.memoize();
    this.fill(entries, 0x73, 0x75);
  }

  list(items: readonly (() => void)[]): void {
    this.op(0x5d);
    this.memoize();
    this.fill(items, 0x61, 0x65);
  }
}

/** PROTO, frames in protocol 4 (one or two, or none), the opcodes. STOP is one of them. */
function assemble(opcodes: readonly PickleOpcode[], protocol: number, random: Random): Uint8Array {
  if (protocol < 4 || random() < 0.1) return Uint8Array.from([0x80, protocol, ...opcodes.flat()]);
  const cut = random() < 0.5 ? opcodes.length : 1 + below(random, opcodes.length);
  const frames = [opcodes.slice(0, cut).flat(), opcodes.slice(cut).flat()].filter((frame) => frame.length > 0);
  return Uint8Array.from([0x80, protocol, ...frames.flatMap((frame) => [0x95, ...little(frame.length, 8), ...frame])]);
}

interface ObjectPlan {
  readonly storages: StoragePlan[];
  readonly tensors: TorchTensorPlan[];
}

const namePieces = ['weight', 'bias', 'layers', 'wq', 'é', '\u{1f642}', '', '0', ' ', '__proto__', 'a.b', 'model', '/'];

/** Writes a random object with tensors: a state dict, a training checkpoint, a list, a bare tensor. */
function writeObject(writer: PickleWriter, plan: ObjectPlan, legacy: boolean): void {
  const { random } = writer;
  const entryKey = (used: Set<string>): string => {
    for (;;) {
      const key = Array.from({ length: 1 + below(random, 2) }, () => pick(random, namePieces)).join('') + (random() < 0.6 ? String(below(random, 30)) : '');
      // Keys that other entries could be joined to are left out, and that of P-3.2.
      if (used.has(key) || [...used].some((other) => other.startsWith(`${key}.`) || key.startsWith(`${other}.`)) || key === 'model') continue;
      used.add(key);
      return key;
    }
  };
  const plain = (): void => {
    const kind = below(random, 7);
    if (kind === 0) writer.op(0x4e);
    else if (kind === 1) writer.op(pick(random, [0x88, 0x89]));
    else if (kind === 2) writer.int(below(random, 70_000) - 100);
    else if (kind === 3) writer.op(0x47, ...Array.from({ length: 8 }, () => below(random, 256)));
    else if (kind === 4) writer.text(pick(random, namePieces));
    else if (kind === 5) writer.list([() => writer.int(1), () => writer.op(0x4e)]);
    else writer.dict([() => { writer.int(3); writer.tuple([() => writer.text('x')]); }], false);
  };
  const entries = (prefix: string, depth: number, used = new Set<string>()): (() => void)[] =>
    Array.from({ length: 1 + below(random, 4) }, () => {
      const key = entryKey(used);
      return () => {
        writer.text(key);
        const kind = random();
        if (kind < 0.15) plain();
        else if (kind < 0.25 && depth < 3) writer.dict(entries(`${prefix}${key}.`, depth + 1), random() < 0.3);
        else if (kind < 0.3) writer.list([0, 1].map((i) => () => writeTensor(writer, plan, `${prefix}${key}.${i}`, legacy)));
        else writeTensor(writer, plan, prefix + key, legacy);
      };
    });
  const stateDict = (): void => {
    const ordered = random() < 0.6;
    writer.dict(entries('', 0), ordered);
    if (!ordered || random() < 0.4) return;
    writer.dict([() => { writer.text('_metadata'); writer.dict([() => { writer.text(''); writer.dict([() => { writer.text('version'); writer.int(1); }], false); }], true); }], false);
    writer.op(0x62);
  };
  const kind = random();
  if (kind < 0.08) writeTensor(writer, plan, '', legacy);
  else if (kind < 0.16) writer.list([0, 1, 2].map((i) => () => writeTensor(writer, plan, String(i), legacy)));
  else if (kind < 0.3) {
    const model = (): void => {
      writer.text(pick(random, ['model', 'state_dict', 'module']));
      writer.dict([() => { writer.text('first'); writeTensor(writer, plan, 'first', legacy); }, ...entries('', 0, new Set(['first']))], true);
    };
    writer.dict([() => { writer.text('step'); writer.int(1000); }, model, () => { writer.text('optimizer'); plain(); }], false);
  } else stateDict();
}

/** A tensor, perhaps in a Parameter, over a new storage or one that is there. */
function writeTensor(writer: PickleWriter, plan: ObjectPlan, name: string, legacy: boolean): void {
  const { random } = writer;
  const shape = Array.from({ length: pick(random, [0, 1, 1, 2, 2, 3]) }, () => (random() < 0.08 ? 0 : 1 + below(random, 4)));
  const strides = stridesFor(shape, random);
  const span = shape.includes(0) ? 0 : shape.reduce((sum, n, i) => sum + (n - 1) * strides[i]!, 1);
  const untyped = !legacy && random() < 0.15;
  const [torchName, dtype, width] = untyped ? pick(random, newDtypes) : pick(random, typedStorages);
  const storage = storageFor(plan, random, span, untyped ? undefined : { className: torchName, dtype, width }, width);
  const elements = storage.byteLength / width;
  const storageOffset = random() < 0.5 ? 0 : below(random, Math.floor(elements) - span + 1);
  plan.tensors.push({ name, dtype: storage.dtype ?? dtype, shape, strides, storageKey: storage.key, storageOffset });

  const flag = (): void => writer.op(pick(random, [0x88, 0x89]));
  const hooks = (): void => writer.dict([], true);
  const persistentId = (): void => {
    writer.tuple([
      () => writer.text('storage'), () => writer.global(storage.dtype === undefined ? 'torch.storage' : 'torch', storage.className), () => writer.text(storage.key),
      () => writer.text('cpu'), () => writer.int(storage.count), ...(legacy ? [() => writer.op(0x4e)] : []),
    ]);
    writer.op(0x51);
  };
  const numbers = (values: readonly number[]) => (): void => writer.tuple(values.map((value) => () => writer.int(value)));
  const tensor = (): void => {
    writer.global('torch._utils', storage.dtype === undefined ? '_rebuild_tensor_v3' : '_rebuild_tensor_v2');
    writer.tuple([persistentId, () => writer.int(storageOffset), numbers(shape), numbers(strides), flag, hooks, ...(storage.dtype === undefined ? [() => writer.global('torch', torchName)] : []), ...(random() < 0.1 ? [() => writer.op(0x4e)] : [])]);
    writer.op(0x52);
    writer.memoize();
  };
  if (random() > 0.1) return tensor();
  writer.global('torch._utils', '_rebuild_parameter');
  writer.tuple([tensor, flag, hooks]);
  writer.op(0x52);
}

function stridesFor(shape: readonly number[], random: Random): number[] {
  if (random() < 0.15) return shape.map(() => below(random, 7)); // gaps, overlaps, expanded dimensions
  const order = shape.map((_, i) => i);
  if (random() < 0.3) order.sort(() => random() - 0.5);
  const strides = shape.map(() => 1);
  let inside = 1;
  for (const i of order.toReversed()) {
    strides[i] = inside;
    inside *= Math.max(1, shape[i]!);
  }
  return strides;
}

/** One that is there, if it fits; its own type then counts. */
function storageFor({ storages }: ObjectPlan, random: Random, span: number, typed: { className: string; dtype: string; width: number } | undefined, width: number): StoragePlan {
  const shared = storages.filter(({ dtype, byteLength }) => dtype === typed?.dtype && byteLength >= span * width);
  if (shared.length > 0 && random() < 0.5) return pick(random, shared);
  const count = (span + (random() < 0.5 ? 0 : below(random, 5))) * (typed ? 1 : width);
  const storage = { key: String(storages.length), className: typed?.className ?? 'UntypedStorage', dtype: typed?.dtype, count, byteLength: count * (typed?.width ?? 1) };
  storages.push(storage);
  return storage;
}

/** A whole file; valid unless `edit` breaks it. */
export function generateTorch({ seed, container, edit }: TorchRecipe): GeneratedTorch {
  const random = seededRandom(seed);
  const protocol = pick(random, [2, 2, 2, 3, 4, 4]);
  const memoChance = pick(random, [0, 0.5, 1]);
  const plan: ObjectPlan = { storages: [], tensors: [] };
  const pickle = (index: number, write: (writer: PickleWriter) => void): Uint8Array => {
    const writer = new PickleWriter(random, protocol, memoChance);
    write(writer);
    writer.op(0x2e);
    return assemble(edit ? edit(writer.opcodes, index) : writer.opcodes, protocol, random);
  };
  const dataOf = ({ byteLength }: StoragePlan): Uint8Array => Uint8Array.from({ length: byteLength }, () => below(random, 256));
  if (container === 'zip') {
    const data = pickle(0, (writer) => writeObject(writer, plan, false));
    const { bytes, zip } = archive(data, plan.storages.map((storage) => [storage.key, dataOf(storage)]), random);
    return { bytes, pickles: [data], tensors: plan.tensors, zip };
  }
  const framed = (...opcodes: PickleOpcode[]): Uint8Array => Uint8Array.from([0x80, protocol, ...(protocol === 4 ? [0x95, ...little(opcodes.flat().length, 8)] : []), ...opcodes.flat()]);
  const pickles = [
    framed([0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19], [0x2e]),
    framed([0x4d, 0xe9, 3], [0x2e]),
    pickle(2, (writer) => {
      const pair = (key: string, value: () => void) => (): void => {
        writer.text(key);
        value();
      };
      const size = (value: number) => (): void => writer.int(value);
      writer.dict([pair('protocol_version', size(1001)), pair('little_endian', () => writer.op(0x88)), pair('type_sizes', () => writer.dict([pair('short', size(2)), pair('int', size(4)), pair('long', size(pick(random, [4, 8])))], false))], false);
    }),
    pickle(3, (writer) => writeObject(writer, plan, true)),
    pickle(4, (writer) => writer.list(plan.storages.map(({ key }) => () => writer.text(key)))),
  ];
  const data = plan.storages.flatMap((storage) => [Uint8Array.from(little(storage.count, 8)), dataOf(storage)]);
  return { bytes: new Uint8Array(Buffer.concat([...pickles, ...data])), pickles, tensors: plan.tensors };
}

// Archives

const MAX = 0xffffffff;

/** Stored or deflated members with every kind of descriptor and zip64 field that the clauses allow. */
function archive(pickle: Uint8Array, storages: readonly (readonly [string, Uint8Array])[], random: Random): { bytes: Uint8Array; zip: ZipMap } {
  const folder = pick(random, ['archive', 'model', 'é', 'a b']);
  const alignment = pick(random, [64, 64, 256, 1]);
  const torch2 = random() < 0.4;
  const noCrc = random() < 0.1;
  const text = (name: string, content: string): readonly [string, Uint8Array] => [name, Uint8Array.from(utf8(content))];
  const small = torch2 ? [text('.format_version', '1'), text('.storage_alignment', String(alignment)), text('byteorder', 'little')] : [];
  const last = torch2 ? [text('.data/serialization_id', '0123456789'.repeat(4))] : [];
  const out: number[] = [];
  const put = (fields: Field[], value: number | bigint, width: number): void => {
    fields.push([out.length, width]);
    out.push(...little(value, width));
  };
  const members: { local: Field[]; central: Field[]; entry: [number, number] }[] = [];
  const directory = [['data.pkl', pickle] as const, ...small, ...storages.map(([key, data]) => [`data/${key}`, data] as const), text('version', pick(random, ['3\n', '3', '10'])), ...last].map(([below_, plain]) => {
    const name = utf8(`${folder}/${below_}`);
    const deflated = random() < 0.08;
    const data = deflated ? new Uint8Array(zlib.deflateRawSync(plain)) : plain;
    const described = random() < 0.8;
    const zip64 = random() < 0.15;
    const flags = (described ? 8 : 0) + (random() < 0.8 || folder === 'é' ? 0x800 : 0) + (deflated ? pick(random, [0, 2, 4, 6]) : 0);
    const crc = noCrc ? 0 : zlib.crc32(plain);
    const offset = out.length;
    const hidden = described && random() < 0.8;
    const local: Field[] = [];
    put(local, 0x04034b50, 4);
    for (const value of [below(random, 46), flags, deflated ? 8 : 0, below(random, 9), below(random, 9)]) put(local, value, 2);
    put(local, hidden ? 0 : crc, 4);
    put(local, zip64 ? MAX : hidden ? 0 : data.length, 4);
    put(local, zip64 ? MAX : hidden ? 0 : plain.length, 4);
    const wide = zip64 ? [plain.length, hidden ? 0 : data.length, ...(random() < 0.3 ? [offset] : [])] : [];
    const extraBefore = zip64 ? 4 + 8 * wide.length : 0;
    const padded = random() < 0.9;
    const padding = padded ? (alignment - ((offset + 30 + name.length + extraBefore + 4) % alignment)) % alignment : 0;
    put(local, name.length, 2);
    put(local, extraBefore + (padded ? 4 + padding : 0), 2);
    name.forEach((byte) => put(local, byte, 1));
    if (zip64) {
      put(local, 1, 2);
      put(local, 8 * wide.length, 2);
      wide.forEach((value) => put(local, value, 8));
    }
    if (padded) {
      put(local, 0x4246, 2);
      put(local, padding, 2);
      out.push(...Array.from({ length: padding }, () => 0x5a));
    }
    out.push(...data);
    if (described) {
      if (random() < 0.9) put(local, 0x08074b50, 4);
      put(local, crc, 4);
      put(local, data.length, zip64 ? 8 : 4);
      put(local, plain.length, zip64 ? 8 : 4);
    }
    const central: Field[] = [];
    members.push({ local, central, entry: [0, 0] });
    return { name, flags, method: deflated ? 8 : 0, crc, values: [data.length, plain.length, offset] as const, central };
  });

  const start = out.length;
  for (const [i, { name, flags, method, crc, values, central }] of directory.entries()) {
    const entryStart = out.length;
    const saturated = values.map(() => random() < 0.08);
    const [compressed, uncompressed, offset] = values.map((value, k) => (saturated[k] ? MAX : value)) as [number, number, number];
    const wide = [1, 0, 2].filter((k) => saturated[k]).map((k) => values[k]!); // uncompressed comes first
    put(central, 0x02014b50, 4);
    for (const value of [pick(random, [0, 0x0314]), below(random, 46), flags, method, below(random, 9), below(random, 9)]) put(central, value, 2);
    for (const value of [crc, compressed, uncompressed]) put(central, value, 4);
    for (const value of [name.length, wide.length > 0 ? 4 + 8 * wide.length : 0, 0, 0, 0]) put(central, value, 2);
    put(central, 0, 4);
    put(central, offset, 4);
    name.forEach((byte) => put(central, byte, 1));
    if (wide.length > 0) {
      put(central, 1, 2);
      put(central, 8 * wide.length, 2);
      wide.forEach((value) => put(central, value, 8));
    }
    members[i]!.entry = [entryStart, out.length];
  }
  const ends: Field[] = [];
  const end = out.length;
  const saturate = random() < 0.3;
  const zip64 = saturate || random() < 0.8;
  const count = directory.length;
  if (zip64) {
    put(ends, 0x06064b50, 4);
    put(ends, 44, 8);
    for (const value of [0x031e, 0x2d]) put(ends, value, 2);
    for (const value of [0, 0]) put(ends, value, 4);
    for (const value of [count, count, end - start, start]) put(ends, value, 8);
    put(ends, 0x07064b50, 4);
    put(ends, 0, 4);
    put(ends, end, 8);
    put(ends, 1, 4);
  }
  put(ends, 0x06054b50, 4);
  for (const value of [0, 0, ...(saturate ? [0xffff, 0xffff] : [count, count])]) put(ends, value, 2);
  for (const value of saturate ? [MAX, MAX] : [end - start, start]) put(ends, value, 4);
  put(ends, 0, 2);
  return { bytes: Uint8Array.from(out), zip: { ends, members } };
}

// Damage

function readField(bytes: Uint8Array, [offset, width]: Field): bigint {
  return BigInt(`0x${Buffer.from(bytes.slice(offset, offset + width).toReversed()).toString('hex')}`);
}

function otherValue(value: bigint, width: number, random: Random): bigint {
  const all = 2n ** BigInt(8 * width);
  const values = [value + 1n, value - 1n, value ^ (1n << BigInt(below(random, 8 * width))), 0n, all - 1n, BigInt(below(random, 100)), value + 16n, value * 2n];
  return ((pick(random, values) % all) + all) % all;
}

/** Breaks, or only changes, the container of a generated archive: one or two fields, a pair of fields that should agree, its length, its order. */
export function damageTorchArchive({ bytes, zip }: GeneratedTorch, seed: number): Uint8Array {
  const random = seededRandom(seed + 1);
  const copy = bytes.slice();
  const { ends, members } = zip!;
  const write = ([offset, width]: Field, value: bigint): void => copy.set(little(value, width), offset);
  const change = (fields: readonly Field[]): void => {
    const field = pick(random, fields);
    write(field, otherValue(readField(bytes, field), field[1], random));
  };
  const member = pick(random, members);
  switch (below(random, 9)) {
    case 0:
      return copy.slice(0, below(random, bytes.length + 1));
    case 1:
      return Uint8Array.from([...copy, ...Array.from({ length: 1 + below(random, 30) }, () => below(random, 256))]);
    case 2:
      copy[below(random, bytes.length)]! ^= 1 << below(random, 8);
      return copy;
    case 3:
      change(ends);
      return copy;
    case 4: {
      // The same change on both sides: needed, flags, method, time, date, CRC, sizes stand in both in this order.
      const k = 1 + below(random, 8);
      const both = [member.local[k]!, member.central[k + 1]!] as const;
      const value = otherValue(readField(bytes, both[1]), both[1][1], random);
      both.forEach((field) => write(field, value));
      return copy;
    }
    case 5: {
      // Entries in another order are still the same archive.
      const entries = members.map(({ entry: [start, end] }) => bytes.slice(start, end)).toSorted(() => random() - 0.5);
      copy.set(Buffer.concat(entries), members[0]!.entry[0]);
      return copy;
    }
    case 6:
      change(member.local);
      if (random() < 0.3) change(pick(random, members).local);
      return copy;
    default:
      change(member.central);
      if (random() < 0.3) change(pick(random, [member.local, ends]));
      return copy;
  }
}

const strayOpcodes: readonly PickleOpcode[] = [
  ...[0x28, 0x29, 0x2e, 0x30, 0x31, 0x32, 0x4e, 0x51, 0x52, 0x5d, 0x61, 0x62, 0x65, 0x6c, 0x6f, 0x73, 0x74, 0x75, 0x7d, 0x81, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8f, 0x90, 0x93, 0x94].map((byte) => [byte]),
  [0x4b, 0], [0x4b, 1], [0x4b, 200], [0x4a, 255, 255, 255, 255], [0x8a, 0], [0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 64], [0x8a, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0], [0x47, 0x40, 0, 0, 0, 0, 0, 0, 0],
  [0x68, 0], [0x68, 3], [0x71, 0], [0x71, 77], [0x80, 2], [0x80, 4], [0x58, 1, 0, 0, 0, 0x78], [0x58, 3, 0, 0, 0, 0xed, 0xa0, 0x80], [0x8c, 1, 0x79], [0x49, 0x31, 0x0a], [0x43, 1, 0],
  [0x63, ...utf8('os\nsystem\n')], [0x63, ...utf8('torch\nFloatStorage\n')], [0x63, ...utf8('collections\nOrderedDict\n')], [0x63, ...utf8('torch._utils\n_rebuild_parameter\n')], [0x95, 3, 0, 0, 0, 0, 0, 0, 0],
];

/** Breaks, or only changes, one or two opcodes. */
export function damagePickle(opcodes: readonly PickleOpcode[], seed: number): PickleOpcode[] {
  const random = seededRandom(seed + 2);
  const result = [...opcodes];
  for (let left = random() < 0.3 ? 2 : 1; left > 0 && result.length > 0; left--) {
    const at = below(random, result.length);
    switch (below(random, 6)) {
      case 0:
        result.splice(at, 1);
        break;
      case 1:
        result.splice(at, 0, pick(random, strayOpcodes));
        break;
      case 2:
        result[at] = pick(random, strayOpcodes);
        break;
      case 3:
        result.splice(at, 0, pick(random, result));
        break;
      case 4: {
        const other = below(random, result.length);
        [result[at], result[other]] = [result[other]!, result[at]!];
        break;
      }
      default: {
        const changed = [...result[at]!];
        const byte = changed.length > 1 ? 1 + below(random, changed.length - 1) : 0;
        changed[byte] = changed[byte]! ^ (1 << below(random, 8));
        result[at] = changed;
      }
    }
  }
  return result;
}
