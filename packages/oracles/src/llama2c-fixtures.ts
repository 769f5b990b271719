/** The committed fixtures of llama2.c, with what they are expected to be. For tests. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../../fixtures/llama2c', import.meta.url));

export interface Llama2cFixture {
  /** Relative to fixtures/llama2c, without its ending. */
  readonly name: string;
  readonly path: string;
  readonly variant: string | null;
  readonly verdict: 'valid' | 'warnings' | 'invalid';
}

/** Every fixture of `format`, valid, invalid and ambiguous. */
export function llama2cFixtures(format: 'llama2c' | 'llama2c-tokenizer'): Llama2cFixture[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.expect.json')).flatMap((file) => {
    const name = file.replace(/\.expect\.json$/, '');
    const expected = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { format: string } & Pick<Llama2cFixture, 'variant' | 'verdict'>;
    return expected.format === format ? [{ name, path: join(folder, `${name}.bin`), variant: expected.variant, verdict: expected.verdict }] : [];
  });
}
