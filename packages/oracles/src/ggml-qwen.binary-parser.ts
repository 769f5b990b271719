/**
 * Reads qwen.cpp's container with binary-parser, front to back as qwen.cpp does: each record says where the next one is, and
 * the clauses of specs/ggml-qwen/README.md are held against what it says. Independent of the production reader, which
 * derives every place from the header instead, and of the .ksy file.
 */
// The main entry of binary-parser leads an ES module to no types; its CommonJS file does.
import { Parser } from 'binary-parser/dist/binary_parser.js';
import { ggmlQwenFields, type GgmlQwenHeader, type GgmlQwenReading, type GgmlQwenTensor } from './ggml-qwen.reading.js';
import { openBytes, type SyncBytes } from './sync-bytes.js';

/** Names, elements per block and bytes per block, by type number (G-2.3, G-4.1). */
const types = new Map<number, { readonly name: string; readonly elements: number; readonly bytes: number }>([
  [0, { name: 'F32', elements: 1, bytes: 4 }],
  [1, { name: 'F16', elements: 1, bytes: 2 }],
  [2, { name: 'Q4_0', elements: 32, bytes: 2 + 16 }],
  [3, { name: 'Q4_1', elements: 32, bytes: 4 + 16 }],
  [6, { name: 'Q5_0', elements: 32, bytes: 2 + 4 + 16 }],
  [7, { name: 'Q5_1', elements: 32, bytes: 4 + 4 + 16 }],
  [8, { name: 'Q8_0', elements: 32, bytes: 2 + 32 }],
]);

/** `transformer.h.4095.attn.c_attn.weight`: no right name is longer. */
const LONGEST_NAME = 38;

const little = () => Parser.start().endianness('little');
const fileHeader = ggmlQwenFields.reduce((parser, field) => parser.int32(field), little().string('magic', { length: 4, encoding: 'latin1' }));
const nameLength = little().int32('len_name');
const recordStart = little().int32('len_name').string('name', { length: 'len_name', encoding: 'latin1' }).int32('num_dims');
/** By the number of dimensions, one or two. */
const recordEnds = [1, 2].map((count) => little().array('dims', { type: 'int32le', length: count }).int32('type'));

/** Carries the clause that a file breaks. */
class Refused extends Error {}

function demand(holds: boolean, clause: string): void {
  if (!holds) throw new Refused(clause);
}

/** Reads an array or the file at a path. Reads record headers only, no tensor data. */
export function readGgmlQwenWithBinaryParser(input: Uint8Array | string): GgmlQwenReading {
  const source = openBytes(input);
  try {
    return readFile(source);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { accepted: false, reason: error.message };
  } finally {
    source.close();
  }
}

