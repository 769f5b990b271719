/**
 * Takes the fixed records out of the .ksy specifications: field names and sizes, in the order of the file. What a
 * specification computes (places of tensors, checks, conditions) has no bytes of its own there and is left out.
 */
import { readFileSync } from 'node:fs';
import { load as parseYaml } from 'js-yaml';

interface Attribute {
  readonly id: string;
  readonly type?: string | { readonly 'switch-on': string; readonly cases: Readonly<Record<string, string>> };
  readonly terminator?: number;
  readonly size?: number | string;
  readonly contents?: unknown;
  readonly repeat?: string;
  readonly if?: string;
}

interface Structure {
  readonly meta?: { readonly imports?: readonly string[] };
  readonly seq?: readonly Attribute[];
  readonly types?: Readonly<Record<string, Structure>>;
  readonly enums?: Readonly<Record<string, Readonly<Record<number, string>>>>;
}

/** A field and its size: a primitive type of Kaitai Struct, a number of bytes, or the field that holds that number. */
export type LayoutField = readonly [name: string, size: number | string];

const folderOf = (specification: string): string => (specification.startsWith('llama2c') ? 'llama2c' : specification.startsWith('ggml') ? 'ggml-qwen' : specification.startsWith('torch') ? 'torch-checkpoint' : specification);
const read = (specs: URL, specification: string): Structure => parseYaml(readFileSync(new URL(`${folderOf(specification)}/${specification}.ksy`, specs), 'utf8')) as Structure;

/** The records whose fields a report names: a specification, or one of its types. */
const records: readonly string[] = [
  'llama2c_v0', 'llama2c_ak42_header',
  ...[1, 2, 3, 4, 5].map((generation) => `llama2c_tokenizer_gen${generation}`), ...[2, 3, 4, 5].map((generation) => `llama2c_tokenizer_gen${generation}.token`),
  'ggml_qwen', 'ggml_qwen.vector_record', 'ggml_qwen.matrix_record',
  'safetensors',
  ...['end_of_central_directory', 'zip64_locator', 'zip64_end', 'central_entry', 'local_header', 'extra_field'].map((type) => `torch_zip.${type}`),
];

function fieldsOf({ seq = [] }: Structure, types: Readonly<Record<string, Structure>>): LayoutField[] {
  const fields: LayoutField[] = [];
  for (const { id, type, size, contents, repeat, if: condition } of seq) {
    if (repeat !== undefined || condition !== undefined || typeof type === 'object') break;
    const bytes = size ?? (typeof contents === 'string' ? contents.length : undefined);
    if (bytes !== undefined) fields.push([id, typeof bytes === 'string' && /^\d+$/.test(bytes) ? Number(bytes) : bytes]);
    else if (/^[usf][1248]$/.test(type ?? '')) fields.push([id, type!]);
    else fields.push(...fieldsOf(types[type!.replace(/\(.*$/s, '')] ?? {}, types));
  }
  return fields.filter(([, bytes]) => bytes !== 0);
}

/** Types that a specification can name: its own, and those of what it imports as `file::type`. */
function typesOf(specs: URL, structure: Structure): Record<string, Structure> {
  const imported = (structure.meta?.imports ?? []).flatMap((name) => Object.entries(read(specs, name).types ?? {}).map(([type, body]) => [`${name}::${type}`, body] as const));
  // A check takes no bytes.
  return Object.fromEntries([...imported, ...Object.entries(structure.types ?? {})].filter(([name]) => !/(^|::)check$/.test(name)));
}

/** `specs`: the folder of that name, with a slash at its end. */
export function layoutRecords(specs: URL): Readonly<Record<string, readonly LayoutField[]>> {
  return Object.fromEntries(records.map((record) => {
    const [file = '', type] = record.split('.');
    const structure = read(specs, file);
    return [record, fieldsOf(type === undefined ? structure : structure.types![type]!, typesOf(specs, structure))];
  }));
}

/** An opcode of a pickle: its name in CPython, and the form of its argument if it has one. */
type Opcode = readonly [code: number, name: string, argument?: string];

/** `u1` for a number, `u4 bytes` for bytes behind their count, `line`, `two lines`. */
function argumentOf({ seq = [] }: Structure): string {
  const [first] = seq;
  if (first?.terminator !== undefined) return seq.length === 2 ? 'two lines' : 'line';
  if (typeof first?.type !== 'string') throw new Error('an argument of an opcode begins with no number');
  return `${first.type}${seq.length === 2 ? ' bytes' : ''}`;
}

function pickleOpcodes(specs: URL): readonly Opcode[] {
  const { types = {}, enums = {} } = read(specs, 'torch_pickle');
  const argument = types.opcode?.seq?.find(({ id }) => id === 'argument')?.type;
  const cases = typeof argument === 'object' ? argument.cases : {};
  return Object.entries(enums.code ?? {}).map(([code, name]) => {
    const type = cases[`code::${name}`];
    return [Number(code), name.toUpperCase(), ...(type === undefined ? [] : [argumentOf(types[type]!)])] as unknown as Opcode;
  });
}

/** packages/formats/src/fields/layouts.ts. */
export function renderLayouts(specs: URL): string {
  const field = ([name, size]: LayoutField): string => `['${name}', ${typeof size === 'number' ? size : `'${size}'`}]`;
  const opcode = ([code, name, argument]: Opcode): string => `  0x${code.toString(16)}: ['${name}'${argument === undefined ? '' : `, '${argument}'`}],`;
  const rows = Object.entries(layoutRecords(specs)).map(([record, fields]) => `  ${record.includes('.') ? `'${record}'` : record}: [${fields.map(field).join(', ')}],`);
  return `/**
 * The fixed records of the formats, field by field. Generated from specs/ by \`npm run docs\`; do not edit.
 * A size is a primitive type of Kaitai Struct, a number of bytes, or the field of the record that holds that number.
 */
export const layouts = {
${rows.join('\n')}
} as const satisfies Readonly<Record<string, readonly (readonly [name: string, size: number | string])[]>>;

export type LayoutName = keyof typeof layouts;

/** The form of an opcode's argument: a number, bytes behind their count, or lines. */
export type OpcodeArgument = \`\${'u1' | 'u4' | 'u8' | 's4'} bytes\` | 'u1' | 'u2' | 'u4' | 'u8' | 's4' | 'f8be' | 'line' | 'two lines';

/** The opcodes of a pickle by their byte: name and argument. */
export const opcodes: Readonly<Record<number, readonly [name: string, argument?: OpcodeArgument]>> = {
${pickleOpcodes(specs).map(opcode).join('\n')}
};
`;
}
