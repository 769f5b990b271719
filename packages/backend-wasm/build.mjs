// Compiles the kernels (src/assembly/*.as, AssemblyScript) to WebAssembly, once for SIMD128 and once for relaxed SIMD, and writes both
// into generated/ as a module, before tsc runs.
// Base64 rather than .wasm files: Node, browsers and bundlers all import a module the same way, and nothing has to be fetched.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from 'assemblyscript/asc';

const folder = dirname(fileURLToPath(import.meta.url));

/** 65536 pages are the 4 GiB that 32-bit addresses reach. */
const options = [
  'src/assembly/index.ts', '--baseDir', folder, '--outFile', 'kernels.wasm',
  '-O3', '--noAssert', '--runtime', 'stub', '--use', 'abort=',
  '--enable', 'simd', '--enable', 'threads', '--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536',
  // v128 passed between functions: only exports to JavaScript cannot have it.
  '--disableWarning', '112',
];

/** The sources ask for ASC_FEATURE_RELAXED_SIMD, which is a constant to the compiler. */
async function compile(features) {
  let binary;
  const { error } = await main([...options, ...features.flatMap((feature) => ['--enable', feature])], {
    stderr: process.stderr,
    // The compiler only knows files ending in .ts; ours do not, so that tools for TypeScript leave them alone.
    readFile(name, baseDir) {
      const path = join(baseDir, name);
      return [path.replace(/\.ts$/, '.as'), path].filter((candidate) => existsSync(candidate)).map((found) => readFileSync(found, 'utf8'))[0] ?? null;
    },
    writeFile(name, contents) {
      if (name === 'kernels.wasm') binary = contents;
    },
  });
  if (error || !binary) {
    process.stderr.write(`${error?.message ?? 'asc wrote nothing'}\n`);
    process.exit(1);
  }
  return Buffer.from(binary).toString('base64');
}

const generated = join(folder, 'generated');
mkdirSync(generated, { recursive: true });
writeFileSync(join(generated, 'kernels.js'), `export const kernels = '${await compile([])}';\nexport const relaxedKernels = '${await compile(['relaxed-simd'])}';\n`);
writeFileSync(join(generated, 'kernels.d.ts'), `/** The compiled kernels, as base64. */
export declare const kernels: string;
/** The same with relaxed SIMD. */
export declare const relaxedKernels: string;
`);
