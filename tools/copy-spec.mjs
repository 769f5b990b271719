// Puts specs/<name> into the package being built, so that an installed package carries its own specification.
import { cpSync, rmSync } from 'node:fs';

const name = process.argv[2];
rmSync('spec', { recursive: true, force: true });
cpSync(new URL(`../specs/${name}`, import.meta.url), 'spec', { recursive: true });
