/** The element types of safetensors 0.8, in the reference's ascending order, which decides the order of tensors in a file (S-4.1). */
import { dtype, type DType } from '@weightspec/core';

export const dtypeNames = [
  'BOOL', 'F4', 'F6_E2M3', 'F6_E3M2', 'U8', 'I8', 'F8_E5M2', 'F8_E4M3', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ',
  'I16', 'U16', 'F16', 'BF16', 'I32', 'U32', 'F32', 'C64', 'F64', 'I64', 'U64',
] as const;

/** By the name in the header; letter case counts. */
export const safetensorsDtypes: ReadonlyMap<string, DType> = new Map(dtypeNames.map((name) => [name, dtype(name)]));

const ranks: ReadonlyMap<string, number> = new Map(dtypeNames.map((name, rank) => [name, rank]));

/** Place in the ascending order; −1 for a type that this format does not have. */
export const dtypeRank = ({ name }: DType): number => ranks.get(name) ?? -1;

/** Bits of one element. */
export const bitsPerElement = ({ blockSize, bytesPerBlock }: DType): number => (bytesPerBlock * 8) / blockSize;

/** Bytes whose multiple a tensor's offset should be for use in place: the element's, a complex number's part, 1 for packed types. */
export function alignmentOf({ name, blockSize, bytesPerBlock }: DType): number {
  if (blockSize > 1) return 1;
  return name === 'C64' ? 4 : bytesPerBlock;
}
