/** Draws a .ksy specification: each structure as a column of fields from top to bottom, with offset, size and rule of each. */
import { readFileSync } from 'node:fs';
import { load as parseYaml } from 'js-yaml';

type Scalar = string | number | boolean;

interface Rule {
  readonly min?: Scalar;
  readonly max?: Scalar;
  readonly 'any-of'?: readonly Scalar[];
  readonly expr?: string;
}

/** A type that another field decides. */
interface Switch {
  readonly 'switch-on': string;
  readonly cases: Readonly<Record<string, string>>;
}

interface Attribute {
  readonly id: string;
  readonly type?: string | Switch;
  readonly enum?: string;
  readonly terminator?: number;
  readonly size?: Scalar;
  readonly contents?: unknown;
  readonly repeat?: string;
  readonly 'repeat-expr'?: Scalar;
  readonly if?: string;
  readonly pos?: Scalar;
  readonly valid?: Rule | Scalar;
}

export interface Structure {
  readonly meta?: { readonly id?: string; readonly title?: string; readonly imports?: readonly string[] };
  readonly seq?: readonly Attribute[];
  readonly instances?: Readonly<Record<string, Omit<Attribute, 'id'>>>;
  readonly types?: Readonly<Record<string, Structure>>;
  readonly enums?: Readonly<Record<string, Readonly<Record<number, string>>>>;
}

/** One line of a drawing. */
export interface Row {
  readonly name: string;
  /** Bytes, where they are fixed; else in words. */
  readonly size: number | string;
  readonly offset?: number;
  readonly rule?: string;
  readonly kind: 'field' | 'place' | 'many';
}

export interface Block {
  readonly title: string;
  readonly rows: readonly Row[];
}

const primitiveBytes = (type: string): number | undefined => (/^[usf][1248](le|be)?$/.test(type) ? Number(type[1]) : undefined);
/** Casts and the way to the root say nothing to a reader. */
const plain = (expression: Scalar): string => String(expression).replaceAll(/\.as<\w+>/g, '').replaceAll(/\b(_root\.|config\.|header\.|llama2c_types::)/g, '').replaceAll(/\((\d+)\)/g, '$1');

function ruleOf(valid: Attribute['valid'], contents: unknown): string | undefined {
  if (contents !== undefined) return `= ${typeof contents === 'string' ? JSON.stringify(contents) : (contents as readonly number[]).map((byte) => byte.toString(16).padStart(2, '0')).join(' ')}`;
  if (valid === undefined) return undefined;
  if (typeof valid !== 'object') return `= ${typeof valid === 'number' && valid > 9999 ? `0x${valid.toString(16)}` : plain(valid)}`;
  const { min, max, 'any-of': anyOf, expr } = valid;
  return [min === undefined ? '' : `≥ ${min}`, max === undefined ? '' : `≤ ${max}`, anyOf ? anyOf.join(', ') : '', expr === undefined ? '' : plain(expr)].filter((part) => part !== '').join(', ');
}

