/** Which tool probably wrote a file: what `__metadata__` says, and how the header is laid out (S-8). */
import type { Producer, TensorInfo } from '@weightspec/core';
import { dtypeRank } from './dtypes.js';
import type { Header } from './header.js';

type Evidence = Producer['evidence'][number];

/** Values of the metadata key `format`, as the library's bindings and their users write it. */
const frameworks: ReadonlyMap<string, string> = new Map([
  ['pt', 'PyTorch, through safetensors (transformers, diffusers and others write format=pt)'],
  ['np', 'NumPy, through safetensors'],
  ['tf', 'TensorFlow, through safetensors'],
  ['flax', 'Flax, through safetensors'],
  ['jax', 'JAX, through safetensors'],
  ['paddle', 'PaddlePaddle, through safetensors'],
  ['mlx', 'MLX'],
]);

/** Metadata keys that one family of tools writes. */
const keyPrefixes: readonly (readonly [prefix: string, tool: string])[] = [
  ['ss_', 'kohya-ss sd-scripts'],
  ['modelspec.', 'a tool that writes Stability AI\'s ModelSpec metadata'],
];

export function guessProducer(header: Header, headerBytes: number): Producer {
  const evidence: Evidence[] = [];
  const names: string[] = [];
  for (const { key, value, byteRange } of header.metadata ?? []) {
    const prefix = keyPrefixes.find(([start]) => key.startsWith(start));
    const framework = key === 'format' ? frameworks.get(value) : undefined;
    const tool = framework ?? prefix?.[1];
    if (tool === undefined || names.includes(tool)) continue;
    names.push(tool);
    evidence.push({ message: framework ? `__metadata__ says format = ${value}` : `__metadata__ has keys that start with ${prefix![0]}`, byteRange });
  }
  const headerEvidence = layoutEvidence(header, headerBytes);
  evidence.push(headerEvidence.evidence);
  if (names.length === 0) names.push(headerEvidence.name);
  return { name: names.join('; '), evidence };
}

function layoutEvidence(header: Header, headerBytes: number): { name: string; evidence: Evidence } {
  const byteRange = [8, 8 + headerBytes] as const;
  if (!header.compact) return { name: 'another writer than the safetensors library', evidence: { message: 'the header holds white space between its tokens, which the safetensors library never writes', byteRange } };
  if (headerBytes % 8 === 0 && inLibraryOrder(header.tensors)) return { name: 'the safetensors library', evidence: { message: 'compact header, padded to 8 bytes, tensors ordered by dtype and name, as the safetensors library writes them', byteRange } };
  return { name: 'unknown', evidence: { message: 'tensors or padding are not as the safetensors library of today writes them', byteRange } };
}

/** Descending by dtype, then ascending by name. UTF-16 order stands in for byte order: enough for a guess. */
function inLibraryOrder(tensors: readonly TensorInfo[]): boolean {
  return tensors.every((tensor, index) => {
    const before = tensors[index - 1];
    if (!before) return true;
    const rank = dtypeRank(before.dtype) - dtypeRank(tensor.dtype);
    return rank > 0 || (rank === 0 && before.name < tensor.name);
  });
}
