/** The check of one input: a file, a URL, standard input, or a folder that is one model. In this thread or in another. */
import { join } from 'node:path';
import { formats, namesFolder, validateFolder, validateSource, type FolderFile } from '@weightspec/formats';
import { faultOf, reportFault } from './faults.js';
import { folderAt, folderResolver, formatsBeside, isIndexFile, isUrl } from './folders.js';
import { openTarget } from './inputs.js';
import { progressBar } from './progress.js';
import { withFolderFrames, withFrames, type CheckedFile, type FailedFile } from './report/checked-file.js';
import type { SmoothQuantCheck } from './smoothquant-check.js';
import type { Terminal } from './terminal.js';

/** Plain data, so that it can be sent to a worker. */
export interface CheckRequest {
  readonly path: string;
  /** Of a model's folder: its plain files. */
  readonly folder?: readonly FolderFile[];
  readonly strict?: boolean;
  readonly deep?: boolean;
  readonly download?: boolean;
}

/** What came of a check; `told` is for stderr. */
export type CheckOutcome = { readonly file: CheckedFile } | { readonly failed: FailedFile; readonly told: string };

/** Never rejects: a file that cannot be read does not keep the others from being checked. */
export async function checkInput(request: CheckRequest, exports: SmoothQuantCheck, terminal: Terminal): Promise<CheckOutcome> {
  try {
    const further = exports.further(request.path);
    if (request.folder) return { file: await checkFolder(request, request.folder, further, terminal) };
    const check = isUrl(request.path) && namesFolder(request.path) ? checkRemoteFolder : checkFile;
    return { file: await check(request, further, terminal) };
  } catch (error) {
    let told = '';
    reportFault(error, { ...terminal, stderr: { write: (text) => (told += String(text)) } });
    return { failed: { path: request.path, ...faultOf(error) }, told };
  }
}

type Further = ReturnType<SmoothQuantCheck['further']>;

async function checkFolder({ path, strict, deep }: CheckRequest, files: readonly FolderFile[], further: Further, terminal: Terminal): Promise<CheckedFile> {
  const bar = progressBar(path, terminal);
  const folder = folderResolver(path);
  try {
    const report = await validateFolder(files, folder.resolve, { name: path, strict, deep, further, progress: bar.progress });
    return await withFolderFrames(report, files.map(({ name }) => join(path, name)));
  } finally {
    bar.stop();
    await folder.closeAll();
  }
}

async function checkRemoteFolder({ path, strict, deep, download }: CheckRequest, further: Further, terminal: Terminal): Promise<CheckedFile> {
  const bar = progressBar(path, terminal);
  const folder = folderAt(path, { download });
  try {
    const report = await validateFolder(await folder.list(), folder.resolve, { name: folder.name, strict, deep, further, progress: bar.progress });
    return await withFolderFrames(report, folder.asked().map(({ name }) => `${folder.name}/${name}`), (file) => folder.resolve(file.slice(folder.name.length + 1)));
  } finally {
    bar.stop();
    await folder.close();
  }
}

async function checkFile({ path, strict, deep, download }: CheckRequest, further: Further, terminal: Terminal): Promise<CheckedFile> {
  const source = await openTarget(path, { download, stdin: terminal.stdin });
  const shards = isIndexFile(path) ? formatsBeside(path) : undefined;
  const bar = progressBar(path, terminal);
  try {
    const report = await validateSource(source, { strict, deep, further, progress: bar.progress, formats: shards?.formats ?? formats });
    return await withFrames(report, source);
  } finally {
    bar.stop();
    await source.close();
    await shards?.closeAll();
  }
}
