import { diagnosticFactory, summarize, type ByteSource, type Checkpoint, type Diagnostic, type Format, type ReadResult } from '@weightspec/core';
import { formatCodes } from './codes.js';
import { detect, type Candidate, type Detected } from './detect.js';
import { unknownBytes } from './imposters.js';
import { formats } from './list.js';

export interface OpenResult {
  /** Absent when no format claims the bytes; `diagnostics` then says what they look like. */
  readonly format?: Format;
  /** What the format was recognised by, e.g. `bytes 24ka at 0`. */
  readonly evidence?: string;
  readonly variant?: string;
  /** Absent when nothing claims the file or it is too damaged for a directory. */
  readonly checkpoint?: Checkpoint;
  readonly diagnostics: readonly Diagnostic[];
  /** Set when no format claims the bytes and they look like something else. */
  readonly imposter?: Detected['imposter'];
}

interface Reading extends Candidate {
  readonly result: ReadResult;
}

const diagnostic = diagnosticFactory(formatCodes);
const errorsIn = (reading: Reading) => summarize(reading.result.diagnostics).errors;

/** The candidates worth reading: all of the best confidence, and none when an imposter outranks a mere possibility. */
function contenders({ candidates, imposter }: Detected): readonly Candidate[] {
  const best = candidates[0]?.detection.confidence;
  if (best === undefined || (best === 'possible' && imposter)) return [];
  return candidates.filter(({ detection }) => detection.confidence === best);
}

/**
 * Detects the format of `source` and reads its header and directory. Bad bytes become diagnostics; only I/O faults throw.
 * Where several formats claim the file with the same confidence, all of them read it and the one with the fewest errors wins.
 */
export async function open(source: ByteSource, list: readonly Format[] = formats): Promise<OpenResult> {
  const detected = await detect(source, list);
  const readings: Reading[] = [];
  for (const candidate of contenders(detected)) readings.push({ ...candidate, result: await candidate.format.read(source) });
  const [best, second] = readings.toSorted((a, b) => errorsIn(a) - errorsIn(b));
  if (!best) {
    const finding = detected.imposter?.diagnostic ?? unknownBytes(detected.head, source.name);
    return { diagnostics: [finding], imposter: detected.imposter };
  }
  const ambiguous = second && errorsIn(second) === 0 ? [ambiguity(source, best, second)] : [];
  const { checkpoint, diagnostics } = best.result;
  return {
    format: best.format,
    evidence: best.detection.evidence,
    variant: checkpoint?.variant ?? best.result.variant,
    checkpoint,
    diagnostics: [...diagnostics, ...ambiguous],
  };
}

function ambiguity(source: ByteSource, best: Reading, second: Reading): Diagnostic {
  return diagnostic('FORMAT_AMBIGUOUS', source.name, {
    message: `read as ${best.format.id} (${best.detection.evidence}); ${second.format.id} also reads it without an error (${second.detection.evidence})`,
  });
}
