import { DiagnosticError, diagnosticFactory } from '@weightspec/core';
import { type CodecCode, codecCodes } from './codes.js';

/** Where the values being encoded come from, so that an error can name them. */
export interface TensorOrigin {
  readonly tensor?: string;
  /** Index within the tensor of the first value given: nonzero when a tensor is encoded piece by piece. */
  readonly firstElement?: number;
  /** Name of the file or blob that holds the tensor. */
  readonly source?: string;
}

const diagnose = diagnosticFactory(codecCodes);

/** An error that names the tensor and the element; `index` counts from the first value given. */
export function encodingError(code: CodecCode, origin: TensorOrigin, index: number, what: string): DiagnosticError {
  const { tensor, firstElement = 0, source = '' } = origin;
  const message = `${tensor ?? 'input'}: element ${firstElement + index} ${what}`;
  const pointer = tensor === undefined ? undefined : `/tensors/${tensor.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  return new DiagnosticError([diagnose(code, source, { message, ...(pointer === undefined ? {} : { pointer }) })]);
}
