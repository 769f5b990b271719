/** Deep checks: every byte of every tensor once, in a bounded buffer. Clauses S-6. */
import type { Checkpoint, Diagnostic, TensorInfo, ValidateOptions, ValidateResult } from '@weightspec/core';
import { safetensorsDiagnostic } from './codes.js';
import { scanContents, type ContentReport } from './contents.js';
import { quoted, tensorPointer } from './findings.js';
import { headerFindings, type HeaderFindings } from './header.js';

/** Zeros at the end of a tensor that is not zero elsewhere: fewer are common, as many are an interrupted copy. */
const LEAST_ZERO_TAIL_BYTES = 1 << 20;
const counted = (tensors: number): string => `${tensors} ${tensors === 1 ? 'tensor' : 'tensors'}`;
const isInteger = ({ dtype }: TensorInfo): boolean => /^([IU]\d+|BOOL)$/.test(dtype.name);

/** What only a configuration beside the file can tell: whoever compares them says so instead. */
export const NAMES_UNCHECKED = 'whether names and shapes make up a model: that needs its config.json';

export async function validate(checkpoint: Checkpoint, options: ValidateOptions = {}): Promise<ValidateResult> {
  const { tensors } = checkpoint;
  const checked = ['header grammar', `dtype, shape, offsets and bounds of ${counted(tensors.length)}`];
  if (!options.deep) return { diagnostics: [], checked, notChecked: ['tensor values (NaN, infinities, zeroed tails): use --deep', NAMES_UNCHECKED] };

  const report = await scanContents(tensors, options);
  const findings = headerFindings(tensors[0]?.location.source.name ?? checkpoint.format);
  for (const { tensor, nonFiniteCount, firstNonFinite } of report.tensors) {
    if (firstNonFinite === undefined) continue;
    const { bytesPerBlock } = tensor.dtype;
    findings.add('SAFETENSORS_WEIGHT_NOT_FINITE', { byteRange: [firstNonFinite, firstNonFinite + bytesPerBlock], pointer: tensorPointer(tensor.name), message: `${nonFiniteCount} of ${tensor.location.length / bytesPerBlock} values of ${quoted(tensor.name)} are NaN or infinite` });
  }
  const tailStart = zeroTail(report, findings);
  const zeros = report.tensors.filter(({ allZero, tensor }) => allZero && tensor.location.offset < tailStart && !isInteger(tensor));
  const diagnostics: Diagnostic[] = findings.diagnostics();
  if (zeros.length > 0) {
    const { name, location } = zeros[0]!.tensor;
    const shown = zeros.slice(0, 3).map(({ tensor }) => quoted(tensor.name)).join(', ');
    diagnostics.push(safetensorsDiagnostic('SAFETENSORS_ALL_ZERO_TENSORS', location.source.name, { byteRange: [location.offset, location.offset + location.length], pointer: tensorPointer(name), message: `${zeros.length} of ${counted(tensors.length)} ${zeros.length === 1 ? 'holds' : 'hold'} only zeros: ${shown}${zeros.length > 3 ? ', …' : ''}` }));
  }
  const skipped = report.unknownTypes.length > 0 ? [`NaN and infinities in values of ${report.unknownTypes.join(', ')}`] : [];
  return { diagnostics, checked: [...checked, `every byte of ${counted(tensors.length)}`], notChecked: [...skipped, NAMES_UNCHECKED] };
}

/**
 * Reports a zeroed tail and returns where it starts (Infinity without one). A tail counts when it holds whole tensors,
 * one of them of floats, or a megabyte: masks and counters at the end are often zero.
 */
function zeroTail({ tensors, zeroFrom }: ContentReport, findings: HeaderFindings): number {
  const last = tensors.at(-1)?.tensor;
  if (zeroFrom === undefined || !last) return Infinity;
  const end = last.location.offset + last.location.length;
  const whole = tensors.slice(tensors.findLastIndex(({ allZero }) => !allZero) + 1).map(({ tensor }) => tensor);
  const first = whole[0];
  const partial = end - zeroFrom >= LEAST_ZERO_TAIL_BYTES;
  if (!partial && !whole.some((tensor) => !isInteger(tensor))) return Infinity;
  const start = partial ? zeroFrom : first!.location.offset;
  const what = whole.length > 0 ? `the last ${whole.length} tensors, from ${quoted(first!.name)} on, are` : `the end of ${quoted(last.name)} is`;
  findings.add('SAFETENSORS_ZEROED_TAIL', { byteRange: [start, end], pointer: tensorPointer((first ?? last).name), message: `${what} all zeros (${end - start} bytes up to the end of the data)` });
  return first ? first.location.offset : Infinity;
}