/** `f32_matrix [num_vocab, dim]` of `f32_matrix(28, config.num_vocab, config.dim)`: the first argument of a place is where it lies. */
function placeText(type: string): string {
  const [, name = type, inside = ''] = /^([\w:]+)\((.*)\)$/s.exec(type) ?? [];
  const depths = (text: string) => text.split('(').length - text.split(')').length;
  const parts = inside.split(',').reduce<string[]>((list, part) => (list.length > 0 && depths(list.at(-1)!) > 0 ? [...list.slice(0, -1), `${list.at(-1)},${part}`] : [...list, part]), []);
  const shape = parts.map((part) => plain(part.trim())).filter((part) => !/ofs|^\d+$|_index|^"|name_|prefix|true|false/.test(part) && part !== '');
  return `${plain(name)}${shape.length > 0 ? ` [${shape.join(', ')}]` : ''}`;
}

type Types = ReadonlyMap<string, Structure>;
const nameOf = (type: Attribute['type']): string | undefined => (typeof type === 'object' ? undefined : type);
const isCheck = ({ type }: Attribute): boolean => /(^|::)check\(/.test(nameOf(type) ?? '');
const bare = (type: string): string => type.replace(/\(.*$/s, '');
const hasBytes = (structure: Structure | undefined): boolean => (structure?.seq ?? []).some((attribute) => !isCheck(attribute));

/** Rows of a sequence; structures of fixed fields are drawn in place, others as one row and a block of their own. */
function rowsOf(structure: Structure, types: Types, start: number | undefined): { readonly rows: readonly Row[]; readonly end: number | undefined } {
  const rows: Row[] = [];
  let offset = start;
  const advance = (bytes: number | undefined): void => {
    offset = offset === undefined || bytes === undefined ? undefined : offset + bytes;
  };
  for (const attribute of structure.seq ?? []) {
    if (isCheck(attribute)) continue;
    const { id, size, contents, repeat, 'repeat-expr': times, if: condition, valid } = attribute;
    const type = nameOf(attribute.type);
    const at = offset === undefined ? {} : { offset };
    const rule = [condition === undefined ? '' : `if ${plain(condition)}`, ruleOf(valid, contents) ?? ''].filter((part) => part !== '').join('; ');
    const named = { name: id, ...at, ...(rule === '' ? {} : { rule }) };
    const inner = type === undefined ? undefined : types.get(bare(type));
    if (repeat !== undefined) {
      rows.push({ ...named, kind: 'many', size: `${type === undefined ? '' : placeText(type)} × ${times === undefined ? 'to the end' : plain(times)}` });
      advance(undefined);
    } else if (type !== undefined && inner && !hasBytes(inner)) rows.push({ ...named, kind: 'place', size: placeText(type) });
    else if (inner && size === undefined && condition === undefined) {
      const nested = rowsOf(inner, types, offset);
      rows.push(...nested.rows);
      offset = nested.end;
    } else {
      const bytes = primitiveBytes(type ?? '') ?? (typeof size === 'number' ? size : typeof contents === 'string' ? contents.length : Array.isArray(contents) ? contents.length : undefined);
      rows.push({ ...named, kind: 'field', size: bytes ?? variableSize(attribute) });
      advance(condition === undefined ? bytes : undefined);
    }
  }
  return { rows, end: offset };
}

/** The size of a field that is not fixed, in words. */
function variableSize({ size, type, terminator }: Attribute): string {
  if (typeof type === 'object') return `by ${plain(type['switch-on'])}`;
  return terminator === undefined ? plain(size ?? type ?? '') : `up to the byte 0x${terminator.toString(16).padStart(2, '0')}`;
}

/** What a field can be by the values of another: `PROTO`, when `code` is 0x80, is followed by `number_u1`. */
function casesOf(root: Structure): readonly Block[] {
  const attributes = [root, ...Object.values(root.types ?? {})].flatMap(({ seq = [] }) => seq);
  return attributes.flatMap(({ id, type }) => {
    if (typeof type !== 'object') return [];
    const { 'switch-on': by, cases } = type;
    const [[title, values] = ['', {}]] = Object.entries(root.enums ?? {}).filter(([name]) => attributes.some((attribute) => attribute.id === by && attribute.enum === name));
    const rows = Object.entries(values).map(([value, name]): Row => ({ name: name.toUpperCase(), kind: 'field', size: cases[`${title}::${name}`] ?? `no ${id}`, rule: `${by} = 0x${Number(value).toString(16).padStart(2, '0')}` }));
    return [{ title: `${id} by ${by}`, rows }];
  });
}

/** Structures that are found by their place: `pos` of an instance. */
function placesOf({ instances = {} }: Structure, types: Types): readonly Row[] {
  return Object.entries(instances).flatMap(([name, { pos, type: given, size, repeat, 'repeat-expr': times }]): Row[] => {
    if (pos === undefined) return [];
    const type = nameOf(given);
    const what = type !== undefined && types.has(bare(type)) ? placeText(type) : (type ?? plain(size ?? ''));
    return [{ name, kind: repeat === undefined ? 'place' : 'many', size: repeat === undefined ? what : `${what} × ${plain(times ?? 'to the end')}`, rule: `at ${plain(pos)}` }];
  });
}

/** The drawing in words: what stands in which block. `read` gives a specification by its id. */
export function blocksOf(specification: string, read: (id: string) => Structure): readonly Block[] {
  const root = read(specification);
  const imported = (root.meta?.imports ?? []).flatMap((id) => Object.entries(read(id).types ?? {}).map(([name, type]) => [`${id}::${name}`, type] as const));
  const own = Object.entries(root.types ?? {});
  const siblings = imported.map(([name, type]) => [name.replace(/^.*::/, ''), type] as const);
  const wholeFiles = (root.meta?.imports ?? []).map((id) => [id, read(id)] as const);
  const types: Types = new Map([...siblings, ...wholeFiles, ...imported, ...own]);
  const block = (title: string, structure: Structure, start: number | undefined): Block => ({ title, rows: [...rowsOf(structure, types, start).rows, ...placesOf(structure, types)] });
  const usedInPlace = new Set((root.seq ?? []).filter(({ repeat, size }) => repeat === undefined && size === undefined).map(({ type }) => bare(nameOf(type) ?? '')));
  const blocks = [block(root.meta?.title ?? specification, root, 0), ...own.filter(([name]) => name !== 'check' && !(usedInPlace.has(name) && hasBytes(types.get(name)))).map(([name, type]) => block(name, type, undefined))];
  return [...blocks, ...casesOf(root)].filter(({ rows }) => rows.length > 0);
}

const rowHeight = 24;
const width = 1040;
const boxLeft = 96;
const boxWidth = 260;
const fills: Readonly<Record<Row['kind'], string>> = { field: '#4a90d9', place: '#4caf7a', many: '#b07cd8' };
const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
const shortened = (text: string, characters: number): string => (text.length > characters ? `${text.slice(0, characters - 1)}…` : text);

function drawRow({ name, size, offset, rule, kind }: Row, y: number): string {
  const middle = y + rowHeight / 2 + 4;
  const bytes = typeof size === 'number' ? `${size} ${size === 1 ? 'byte' : 'bytes'}` : size;
  const title = `${name}: ${bytes}${rule === undefined ? '' : `; ${rule}`}`;
  return `<g><title>${escape(title)}</title>${offset === undefined ? '' : `<text x="${boxLeft - 10}" y="${middle}" text-anchor="end" opacity="0.7">${offset}</text>`}
<rect x="${boxLeft}" y="${y}" width="${boxWidth}" height="${rowHeight}" fill="${fills[kind]}" fill-opacity="0.22" stroke="currentColor" stroke-opacity="0.5"${kind === 'many' ? ' stroke-dasharray="4 2"' : ''}/>
<text x="${boxLeft + 8}" y="${middle}" font-weight="bold">${escape(shortened(name, 32))}</text>
<text x="${boxLeft + boxWidth + 12}" y="${middle}">${escape(shortened(bytes, 42))}</text>${rule === undefined ? '' : `<text x="${boxLeft + boxWidth + 330}" y="${middle}" opacity="0.7">${escape(shortened(rule, 46))}</text>`}</g>`;
}

/** One SVG with all blocks, one below the other. Colours of text follow the page. */
export function drawBlocks(blocks: readonly Block[], label: string): string {
  let y = 4;
  const parts = blocks.map(({ title, rows }) => {
    const head = `<text x="${boxLeft}" y="${y + 16}" font-size="14">${escape(title)}</text>`;
    y += rowHeight;
    const drawn = rows.map((row) => {
      const text = drawRow(row, y);
      y += rowHeight;
      return text;
    });
    y += 18;
    return [head, ...drawn].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" role="img" aria-label="${escape(label)}" font-family="ui-monospace, monospace" font-size="12" fill="currentColor">
${parts.join('\n')}
</svg>`;
}

/** The drawing of specs/`folder`/`id`.ksy. `specs`: that folder, with a slash at its end. */
export function layoutSvg(specs: URL, folder: string, id: string): string {
  const read = (name: string): Structure => parseYaml(readFileSync(new URL(`${folder}/${name}.ksy`, specs), 'utf8')) as Structure;
  return drawBlocks(blocksOf(id, read), `Layout of ${id}`);
}
