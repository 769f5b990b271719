/** Which linear layers share an input, and what that input comes out of (specs/smoothquant#S-3.4). */

/** Modules are named without `.weight`. */
export interface SmoothingGroup {
  /** What is divided by the group's migration scale: a norm, or the linear layer before. */
  readonly before: { readonly kind: 'norm' | 'linear'; readonly name: string };
  /** Linear layers whose columns are multiplied, in the order in which their rows are averaged. Statistics are those of the first. */
  readonly layers: readonly string[];
}

interface Template {
  /** Of every decoder layer; `{n}` is its number. */
  readonly prefix: string;
  readonly groups: readonly SmoothingGroup[];
}

const norm = (name: string, ...layers: readonly string[]): SmoothingGroup => ({ before: { kind: 'norm', name }, layers });
const linear = (name: string, layer: string): SmoothingGroup => ({ before: { kind: 'linear', name }, layers: [layer] });

const templates: readonly Template[] = [
  {
    prefix: 'model.layers.{n}.',
    groups: [
      norm('input_layernorm', 'self_attn.k_proj', 'self_attn.q_proj', 'self_attn.v_proj'),
      norm('post_attention_layernorm', 'mlp.gate_proj', 'mlp.up_proj'),
      linear('self_attn.v_proj', 'self_attn.o_proj'),
      linear('mlp.up_proj', 'mlp.down_proj'),
    ],
  },
  {
    prefix: 'transformer.h.{n}.',
    groups: [norm('ln_1', 'attn.c_attn'), norm('ln_2', 'mlp.w1', 'mlp.w2'), linear('attn.c_attn', 'attn.c_proj'), linear('mlp.w1', 'mlp.c_proj')],
  },
];

/** Splits `{prefix}{n}.rest`. */
function layerOf(name: string, { prefix }: Template): { readonly layer: number; readonly prefix: string; readonly rest: string } | undefined {
  const start = prefix.slice(0, prefix.indexOf('{n}'));
  if (!name.startsWith(start)) return undefined;
  const number = /^(\d+)\./.exec(name.slice(start.length));
  if (!number) return undefined;
  const end = start.length + number[0].length;
  return { layer: Number(number[1]), prefix: name.slice(0, end), rest: name.slice(end) };
}

/** The groups of every decoder layer that `tensorNames` have, in order; empty when they are no Llama's, Qwen2's or Qwen's. */
export function smoothingGroups(tensorNames: Iterable<string>): SmoothingGroup[] {
  const names = [...tensorNames];
  return templates.flatMap((template) => {
    const prefixes = new Map(names.flatMap((name) => {
      const found = layerOf(name, template);
      return found ? [[found.layer, found.prefix] as const] : [];
    }));
    return [...prefixes].toSorted(([a], [b]) => a - b).flatMap(([, prefix]) =>
      template.groups.map(({ before, layers }) => ({ before: { ...before, name: prefix + before.name }, layers: layers.map((layer) => prefix + layer) })));
  });
}

/** Whether `name` lies in a decoder layer. */
export const inDecoderLayer = (name: string): boolean => templates.some((template) => layerOf(name, template) !== undefined);
