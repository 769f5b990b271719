import { groupBy } from './group-by.js';

/** Tensors as a tree of bytes: layers, and what is in each. */
export interface TreeTensor {
  readonly name: string;
  readonly byteLength: number;
}

export interface TreeNode {
  readonly label: string;
  readonly byteLength: number;
  /** Of a leaf: the tensor's whole name. */
  readonly tensor?: string;
  readonly role: Role;
  readonly children?: readonly TreeNode[];
}

/** What a tensor is for, by the names of Meta, Hugging Face and Qwen. */
export const roles = ['embedding', 'attention', 'feed-forward', 'norm', 'other'] as const;
export type Role = (typeof roles)[number];

const patterns: readonly (readonly [Role, RegExp])[] = [
  ['norm', /norm|(^|\.)ln_/],
  ['embedding', /embed|(^|\.)wte\b|lm_head|^output\./],
  ['attention', /attn|attention/],
  ['feed-forward', /mlp|feed_forward|ffn/],
];

export const roleOf = (name: string): Role => patterns.find(([, pattern]) => pattern.test(name))?.[0] ?? 'other';

/** Up to the first number that is a part of its own: `model.layers.12`. */
const layer = /^((?:[^.]+\.)*?\d+)\.(.+)$/;

/** With more tensors than this, a layer's are put together by what they are for: the areas of single ones could not be seen. */
const MOST_LEAVES = 2000;

export function treeOf(tensors: readonly TreeTensor[]): TreeNode[] {
  const groups = groupBy(tensors, ({ name }) => layer.exec(name)?.[1] ?? '');
  const leaf = ({ name, byteLength }: TreeTensor): TreeNode => ({ label: layer.exec(name)?.[2] ?? name, byteLength, tensor: name, role: roleOf(name) });
  return [...groups].flatMap(([group, inside]): TreeNode[] => {
    const children = tensors.length > MOST_LEAVES ? byRole(inside.map(leaf)) : inside.map(leaf);
    if (group === '') return children;
    return [{ label: group, byteLength: bytesOf(inside), role: 'other', children }];
  });
}

const bytesOf = (parts: readonly { readonly byteLength: number }[]): number => parts.reduce((sum, { byteLength }) => sum + byteLength, 0);

/** Single ones stay as they are. */
function byRole(leaves: readonly TreeNode[]): TreeNode[] {
  return [...groupBy(leaves, ({ role }) => role)].flatMap(([role, inside]) => (inside.length === 1 ? inside : [{ label: `${role}, ${inside.length} tensors`, byteLength: bytesOf(inside), role: inside[0]!.role }]));
}
