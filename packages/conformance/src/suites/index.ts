import type { Case } from '../case.js';
import type { CaseFiles } from '../files.js';
import type { Subject } from '../subject.js';
import { runCodecCase } from './codecs.js';
import { runFormatCase, runRoundtripCase } from './formats.js';
import { runModelCase } from './models.js';
import { runOpCase } from './ops.js';
import { runTokenizerCase } from './tokenizers.js';

/** Runs one case. Throws Unsupported when the subject does not do what it asks, anything else when it does it wrongly. */
export async function runCase(one: Case, subject: Subject, files: CaseFiles): Promise<void> {
  if (one.suite === 'formats') await runFormatCase(one, subject, files);
  else if (one.suite === 'roundtrip') await runRoundtripCase(one, subject, files);
  else if (one.suite === 'codecs') await runCodecCase(one, subject, files);
  else if (one.suite === 'ops') await runOpCase(one, subject, files);
  else if (one.suite === 'models') await runModelCase(one, subject, files);
  else await runTokenizerCase(one, subject, files);
}