function readFile(source: SyncBytes): GgmlQwenReading {
  const parse = (parser: Parser, offset: number, length: number): unknown => {
    demand(offset + length <= source.size, `G-1.3: the file ends inside [${offset}, ${offset + length})`);
    return parser.parse(source.read(offset, length));
  };
  const { magic, ...header } = parse(fileHeader, 0, 52) as GgmlQwenHeader & { readonly magic: string };
  demand(magic === 'ggml', 'G-2.1');
  checkHeader(header);

  const directory: GgmlQwenTensor[] = [];
  let ffn: number | undefined;
  let position = 52;
  for (const expected of namesInOrder(header.num_hidden_layers)) {
    const { len_name: length } = parse(nameLength, position, 4) as { len_name: number };
    demand(length >= 1 && length <= LONGEST_NAME, `G-3.1: a name of ${length} bytes`);
    const { name, num_dims: dimensionCount } = parse(recordStart, position, 4 + length + 4) as { name: string; num_dims: number };
    demand(name === expected, `G-3.2: ${JSON.stringify(name)} for ${expected}`);
    demand(dimensionCount === 1 || dimensionCount === 2, `G-3.1: ${dimensionCount} dimensions`);
    const endOffset = position + 4 + length + 4;
    const { dims: shape, type } = parse(recordEnds[dimensionCount - 1]!, endOffset, 4 * dimensionCount + 4) as { dims: number[]; type: number };
    // G-2.7: either the doubled number or, with a warning, the number itself.
    if (name.endsWith('w1.weight')) ffn ??= shape[0] === header.intermediate_size ? shape[0] : header.intermediate_size / 2;
    demand(shape.join() === shapeOf(name, header, ffn).join(), `G-3.2: ${name} [${shape.join()}]`);
    demand(type === (dimensionCount === 1 ? 0 : header.ggml_type), `G-3.3: ${name} has type ${type}`);

    const { name: dtype, elements, bytes } = types.get(type)!;
    const dataOffset = nextMultipleOf16(endOffset + 4 * dimensionCount + 4);
    const dataLength = (shape.reduce((product, n) => product * BigInt(n), 1n) / BigInt(elements)) * BigInt(bytes);
    demand(BigInt(dataOffset) + dataLength <= BigInt(source.size), `G-1.3: the file ends inside ${name}`);
    directory.push({ name, dtype, shape, offset: dataOffset, length: Number(dataLength) });
    position = dataOffset + Number(dataLength);
  }
  demand(position === source.size, `G-1.3: ${source.size - position} bytes follow the last tensor`);
  return { accepted: true, header, doubled: ffn === header.intermediate_size / 2, directory };
}

function nextMultipleOf16(offset: number): number {
  const beyond = offset % 16;
  return beyond === 0 ? offset : offset + 16 - beyond;
}

function checkHeader(header: GgmlQwenHeader): void {
  const type = types.get(header.ggml_type);
  demand(type !== undefined, `G-2.3: ${header.ggml_type}`);
  for (const field of ['vocab_size', 'hidden_size', 'num_attention_heads', 'num_kv_heads', 'num_hidden_layers', 'intermediate_size', 'max_length'] as const) {
    demand(header[field] > 0, `G-2.4: ${field} = ${header[field]}`);
  }
  const { hidden_size: hidden, num_attention_heads: heads, intermediate_size: intermediate } = header;
  demand(header.num_hidden_layers <= 4096, 'G-1.4');
  demand(hidden % (2 * heads) === 0, 'G-2.5');
  demand(header.num_kv_heads === heads, 'G-2.6');
  demand(intermediate % 2 === 0, 'G-2.7');
  demand(hidden % type!.elements === 0 && intermediate % (2 * type!.elements) === 0, 'G-2.8');
}

/** G-3.2. */
function* namesInOrder(layerCount: number): Generator<string> {
  yield 'transformer.wte.weight';
  for (let layer = 0; layer < layerCount; layer++) {
    for (const part of ['ln_1.weight', 'attn.c_attn.weight', 'attn.c_attn.bias', 'attn.c_proj.weight', 'ln_2.weight', 'mlp.w1.weight', 'mlp.w2.weight', 'mlp.c_proj.weight']) {
      yield `transformer.h.${layer}.${part}`;
    }
  }
  yield 'transformer.ln_f.weight';
  yield 'lm_head.weight';
}

/** G-3.2, by the end of the name. */
function shapeOf(name: string, { vocab_size: vocab, hidden_size: hidden }: GgmlQwenHeader, ffn = 0): number[] {
  if (/(wte|lm_head)\.weight$/.test(name)) return [vocab, hidden];
  if (name.endsWith('c_attn.weight')) return [3 * hidden, hidden];
  if (name.endsWith('c_attn.bias')) return [3 * hidden];
  if (name.endsWith('attn.c_proj.weight')) return [hidden, hidden];
  if (name.endsWith('mlp.c_proj.weight')) return [hidden, ffn];
  return /w[12]\.weight$/.test(name) ? [ffn, hidden] : [hidden];
}
