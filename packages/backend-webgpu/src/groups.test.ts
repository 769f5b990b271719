/** Which ops are done together, and each reason why they are not. */
import { describe, expect, it } from 'vitest';
import type { Op, Program } from '@weightspec/core';
import { decoderProgram } from '@weightspec/models';
import { groupsOf, type Group, type WeightTraits } from './groups.js';

const anything: WeightTraits = { stackable: () => true, rounded: () => false };

const decoder = decoderProgram({
  architecture: 'llama', dim: 8, hiddenDim: 12, layers: 1, heads: 2, kvHeads: 1, headDim: 4, vocabSize: 9, maxSeqLen: 4, normEps: 1e-5, ropeTheta: 10000, ropeStyle: 'interleaved', tiedEmbeddings: true,
});

/** Ops of a group, joined by + within it and by / between stacks of matrices. */
function described(group: Group): string {
  if (group.kind !== 'matmuls') return group.ops.map(({ op }) => op).join('+');
  const stacks = group.stacks.map((stack) => stack.map(({ out }) => out).join(',')).join(' / ');
  return [group.norm && 'norm', `[${stacks}]`, group.add && 'add', group.swiglu && 'swiglu'].filter(Boolean).join('+');
}
const describedAll = (program: Program, traits: Partial<WeightTraits> = {}): string[] => groupsOf(program, { ...anything, ...traits }).map(described);
/** The decoder with the op at `index` changed. */
const changed = (index: number, change: (op: never) => object): Program => ({ ...decoder, ops: decoder.ops.map((op, i) => (i === index ? { ...op, ...change(op as never) } as Op : op)) });
const programOf = (ops: readonly Op[]): Program => ({ ...decoder, ops });
const matmul = (x: string, out: string): Op => ({ op: 'matmul', x, weight: `${x} to ${out}`, out });
const norm = (x: string, out: string): Op => ({ op: 'rmsnorm', x, weight: 'norm', eps: 1e-5, out });

