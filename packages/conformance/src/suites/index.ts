import type { Case } from '../case.js';
import type { CaseFiles } from '../files.js';
import type { Subject } from '../subject.js';
import { runCodecCase } from './codecs.js';
import { runFormatCase, runRoundtripCase } from './formats.js';
import { runModelCase } from './models.js';
import { runOpCase } from './ops.js';
import { runTokenizerCase } from './tokenizers.js';

/** Runs one case. Throws Unsupported when the subject does not do what it asks, anything else when it does it wrongly. */
export function runCase(one: Case, subject: Subject, files: CaseFiles): Promise<void> {
  switch (one.suite) {
    case 'formats': return runFormatCase(one, subject, files);
    case 'roundtrip': return runRoundtripCase(one, subject, files);
    case 'codecs': return runCodecCase(one, subject, files);
    case 'ops': return runOpCase(one, subject, files);
    case 'models': return runModelCase(one, subject, files);
    case 'tokenizers': return runTokenizerCase(one, subject, files);
  }
}
