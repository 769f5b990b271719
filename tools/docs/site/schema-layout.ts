/** Draws a JSON Schema as the .ksy layouts are drawn: each object as a column of members, with type and rule of each. */
import { readFileSync } from 'node:fs';
import { drawBlocks, type Block, type Row } from './layout-svg.js';

/** The keywords that our schemas use; another one would not be drawn, and throws. */
export interface Schema {
  readonly title?: string;
  readonly type?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly minProperties?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly allOf?: readonly Schema[];
  readonly not?: Schema;
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
}

const drawn: ReadonlySet<string> = new Set(['$schema', 'title', 'description', 'type', 'required', 'properties', 'additionalProperties', 'minProperties', 'minimum', 'maximum', 'minLength', 'maxLength', 'pattern', 'allOf', 'not', '$ref', '$defs']);

function checkKeywords(schema: Schema): void {
  const unknown = Object.keys(schema).find((keyword) => !drawn.has(keyword));
  if (unknown !== undefined) throw new Error(`a drawing of a JSON Schema has no place for ${unknown}`);
}

const typeOf = ({ type, $ref }: Schema): string => $ref?.replace(/^#\/\$defs\//, '') ?? type ?? 'anything';
const bound = (value: number): string => (value === Number.MAX_SAFE_INTEGER ? '2^53 − 1' : String(value));

function rulesOf({ minimum, maximum, minLength, maxLength, minProperties }: Schema): string[] {
  const range = (low: number | undefined, high: number | undefined, what: string): string[] =>
    [...(low === undefined ? [] : [`≥ ${bound(low)}${what}`]), ...(high === undefined ? [] : [`≤ ${bound(high)}${what}`])];
  return [...range(minimum, maximum, ''), ...range(minLength, maxLength, ' characters'), ...range(minProperties, undefined, ' members')];
}

const row = (name: string, kind: Row['kind'], size: string, rules: readonly string[]): Row => ({ name, kind, size, ...(rules.length > 0 ? { rule: rules.join(', ') } : {}) });

/** Members in the order of the schema, those of inner objects by their path. */
function membersOf(schema: Schema, path: string): readonly Row[] {
  checkKeywords(schema);
  const { properties = {}, required = [], additionalProperties: others } = schema;
  const named = Object.entries(properties).flatMap(([key, member]) => [row(path + key, 'field', typeOf(member), [...(required.includes(key) ? ['required'] : []), ...rulesOf(member)]), ...membersOf(member, `${path}${key}.`)]);
  const rest = typeof others === 'object' ? [row(`${path}*`, 'many', `${typeOf(others)} × any name`, rulesOf(others))] : [];
  return others === false ? [...named, row(`${path}*`, 'place', 'no other member', [])] : [...named, ...rest];
}

/** A type by itself, and the patterns that its values match or must not match. */
function definitionOf(title: string, schema: Schema): Block {
  const parts = [schema, ...(schema.allOf ?? [])];
  for (const part of parts) checkKeywords(part);
  const patterns = parts.flatMap(({ pattern, not }) => [...(pattern === undefined ? [] : [row('matches', 'field', pattern, [])]), ...(not?.pattern === undefined ? [] : [row('does not match', 'field', not.pattern, [])])]);
  return { title, rows: [row(typeOf(schema), 'field', 'value', rulesOf(schema)), ...patterns] };
}

export function schemaBlocks(schema: Schema): readonly Block[] {
  const definitions = Object.entries(schema.$defs ?? {}).map(([name, definition]) => definitionOf(name, definition));
  return [{ title: schema.title ?? typeOf(schema), rows: membersOf(schema, '') }, ...definitions];
}

export const schemaSvg = (file: URL, label: string): string => drawBlocks(schemaBlocks(JSON.parse(readFileSync(file, 'utf8')) as Schema), label);
