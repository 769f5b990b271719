/**
 * The three ways in which these models' weights are named. Meta's are the names in a Program (llama2.c has them too).
 * Sources: meta-llama/llama model.py, transformers modeling_llama.py and modeling_qwen2.py, QwenLM/Qwen modeling_qwen.py.
 */
export type NameScheme = 'meta' | 'hf' | 'qwen1';

/** One weight in each scheme, `{n}` being the layer. */
interface NameRow {
  readonly meta: string;
  readonly hf: string;
  readonly qwen1: string;
  /** In Qwen 1 this weight is the first, second or last third of the rows: q, k and v are one matrix. */
  readonly qwen1Third?: 0 | 1 | 2;
}

/** Qwen's w2 is the gate and its w1 is not: c_proj(w1(x) · SiLU(w2(x))), while Meta has w2(SiLU(w1(x)) · w3(x)). */
export const nameTable: readonly NameRow[] = [
  { meta: 'tok_embeddings.weight', hf: 'model.embed_tokens.weight', qwen1: 'transformer.wte.weight' },
  { meta: 'layers.{n}.attention_norm.weight', hf: 'model.layers.{n}.input_layernorm.weight', qwen1: 'transformer.h.{n}.ln_1.weight' },
  { meta: 'layers.{n}.attention.wq.weight', hf: 'model.layers.{n}.self_attn.q_proj.weight', qwen1: 'transformer.h.{n}.attn.c_attn.weight', qwen1Third: 0 },
  { meta: 'layers.{n}.attention.wk.weight', hf: 'model.layers.{n}.self_attn.k_proj.weight', qwen1: 'transformer.h.{n}.attn.c_attn.weight', qwen1Third: 1 },
  { meta: 'layers.{n}.attention.wv.weight', hf: 'model.layers.{n}.self_attn.v_proj.weight', qwen1: 'transformer.h.{n}.attn.c_attn.weight', qwen1Third: 2 },
  { meta: 'layers.{n}.attention.wq.bias', hf: 'model.layers.{n}.self_attn.q_proj.bias', qwen1: 'transformer.h.{n}.attn.c_attn.bias', qwen1Third: 0 },
  { meta: 'layers.{n}.attention.wk.bias', hf: 'model.layers.{n}.self_attn.k_proj.bias', qwen1: 'transformer.h.{n}.attn.c_attn.bias', qwen1Third: 1 },
  { meta: 'layers.{n}.attention.wv.bias', hf: 'model.layers.{n}.self_attn.v_proj.bias', qwen1: 'transformer.h.{n}.attn.c_attn.bias', qwen1Third: 2 },
  { meta: 'layers.{n}.attention.wo.weight', hf: 'model.layers.{n}.self_attn.o_proj.weight', qwen1: 'transformer.h.{n}.attn.c_proj.weight' },
  { meta: 'layers.{n}.ffn_norm.weight', hf: 'model.layers.{n}.post_attention_layernorm.weight', qwen1: 'transformer.h.{n}.ln_2.weight' },
  { meta: 'layers.{n}.feed_forward.w1.weight', hf: 'model.layers.{n}.mlp.gate_proj.weight', qwen1: 'transformer.h.{n}.mlp.w2.weight' },
  { meta: 'layers.{n}.feed_forward.w3.weight', hf: 'model.layers.{n}.mlp.up_proj.weight', qwen1: 'transformer.h.{n}.mlp.w1.weight' },
  { meta: 'layers.{n}.feed_forward.w2.weight', hf: 'model.layers.{n}.mlp.down_proj.weight', qwen1: 'transformer.h.{n}.mlp.c_proj.weight' },
  { meta: 'norm.weight', hf: 'model.norm.weight', qwen1: 'transformer.ln_f.weight' },
  { meta: 'output.weight', hf: 'lm_head.weight', qwen1: 'lm_head.weight' },
];

const layerNumber = /(?<=^|\.)\d+(?=\.)/;
const rowOfMetaName = new Map(nameTable.map((row) => [row.meta, row]));

/** Where a scheme keeps a weight: a tensor, or a third of its rows. */
export interface StoredName {
  readonly name: string;
  readonly third?: 0 | 1 | 2;
}

/** The scheme's name for the weight that Meta calls `metaName`. Throws RangeError for a name that is in no row. */
export function storedName(metaName: string, scheme: NameScheme): StoredName {
  const row = rowOfMetaName.get(metaName.replace(layerNumber, '{n}'));
  if (!row) throw new RangeError(`${JSON.stringify(metaName)} is no weight of these architectures`);
  const layer = layerNumber.exec(metaName)?.[0] ?? '';
  const name = row[scheme].replace('{n}', layer);
  return scheme === 'qwen1' && row.qwen1Third !== undefined ? { name, third: row.qwen1Third } : { name };
}

/** Meta's names for what a tensor of `scheme` holds: one, three for Qwen's c_attn, none for a tensor that is no weight. */
export function metaNames(name: string, scheme: NameScheme): string[] {
  const pattern = name.replace(layerNumber, '{n}');
  const layer = layerNumber.exec(name)?.[0] ?? '';
  return nameTable.filter((row) => row[scheme] === pattern).map((row) => row.meta.replace('{n}', layer));
}

/** The scheme by which `names` call their token embedding, if it is one of the three. */
export function nameSchemeOf(names: Iterable<string>): NameScheme | undefined {
  const present = new Set(names);
  const [embedding] = nameTable;
  return (['meta', 'hf', 'qwen1'] as const).find((scheme) => present.has(embedding![scheme]));
}
