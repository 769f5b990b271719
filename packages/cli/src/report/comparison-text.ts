import type { ComparedTensor, Comparison } from '@weightspec/convert';
import { columns } from './columns.js';
import { visible } from './escape.js';
import { counted } from './numbers.js';

export interface NamedComparison {
  readonly paths: { readonly a: string; readonly b: string };
  readonly comparison: Comparison;
}

export const verdictTexts: Readonly<Record<Comparison['verdict'], string>> = {
  equal: 'equal: every value is the same',
  close: 'close: the same tensors, and no difference above -10 dB that quantization does not explain',
  different: 'different',
};

/** A few digits, whatever the size: 1.2e-7, 0.034, 1.4. */
export function figure(value: number | null | undefined): string {
  if (value === null || value === undefined) return '-';
  if (value === 0) return '0';
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e4 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

/** What explains a tensor’s difference, in words; empty when nothing does or nothing has to. */
export function note({ difference, quantization, explanation, a, b }: ComparedTensor): string {
  const facts = [
    difference === undefined ? `[${a.shape.join(', ')}] against [${b.shape.join(', ')}]` : '',
    difference && difference.nonFinite > 0 ? `${counted(difference.nonFinite, 'value')} not finite` : '',
    quantization ? (quantization.exceeding === 0 ? `within the error bound of ${quantization.storage}` : `${counted(quantization.exceeding, 'value')} outside the error bound of ${quantization.storage}`) : '',
    explanation?.message ?? '',
  ];
  return facts.filter((fact) => fact !== '').join('; ');
}

const head = ['tensor', 'A', 'B', 'max abs', 'rmse', 'relative', 'SNR dB', 'cosine', ''];

function row(tensor: ComparedTensor): readonly string[] {
  const { name, a, b, difference } = tensor;
  const figures = difference?.equal ? ['equal', '', '', '', ''] : [figure(difference?.maxAbs), figure(difference?.rmse), figure(difference?.relative), difference?.snrDb === null || !difference ? '-' : difference.snrDb.toFixed(1), difference?.cosine === null || !difference ? '-' : difference.cosine.toFixed(5)];
  return [visible(name), a.storage, b.storage, ...figures, visible(note(tensor))];
}

export function comparisonText({ paths, comparison }: NamedComparison): string {
  const { a, b, configuration, missing, extra, tensors, verdict } = comparison;
  const side = (label: string, path: string, { format, variant, names }: Comparison['a']) => `${label}: ${visible(path)} (${[format, variant, names ? `${names} names` : ''].filter((part) => part !== '').map(visible).join(', ')})\n`;
  const list = (title: string, names: readonly string[]) => (names.length === 0 ? '' : `${title}: ${names.map(visible).join(', ')}\n`);
  const equal = tensors.filter(({ difference }) => difference?.equal).length;
  return [
    side('A', paths.a, a),
    side('B', paths.b, b),
    ...configuration.map(({ field, a: left, b: right }) => `configuration: ${field} is ${left} in A and ${right} in B\n`),
    list('only in A', missing),
    list('only in B', extra),
    tensors.length === 0 ? '' : `\n${columns([head, ...tensors.map(row)])}\n`,
    `${verdictTexts[verdict]} (${counted(tensors.length, 'tensor')} in both, ${equal} equal)\n`,
  ].join('');
}

/** Fields are only ever added. */
export function comparisonJson({ paths, comparison }: NamedComparison): string {
  const { a, b, ...rest } = comparison;
  return `${JSON.stringify({ a: { path: paths.a, ...a }, b: { path: paths.b, ...b }, ...rest }, null, 2)}\n`;
}
