/**
 * A pickle machine with a closed list of opcodes: enough for what torch.save writes (protocols 2 to 4), and nothing else.
 * It calls nothing and imports nothing; what a global, a call or a persistent id means is decided by the `World` it is given.
 * Every step is bounded (see limits.ts): arguments by the bytes that are there, objects, stack, memo and steps by count.
 * Source: CPython 3.11 Lib/pickletools.py; torch 2.6 _weights_only_unpickler.py. Clauses K-1, K-2; the opcode table is in the README.
 */
import { DiagnosticError, type ByteRange } from '@weightspec/core';
import { safeU64, viewOf } from './bytes.js';
import { torchDiagnostic, type TorchCode } from './codes.js';
import { limits } from './limits.js';
import { comparableKey, float, isDict, isList, isText, isTuple, kindOf, newDict, text, type Dict, type GlobalName, type Value } from './values.js';

/** What the opcodes that reach outside the pickle mean. Each may call `machine.fail`. */
export interface World {
  global(module: string, name: string, machine: Failing): GlobalName;
  reduce(callable: Value, args: Value, machine: Failing): Value;
  /** Returns `object`. */
  build(object: Value, state: Value, machine: Failing): Value;
  persistentId(id: Value, machine: Failing): Value;
}

export interface Failing {
  fail(code: TorchCode, message: string, byteRange?: ByteRange): never;
  /** The opcode being run, as bytes of the source. */
  readonly opcodeRange: ByteRange;
}

export interface PickleInput {
  readonly bytes: Uint8Array;
  /** Where the pickle starts in `bytes`. */
  readonly start: number;
  /** What the diagnostics call the source, and where `bytes[0]` lies in it. */
  readonly source: string;
  readonly byteOffset: number;
  /** Bytes of the source that exist behind `bytes[0]`; more than `bytes.length` when only a window was read. */
  readonly availableBytes: number;
}

export interface PickleResult {
  readonly value: Value;
  readonly protocol: number;
  /** One past STOP, in `bytes`. */
  readonly end: number;
}

/** Thrown when the window ends before the pickle, and the source does not. */
export class WindowTooSmall extends Error {
  override readonly name = 'WindowTooSmall';
}

/** Shared by the pickles of one file. */
export interface Budget {
  objects: number;
  opcodes: number;
}

const MAX_GLOBAL_LINE = 256;
const MAX_LONG_BYTES = 32;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Runs the pickle that starts at `input.start`. Throws DiagnosticError, or WindowTooSmall. */
export function runPickle(input: PickleInput, world: World, budget: Budget): PickleResult {
  return new Machine(input, world, budget).run();
}

class Machine implements Failing {
  readonly #input: PickleInput;
  readonly #world: World;
  readonly #budget: Budget;
  readonly #view: DataView;
  readonly #stack: Value[] = [];
  /** Stack heights at each open MARK. */
  readonly #marks: number[] = [];
  readonly #memo: Value[] = [];
  #memoCount = 0;
  #position: number;
  #opcodeStart: number;
  #protocol = 0;
  /** End of the frame that is open; 0 outside frames. */
  #frameEnd = 0;

  constructor(input: PickleInput, world: World, budget: Budget) {
    this.#input = input;
    this.#world = world;
    this.#budget = budget;
    this.#view = viewOf(input.bytes);
    this.#position = this.#opcodeStart = input.start;
  }

