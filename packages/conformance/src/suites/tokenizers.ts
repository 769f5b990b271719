/** `tokenizers`: ids of texts, and texts of ids. */
import type { TokenizerCase } from '../case.js';
import { ConformanceError, Unsupported } from '../codes.js';
import type { CaseFiles } from '../files.js';
import type { Subject } from '../subject.js';

export async function runTokenizerCase({ inputs, expected }: TokenizerCase, subject: Subject, files: CaseFiles): Promise<void> {
  const vocabulary = { file: files.file(inputs.vocabulary.file), kind: inputs.vocabulary.kind };
  await vocabulary.file.bytes();
  if (inputs.text !== undefined) {
    if (!subject.encode) throw new Unsupported('it does not tokenize');
    assertSame((await subject.encode(vocabulary, inputs.text)).join(), (expected.ids ?? []).join());
  } else {
    if (!subject.decode) throw new Unsupported('it does not turn ids into text');
    assertSame(JSON.stringify(await subject.decode(vocabulary, inputs.ids ?? [])), JSON.stringify(expected.text));
  }
}

function assertSame(actual: string, expected: string): void {
  if (actual !== expected) throw new ConformanceError('CONFORM_TOKENS', `${actual || 'nothing'}, not ${expected || 'nothing'}`);
}
