import type { CodeEntry, CodeTable } from '@weightspec/core';

/** Why a case was not passed, and what goes wrong with an outside program. Clauses: docs/conformance.md. */
const entry = (clause: string, summary: string, rationale: string, hint: string): CodeEntry => ({ severity: 'error', summary, clause: `docs/conformance#${clause}`, rationale, hint });

export const conformanceCodes = {
  CONFORM_VERDICT: entry('formats', 'Another verdict than the specification demands', 'A file that one program takes and another refuses is not portable; a damaged file that is taken gives nonsense later.', 'Read the clause that the case names; its file is one valid file with one change.'),
  CONFORM_DIAGNOSTICS: entry('formats', 'The right verdict for another reason', 'A finding at the wrong place, or of the wrong cause, sends people to the wrong fix.', 'Compare codes and byte ranges with the case’s expected ones.'),
  CONFORM_BITS: entry('codecs', 'Decoded or encoded bits differ where only one result is right', 'Every program must read the same numbers from the same bytes.', 'Look at the first element that differs: nibble order, sign and scale each leave their own pattern.'),
  CONFORM_BOUND: entry('ops', 'A number is further from float64 than the arithmetic explains', 'Bounds come from the roundings that f32 may make; beyond them something else is computed.', 'The message names the element; the case’s file says how its bound was derived.'),
  CONFORM_LOGITS: entry('models', 'Logits differ from the golden ones by more than the tolerance', 'Weights that are read wrongly, or an operation that is done wrongly, show here and often nowhere else.', 'Run `weightspec logits MODEL --trace --golden DIR` to find the first operation that departs.'),
  CONFORM_GREEDY: entry('models', 'Another likeliest token where the golden one leads by more than the tolerance', 'Greedy text must be the same in every program.', 'Look at the logits: they are within their tolerance, so an index or a tie is handled otherwise.'),
  CONFORM_TRACE: entry('models', 'An activation on the way departs from the golden one', 'The first that departs names the operation at fault.', 'Compare that operation with its cases in the suite `ops`.'),
  CONFORM_TOKENS: entry('tokenizers', 'Other ids for a text, or another text for ids', 'A model sees other words than were written.', 'Compare the pieces that the text is cut into, and then the merges.'),
  CONFORM_BYTES: entry('roundtrip', 'What was read and written again has other bytes', 'A writer that changes what it was given cannot be trusted with anything.', 'Compare the two files at the offset that the message names.'),
  CONFORM_SHAPE: entry('protocol', 'An answer of another length than was asked for', 'Rows that are missing or too many cannot be compared.', 'Return one row of vocabSize numbers a token, and one number an element.'),
  CONFORM_ERROR: entry('reports', 'The engine failed on a case', 'An engine that stops on a valid input does not conform.', 'The message is the engine’s own. Answer `unsupported` where a case is not meant for the engine.'),
  CONFORM_STALE_DATA: entry('cases', 'A file of the suite is not the one that its list names', 'A case judged by another file than its expectation was made for says nothing.', 'Install the package again, or build it: `npm run build`.'),
  CONFORM_NO_CASE: entry('selecting', 'No case has this name', 'A run of nothing would look like a pass.', '`weightspec conform --list` prints every name; a suite, a prefix or a pattern with * will do.'),
  CONFORM_BAD_EXPECTATIONS: entry('expectations', 'The file of known failures cannot be read', 'A misread list would hide failures.', 'It is {"expectations": [{"id": "models/x/*", "expect": "fail", "reason": "why"}]}; expect is fail or skip.'),
  ADAPTER_START: entry('protocol', 'The adapter could not be started, or did not introduce itself', 'Without an engine there is nothing to test.', 'Run its command in a shell: it must answer the hello line on its standard output.'),
  ADAPTER_TIMEOUT: entry('protocol', 'The adapter did not answer in time', 'A hang would stop the whole run.', 'Give it longer with --timeout SECONDS.'),
  ADAPTER_CRASH: entry('protocol', 'The adapter ended before it answered', 'An engine that dies on a case fails it; it is started again for the next.', 'Its last words on standard error are in the message.'),
  ADAPTER_GARBAGE: entry('protocol', 'The adapter wrote something that is no answer', 'A line that is skipped might have been the answer.', 'Standard output is for answers only, one JSON object a line; print everything else on standard error.'),
} as const satisfies CodeTable;

export type ConformanceCode = keyof typeof conformanceCodes;

/** A case is failed, or the run cannot go on. */
export class ConformanceError extends Error {
  override readonly name = 'ConformanceError';
  readonly hint: string;
  constructor(
    readonly code: ConformanceCode,
    message: string,
  ) {
    super(message);
    this.hint = conformanceCodes[code].hint;
  }
}

/** The subject does not do what a case asks for: skipped, with the reason. */
export class Unsupported extends Error {
  override readonly name = 'Unsupported';
}
