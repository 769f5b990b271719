import { logits } from '@weightspec/engine';
import { atomicFileSink } from '@weightspec/io/node';
import type { BackendChoice } from '../backends.js';
import { assertTokens, withModel } from '../loading.js';
import { visible } from '../report/escape.js';
import { counted } from '../report/numbers.js';
import { EXIT, type Terminal } from '../terminal.js';

export interface LogitsCommandOptions extends BackendChoice {
  readonly tokens: readonly number[];
  readonly out: string;
  readonly all?: boolean;
}

/** Writes one row of vocabSize little-endian f32 (or, with --all, one a token) to `out`, all or nothing. */
export async function writeLogits(target: string, { tokens, out, all, ...choice }: LogitsCommandOptions, terminal: Terminal): Promise<number> {
  await withModel(target, choice, terminal, async ({ path, model }) => {
    assertTokens(tokens, model);
    const rows = await logits(model, tokens, { all });
    // The model may come from a URL, which no file can overwrite.
    const sink = await atomicFileSink(out, { protect: path.includes('://') ? [] : [path] });
    try {
      await sink.write(littleEndian(rows));
      await sink.commit();
    } finally {
      await sink.abort();
    }
    terminal.stderr.write(`${counted(rows.length / model.program.vocabSize, 'row')} of ${model.program.vocabSize} f32 to ${visible(out)} (${model.backendId})\n`);
  });
  return EXIT.ok;
}

/** f32 values as bytes in file order, whatever this machine's byte order. */
export function littleEndian(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => view.setFloat32(index * 4, value, true));
  return bytes;
}