  get opcodeRange(): ByteRange {
    const { byteOffset } = this.#input;
    return [byteOffset + this.#opcodeStart, byteOffset + Math.max(this.#opcodeStart + 1, this.#position)];
  }

  fail(code: TorchCode, message: string, byteRange: ByteRange = this.opcodeRange): never {
    throw new DiagnosticError([torchDiagnostic(code, this.#input.source, { byteRange, message })]);
  }

  run(): PickleResult {
    this.#readProtocol();
    for (;;) {
      this.#opcodeStart = this.#position;
      if (this.#frameEnd > 0 && this.#position >= this.#frameEnd) this.#leaveFrame();
      const opcode = this.#u8();
      if (++this.#budget.opcodes > limits.opcodes) this.fail('TORCH_LIMIT', `the pickle has more than ${limits.opcodes} opcodes`);
      if (opcode === 0x2e) return this.#stop();
      this.#step(opcode);
      if (this.#frameEnd > 0 && this.#position > this.#frameEnd) this.fail('TORCH_PICKLE_FRAME', 'an opcode reaches past the end of its frame');
      if (this.#stack.length > limits.stack) this.fail('TORCH_LIMIT', `more than ${limits.stack} values on the stack`);
    }
  }

  /** Clause K-1.1: PROTO comes first, once. */
  #readProtocol(): void {
    const opcode = this.#u8();
    if (opcode !== 0x80) this.fail('TORCH_PROTOCOL', `the pickle begins with opcode ${hexByte(opcode)} instead of PROTO`);
    this.#protocol = this.#u8();
    if (this.#protocol < 2 || this.#protocol > 4) this.fail('TORCH_PROTOCOL', `the pickle has protocol ${this.#protocol}; 2, 3 and 4 are read`);
  }

  #leaveFrame(): void {
    if (this.#position > this.#frameEnd) this.fail('TORCH_PICKLE_FRAME', 'an opcode reaches past the end of its frame');
    this.#frameEnd = 0;
  }

  #stop(): PickleResult {
    if (this.#frameEnd > 0 && this.#position !== this.#frameEnd) this.fail('TORCH_PICKLE_FRAME', `STOP stands ${this.#frameEnd - this.#position} bytes before the end of its frame`);
    if (this.#marks.length > 0) this.fail('TORCH_PICKLE_STACK', `STOP with ${this.#marks.length} MARKs open`);
    const value = this.#pop();
    if (this.#stack.length > 0) this.fail('TORCH_PICKLE_TRAILING', `${this.#stack.length} more objects are on the stack at STOP`);
    return { value, protocol: this.#protocol, end: this.#position };
  }

  /** One opcode: its argument, its effect. The names are pickletools'. */
  #step(opcode: number): void {
    switch (opcode) {
      case 0x80: return this.fail('TORCH_PROTOCOL', `a second PROTO, of protocol ${this.#u8()}`);
      case 0x95: return this.#frame();
      // Constants
      case 0x4e: return this.#push(null); // NONE
      case 0x88: return this.#push(true); // NEWTRUE
      case 0x89: return this.#push(false); // NEWFALSE
      case 0x4b: return this.#push(this.#u8()); // BININT1
      case 0x4d: return this.#push(this.#view.getUint16(this.#take(2), true)); // BININT2
      case 0x4a: return this.#push(this.#view.getInt32(this.#take(4), true)); // BININT
      case 0x8a: return this.#push(this.#long(this.#u8())); // LONG1
      case 0x47: return this.#push(this.#made(float(this.#view.getFloat64(this.#take(8), false)))); // BINFLOAT
      case 0x58: return this.#push(this.#text(this.#u32())); // BINUNICODE
      case 0x8c: return this.#push(this.#text(this.#protocol4(this.#u8(), 'SHORT_BINUNICODE'))); // SHORT_BINUNICODE
      // Containers
      case 0x28: return this.#mark(); // MARK
      case 0x29: return this.#push(this.#made({ kind: 'tuple', items: [] })); // EMPTY_TUPLE
      case 0x5d: return this.#push(this.#made({ kind: 'list', items: [] })); // EMPTY_LIST
      case 0x7d: return this.#push(this.#made(newDict(false))); // EMPTY_DICT
      case 0x74: return this.#push(this.#made({ kind: 'tuple', items: this.#popToMark() })); // TUPLE
      case 0x85: return this.#tuple(1); // TUPLE1
      case 0x86: return this.#tuple(2); // TUPLE2
      case 0x87: return this.#tuple(3); // TUPLE3
      case 0x61: return this.#append([this.#pop()]); // APPEND
      case 0x65: return this.#append(this.#popToMark()); // APPENDS
      case 0x73: return this.#setItem(); // SETITEM
      case 0x75: return this.#setItems(this.#popToMark()); // SETITEMS
      // Memo
      case 0x71: return this.#put(this.#u8()); // BINPUT
      case 0x72: return this.#put(this.#u32()); // LONG_BINPUT
      case 0x94: return this.#put(this.#protocol4(this.#memoCount, 'MEMOIZE')); // MEMOIZE
      case 0x68: return this.#get(this.#u8()); // BINGET
      case 0x6a: return this.#get(this.#u32()); // LONG_BINGET
      // The world
      case 0x63: return this.#push(this.#world.global(this.#line(), this.#line(), this)); // GLOBAL
      case 0x93: return this.#stackGlobal(); // STACK_GLOBAL
      case 0x51: return this.#push(this.#world.persistentId(this.#pop(), this)); // BINPERSID
      case 0x52: return this.#reduce(); // REDUCE
      case 0x62: return this.#build(); // BUILD
      default: return this.fail('TORCH_OPCODE', `opcode ${hexByte(opcode)}${forbiddenNames.has(opcode) ? ` (${forbiddenNames.get(opcode)!})` : ''} is not one that a state dict needs`);
    }
  }

  // Arguments

  /** Moves past `length` bytes and returns where they start. */
  #take(length: number): number {
    const start = this.#position;
    const { bytes, availableBytes, byteOffset } = this.#input;
    if (length > availableBytes - start) this.fail('TORCH_PICKLE_TRUNCATED', start >= availableBytes ? 'the pickle ends before STOP' : `the argument needs ${length} bytes, ${availableBytes - start} are left`, [byteOffset + Math.min(this.#opcodeStart, availableBytes - 1), byteOffset + availableBytes]);
    if (length > bytes.length - start) throw new WindowTooSmall();
    this.#position += length;
    return start;
  }

  #u8(): number {
    return this.#input.bytes[this.#take(1)]!;
  }

  #u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** Opcodes that protocol 4 brought are refused before it. */
  #protocol4<T>(argument: T, name: string): T {
    if (this.#protocol < 4) this.fail('TORCH_OPCODE', `${name} in a pickle of protocol ${this.#protocol}`);
    return argument;
  }

  #frame(): void {
    const length = safeU64(this.#view, this.#protocol4(this.#take(8), 'FRAME'));
    if (this.#frameEnd > 0) this.fail('TORCH_PICKLE_FRAME', 'a frame begins inside another');
    if (length === undefined || length === 0 || length > this.#input.availableBytes - this.#position) this.fail('TORCH_PICKLE_FRAME', `a frame of ${length ?? 'more than 2^53'} bytes, where ${this.#input.availableBytes - this.#position} are left`);
    this.#frameEnd = this.#position + length;
  }

  #long(length: number): number | bigint {
    const start = this.#take(length);
    if (length > MAX_LONG_BYTES) this.fail('TORCH_PICKLE_NUMBER', `an integer of ${length} bytes`);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = value * 256n + BigInt(this.#input.bytes[start + i]!);
    value = BigInt.asIntN(8 * length, value);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  #text(length: number): Value {
    const start = this.#take(length);
    try {
      return this.#made(text(utf8.decode(this.#input.bytes.subarray(start, start + length))));
    } catch (error) {
      if (error instanceof DiagnosticError) throw error;
      return this.fail('TORCH_PICKLE_STRING', 'a string is no valid UTF-8');
    }
  }

  /** A line of GLOBAL, without its end. Latin-1: names off the list are only shown. */
  #line(): string {
    const start = this.#position;
    while (this.#u8() !== 0x0a) if (this.#position - start > MAX_GLOBAL_LINE) this.fail('TORCH_GLOBAL', `a name of more than ${MAX_GLOBAL_LINE} bytes`);
    return String.fromCharCode(...this.#input.bytes.subarray(start, this.#position - 1));
  }

  // Stack

  #made<T extends Value>(value: T): T {
    if (++this.#budget.objects > limits.objects) this.fail('TORCH_LIMIT', `the pickle makes more than ${limits.objects} objects`);
    return value;
  }

  #push(value: Value): void {
    this.#stack.push(value);
  }

  #pop(): Value {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) this.fail('TORCH_PICKLE_STACK', this.#marks.length > 0 ? 'nothing is on the stack above the last MARK' : 'the stack is empty');
    return this.#stack.pop()!;
  }

  #top(): Value {
    const value = this.#pop();
    this.#stack.push(value);
    return value;
  }

  #mark(): void {
    if (this.#marks.length >= limits.marks) this.fail('TORCH_LIMIT', `more than ${limits.marks} MARKs are open`);
    this.#marks.push(this.#stack.length);
  }

  #popToMark(): Value[] {
    const height = this.#marks.pop();
    if (height === undefined) this.fail('TORCH_PICKLE_STACK', 'no MARK is open');
    return this.#stack.splice(height);
  }

  #tuple(length: number): void {
    const items: Value[] = [];
    for (let i = 0; i < length; i++) items.unshift(this.#pop());
    this.#push(this.#made({ kind: 'tuple', items }));
  }

  #append(items: readonly Value[]): void {
    const list = this.#top();
    if (!isList(list)) this.fail('TORCH_PICKLE_STACK', `APPEND to ${kindOf(list)} instead of a list`);
    for (const item of items) list.items.push(item);
  }

  #setItem(): void {
    const value = this.#pop();
    const key = this.#pop();
    this.#setItems([key, value]);
  }

  /** On dictionaries only: torch once let SETITEM write into anything (CVE-2026-24747). */
  #setItems(items: readonly Value[]): void {
    const dict = this.#top();
    if (!isDict(dict)) this.fail('TORCH_PICKLE_STACK', `SETITEM on ${kindOf(dict)} instead of a dict`);
    if (items.length % 2 !== 0) this.fail('TORCH_PICKLE_STACK', 'SETITEMS with a key and no value');
    if (dict.frozen && items.length > 0) this.fail('TORCH_TENSOR_HOOKS', 'a hook is added to a tensor that was already built');
    for (let i = 0; i < items.length; i += 2) this.#setOne(dict, items[i]!, items[i + 1]!);
  }

  #setOne(dict: Dict, key: Value, value: Value): void {
    const comparable = comparableKey(key);
    if (comparable === undefined) this.fail('TORCH_PICKLE_STACK', `a ${kindOf(key)} is used as a dictionary key`);
    dict.seen ??= new Set();
    if (dict.seen.has(comparable)) this.fail('TORCH_DUPLICATE_KEY', `the key ${JSON.stringify(comparable.slice(1))} is set twice`);
    dict.seen.add(comparable);
    dict.keys.push(key);
    dict.values.push(value);
  }

  // Memo

  #put(index: number): void {
    if (index >= limits.memo) this.fail('TORCH_LIMIT', `memo entry ${index}; the limit is ${limits.memo}`);
    if (this.#memo[index] !== undefined) this.fail('TORCH_PICKLE_MEMO', `memo entry ${index} is set twice`);
    this.#memo[index] = this.#top();
    this.#memoCount++;
  }

  #get(index: number): void {
    const value = index < limits.memo ? this.#memo[index] : undefined;
    if (value === undefined) this.fail('TORCH_PICKLE_MEMO', `memo entry ${index} was never set`);
    this.#push(value);
  }

  // The world

  #stackGlobal(): void {
    this.#protocol4(0, 'STACK_GLOBAL');
    const name = this.#pop();
    const module = this.#pop();
    if (!isText(module) || !isText(name)) this.fail('TORCH_GLOBAL', `STACK_GLOBAL over ${kindOf(module)} and ${kindOf(name)} instead of two strings`);
    this.#push(this.#world.global(module.value, name.value, this));
  }

  #reduce(): void {
    const args = this.#pop();
    const callable = this.#pop();
    if (!isTuple(args)) this.fail('TORCH_REDUCE', `a call with ${kindOf(args)} instead of a tuple of arguments`);
    this.#push(this.#made(this.#world.reduce(callable, args, this)));
  }

  #build(): void {
    const state = this.#pop();
    this.#push(this.#world.build(this.#pop(), state, this));
  }
}

const hexByte = (byte: number): string => `0x${byte.toString(16).padStart(2, '0')}`;

/** Names of refused opcodes, for messages only. */
const forbiddenNames: ReadonlyMap<number, string> = new Map([
  [0x30, 'POP'], [0x31, 'POP_MARK'], [0x32, 'DUP'], [0x42, 'BINBYTES'], [0x43, 'SHORT_BINBYTES'], [0x46, 'FLOAT'], [0x49, 'INT'], [0x4c, 'LONG'],
  [0x50, 'PERSID'], [0x53, 'STRING'], [0x54, 'BINSTRING'], [0x55, 'SHORT_BINSTRING'], [0x56, 'UNICODE'], [0x64, 'DICT'], [0x67, 'GET'], [0x69, 'INST'],
  [0x6c, 'LIST'], [0x6f, 'OBJ'], [0x70, 'PUT'], [0x81, 'NEWOBJ'], [0x82, 'EXT1'], [0x83, 'EXT2'], [0x84, 'EXT4'], [0x8b, 'LONG4'], [0x8d, 'BINUNICODE8'],
  [0x8e, 'BINBYTES8'], [0x8f, 'EMPTY_SET'], [0x90, 'ADDITEMS'], [0x91, 'FROZENSET'], [0x92, 'NEWOBJ_EX'], [0x96, 'BYTEARRAY8'], [0x97, 'NEXT_BUFFER'], [0x98, 'READONLY_BUFFER'],
]);
