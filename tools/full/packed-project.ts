// Packs every package that is published and installs the tarballs together into an empty project outside the workspace,
// as a user would have them.
import { execFile, type ExecFileOptions } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const workspaceRoot = fileURLToPath(new URL('../../', import.meta.url));

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly files?: readonly string[];
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly imports?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface PublishedPackage {
  /** The folder in packages/, which is the name without its scope. */
  readonly folder: string;
  readonly manifest: Manifest;
}

export interface PackedProject {
  /** An empty project with every package in node_modules. */
  readonly path: string;
  /** Where the package called `name` was installed. */
  readonly installedAt: (name: string) => string;
  /** Package name → its tarball. */
  readonly tarballs: ReadonlyMap<string, string>;
}

export function publishedPackages(): PublishedPackage[] {
  const packages = join(workspaceRoot, 'packages');
  return readdirSync(packages)
    .filter((folder) => existsSync(join(packages, folder, 'package.json')))
    .map((folder) => ({ folder, manifest: readManifest(join(packages, folder)) }))
    .filter(({ manifest }) => manifest.private !== true);
}

export function readManifest(folder: string): Manifest {
  const manifest: Manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return manifest;
}

/** Specifiers of the JavaScript entries: `@weightspec/io`, `@weightspec/io/node`. */
export function entriesOf({ name, exports = {} }: Manifest): string[] {
  return Object.entries(exports)
    .filter(([subpath, target]) => !subpath.includes('*') && typeof target === 'object' && target['default']?.endsWith('.js'))
    .map(([subpath]) => name + subpath.slice(1));
}

export async function packAndInstall(packages: readonly PublishedPackage[]): Promise<PackedProject> {
  // realpath, because on macOS the temporary folder is a link and Node resolves modules to real paths.
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'weightspec-packed-'));
  const tarballFolder = join(folder, 'tarballs');
  const path = join(folder, 'consumer');
  mkdirSync(tarballFolder);
  mkdirSync(path);

  const packed = await npm(['pack', '--json', '--pack-destination', tarballFolder, ...packages.map((p) => `./packages/${p.folder}`)], workspaceRoot);
  const listing: { name: string; filename: string }[] = JSON.parse(packed);
  const tarballs = new Map(listing.map(({ name, filename }) => [name, join(tarballFolder, filename)]));

  const dependencies = Object.fromEntries([...tarballs].map(([name, tarball]) => [name, `file:${tarball}`]));
  writeFileSync(join(path, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module', dependencies }, undefined, 2));
  await npm(['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'], path);
  return { path, tarballs, installedAt: (name) => join(path, 'node_modules', ...name.split('/')) };
}

/** A command's stdout. The error of a command that fails shows both of its streams. */
export function run(command: string, args: readonly string[], options: ExecFileOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { maxBuffer: 2 ** 26, ...options, encoding: 'utf8' }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`, { cause: error }));
      else resolve(stdout);
    });
  });
}

function npm(args: readonly string[], cwd: string): Promise<string> {
  // Under `npm run` the environment says where the workspace is, and a second npm would believe it.
  const inherited = Object.entries(process.env).filter(([name]) => !/^npm_(lifecycle|package|command|config_(local_prefix|workspaces?))/i.test(name));
  return run('npm', args, { cwd, env: Object.fromEntries(inherited), shell: process.platform === 'win32' });
}
