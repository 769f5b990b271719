// TypeScript declarations of a Kaitai-generated parser. The compiler has no TypeScript target, but its Java names every
// type that it inferred, and its getters are spelled as the JavaScript properties are: so the Java is translated.

const primitives = { byte: 'number', short: 'number', int: 'number', long: 'number', float: 'number', double: 'number', boolean: 'boolean', 'byte[]': 'Uint8Array', Byte: 'number', Short: 'number', Integer: 'number', Long: 'number', Float: 'number', Double: 'number', Boolean: 'boolean', String: 'string', KaitaiStruct: 'unknown' };
const camel = (id) => id.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const pascal = (id) => camel(`_${id}`);

/** Classes of one Java file, outermost first: their dotted path, constructor parameters and getters. */
function classesOf(java) {
  const classes = [];
  const open = [];
  for (const line of java.split('\n')) {
    const indent = line.search(/\S/);
    while (open.length > 0 && line.trim() === '}' && open.at(-1).indent === indent) open.pop();
    const declared = /^ *public (?:static )?class (\w+) extends KaitaiStruct/.exec(line);
    if (declared) {
      const path = [...(open.length > 0 ? [open.at(-1).path] : []), declared[1]].join('.');
      open.push({ path, name: declared[1], indent, parameters: [], getters: [] });
      classes.push(open.at(-1));
      continue;
    }
    const current = open.at(-1);
    if (!current || indent !== current.indent + 4) continue;
    const constructor = /^ *public (\w+)\(KaitaiStream _io, [\w.]+ _parent, [\w.]+ _root(.*)\) {$/.exec(line);
    if (constructor) current.parameters = constructor[2].split(', ').filter(Boolean).map((parameter) => parameter.split(' '));
    const getter = /^ *public ([\w.<>[\]]+) ([a-z]\w*)\(\) {/.exec(line);
    if (getter) current.getters.push([getter[1], getter[2]]);
  }
  return classes;
}

/** `Class.property` of every attribute that has an `if` and may therefore be absent. */
function optionalsOf(ksy, path) {
  const attributes = [...(ksy.seq ?? []), ...Object.entries(ksy.instances ?? {}).map(([id, instance]) => ({ ...instance, id }))];
  return [
    ...attributes.filter((attribute) => attribute.if !== undefined).map(({ id }) => `${path}.${camel(id)}`),
    ...Object.entries(ksy.types ?? {}).flatMap(([id, type]) => optionalsOf(type, `${path}.${pascal(id)}`)),
  ];
}

/** The `.d.ts` of the parser that `ksy` compiles to, from its Java. */
export function declarationsFromJava(className, java, ksy) {
  const classes = classesOf(java);
  const optional = new Set(optionalsOf(ksy, className));
  const imported = new Set();
  const enums = new Set(Array.from(java.matchAll(/^ *public enum (\w+) {/gm), ([, name]) => name));
  const typeOf = (type, from) => {
    if (enums.has(type)) return 'number';
    const list = /^(?:List|ArrayList)<(.*)>$/.exec(type);
    if (list) return `readonly ${typeOf(list[1], from)}[]`;
    if (primitives[type]) return primitives[type];
    const own = classes.find(({ path }) => path === `${from}.${type}` || path === `${className}.${type}` || path === type);
    if (own) return own.path;
    const [outer] = type.split('.');
    imported.add(outer);
    return type;
  };
  const bodyOf = ({ path, parameters, getters }) => [
    `  constructor(io: unknown, parent?: unknown, root?: unknown${parameters.map(([type, name]) => `, ${name}?: ${typeOf(type, path)}`).join('')});`,
    ...getters.map(([type, name]) => `  readonly ${name}: ${typeOf(type, path)}${optional.has(`${path}.${name}`) ? ' | undefined' : ''};`),
  ];
  const declared = classes.map((entry) => {
    const outer = entry.path.split('.').slice(0, -1).join('.');
    const text = `class ${entry.name} {\n${bodyOf(entry).join('\n')}\n}`;
    return outer ? `export declare namespace ${outer} {\n${text}\n}` : `export declare ${text}`;
  });
  return `${[...imported].map((name) => `import type { ${name} } from './${name}.js';\n`).join('')}${declared.join('\n')}\n`;
}
