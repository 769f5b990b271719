/** `formats`: what a validator says of a file; `roundtrip`: what a writer makes of it. */
import type { ExpectedDiagnostic, FormatCase, RoundtripCase } from '../case.js';
import { ConformanceError, Unsupported } from '../codes.js';
import type { CaseFiles } from '../files.js';
import type { Subject, ValidateAnswer } from '../subject.js';
import { assertSameBytes } from './numbers.js';

/** In an order that does not depend on who found what first. */
const comparable = (diagnostics: readonly { readonly code: string; readonly severity: string; readonly byteRange?: readonly [number, number] }[]): string =>
  diagnostics.map(({ code, severity, byteRange }) => `${severity} ${code} ${byteRange ? `[${byteRange[0]}, ${byteRange[1]})` : 'nowhere'}`).toSorted().join('; ') || 'none';

const agrees = (given: ValidateAnswer['verdict'], expected: FormatCase['expected']['verdict']): boolean => {
  if (given === 'accept') return expected !== 'invalid';
  if (given === 'reject') return expected === 'invalid';
  return given === expected;
};

export async function runFormatCase({ inputs, expected }: FormatCase, subject: Subject, files: CaseFiles): Promise<void> {
  if (!subject.validate) throw new Unsupported('it does not validate files');
  const { file, format, deep, detected } = inputs;
  const answer = await subject.validate(files.file(file), { format, deep, detected });
  if (!agrees(answer.verdict, expected.verdict)) {
    throw new ConformanceError('CONFORM_VERDICT', `${answer.verdict}, not ${expected.verdict}${answer.diagnostics ? ` (found ${comparable(answer.diagnostics)}; expected ${comparable(expected.diagnostics)})` : ''}`);
  }
  if (answer.diagnostics) assertDiagnostics(comparable(answer.diagnostics), expected.diagnostics);
  if (answer.variant !== undefined && answer.variant !== expected.variant) throw new ConformanceError('CONFORM_DIAGNOSTICS', `read as the variant ${answer.variant}, not ${expected.variant}`);
}

function assertDiagnostics(found: string, expected: readonly ExpectedDiagnostic[]): void {
  if (found !== comparable(expected)) throw new ConformanceError('CONFORM_DIAGNOSTICS', `found ${found}; expected ${comparable(expected)}`);
}

export async function runRoundtripCase({ inputs, expected }: RoundtripCase, subject: Subject, files: CaseFiles): Promise<void> {
  if (!subject.roundtrip) throw new Unsupported('it does not write files');
  const written = await subject.roundtrip(files.file(inputs.file), inputs.format);
  assertSameBytes('CONFORM_BYTES', written, await files.file(expected.file).bytes());
}