describe('groupsOf', () => {
  it('makes six groups of a layer, and one of the last norm and the classifier', () => {
    expect(describedAll(decoder)).toEqual(['embed', 'norm+[q,k,v]', 'rope+rope+attention', '[xb]+add', 'norm+[gate,up]+swiglu', '[xb]+add', 'norm+[logits]']);
  });
  it('keeps every op, in order', () => {
    for (const traits of [anything, { stackable: () => false, rounded: () => true }]) expect(groupsOf(decoder, traits).flatMap(({ ops }) => ops)).toEqual(decoder.ops);
  });
  it('normalizes for each matrix alone where they cannot be stacked, and leaves swiglu by itself', () => {
    expect(describedAll(decoder, { stackable: () => false })).toEqual(['embed', 'norm+[q / k / v]', 'rope+rope+attention', '[xb]+add', 'norm+[gate / up]', 'swiglu', '[xb]+add', 'norm+[logits]']);
    expect(describedAll(decoder, { stackable: (upper, { out }) => upper.length === 1 && out !== 'up' })[1]).toBe('norm+[q,k / v]');
  });
  it('normalizes first where matrices want their input rounded to int8', () => {
    expect(describedAll(decoder, { rounded: () => true })).toEqual(['embed', 'rmsnorm', '[q,k,v]', 'rope+rope+attention', '[xb]+add', 'rmsnorm', '[gate,up]+swiglu', '[xb]+add', 'rmsnorm', '[logits]']);
    expect(describedAll(decoder, { rounded: ({ out }) => out === 'v' }).slice(1, 4)).toEqual(['rmsnorm', '[q,k]', '[v]']);
  });
  it('puts gate above up, in whatever order they are computed', () => {
    const swapped = [...decoder.ops];
    [swapped[11], swapped[12]] = [swapped[12]!, swapped[11]!];
    expect(describedAll(programOf(swapped))[4]).toBe('norm+[gate,up]+swiglu');
  });

  describe('leaves apart', () => {
    it('a norm whose output something else reads later', () => {
      const [first, second] = [norm('x', 'xb'), matmul('xb', 'q')];
      expect(describedAll(programOf([first, second, { op: 'add', a: 'xb', b: 'q', out: 'logits' }]))).toEqual(['rmsnorm', '[q]+add']);
      expect(describedAll(programOf([first, second, { op: 'add', a: 'x', b: 'q', out: 'logits' }]))).toEqual(['norm+[q]+add']);
      expect(describedAll(programOf([first, second, norm('q', 'xb'), matmul('xb', 'logits')]))).toEqual(['norm+[q]', 'norm+[logits]']);
    });
    it('a norm whose output is the logits', () => {
      expect(describedAll({ ...programOf([norm('x', 'xb'), matmul('xb', 'q')]), logits: 'xb' })).toEqual(['rmsnorm', '[q]']);
    });
    it('a norm and a matrix that multiplies something else', () => {
      expect(describedAll(programOf([norm('x', 'xb'), matmul('q', 'logits')]))).toEqual(['rmsnorm', '[logits]']);
    });
    it('a norm from a matrix that writes over what the norm reads', () => {
      expect(describedAll(programOf([norm('x', 'xb'), matmul('xb', 'q'), matmul('xb', 'x')]))).toEqual(['rmsnorm', '[q,x]']);
      expect(describedAll(programOf([norm('x', 'xb'), matmul('xb', 'q'), matmul('xb', 'k')]))).toEqual(['norm+[q,k]']);
    });
    it('matrices that write one buffer', () => {
      expect(describedAll(programOf([matmul('x', 'q'), matmul('x', 'q')]))).toEqual(['[q]', '[q]']);
    });
    it('an addition of a product to itself, of one that is read later, and into the input', () => {
      const product = matmul('att', 'xb');
      expect(describedAll(programOf([product, { op: 'add', a: 'xb', b: 'xb', out: 'logits' }]))).toEqual(['[xb]', 'add']);
      expect(describedAll(programOf([product, { op: 'add', a: 'x', b: 'xb', out: 'q' }, { op: 'add', a: 'q', b: 'xb', out: 'logits' }]))).toEqual(['[xb]', 'add', 'add']);
      expect(describedAll(programOf([product, { op: 'add', a: 'xb', b: 'att', out: 'att' }]))).toEqual(['[xb]', 'add']);
      expect(describedAll(programOf([norm('x', 'att'), product, { op: 'add', a: 'x', b: 'xb', out: 'x' }]))).toEqual(['norm+[xb]', 'add']);
      expect(describedAll(programOf([product, { op: 'add', a: 'xb', b: 'x', out: 'xb' }]))).toEqual(['[xb]+add']);
    });
    it('a swiglu of products that are read later, of one product twice, and into the input', () => {
      const products = [matmul('xb', 'gate'), matmul('xb', 'up')];
      const swiglu = { op: 'swiglu', gate: 'gate', up: 'up', out: 'gate' } as const;
      expect(describedAll(programOf([...products, swiglu, { op: 'add', a: 'gate', b: 'up', out: 'logits' }]))).toEqual(['[gate,up]', 'swiglu', 'add']);
      expect(describedAll(programOf([...products, { ...swiglu, up: 'gate' }]))).toEqual(['[gate,up]', 'swiglu']);
      expect(describedAll(programOf([...products, { ...swiglu, out: 'xb' }]))).toEqual(['[gate,up]', 'swiglu']);
      expect(describedAll(programOf([...products, swiglu]))).toEqual(['[gate,up]+swiglu']);
    });
    it.each([
      ['another theta', 5, { theta: 500 }], ['another style', 6, { style: 'halves' }], ['other heads', 5, { heads: 4, headDim: 2 }], ['something else', 6, { x: 'gate' }],
      ['queries that are the keys', 7, { q: 'k' }], ['keys that are the values', 7, { v: 'k' }],
    ])('attention from rotations with %s', (_, index, change) => {
      expect(describedAll(changed(index, () => change)).slice(2, 5)).toEqual(['rope', 'rope', 'attention']);
    });
  });
});
