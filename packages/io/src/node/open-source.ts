import { fileURLToPath } from 'node:url';
import type { ByteSource } from '@weightspec/core';
import { IoError } from '../errors.js';
import { httpSource, type HttpSourceOptions } from '../http-source.js';
import { fileSource } from './file-source.js';

/** Opens a path, a file: URL or an http(s) URL. `options` are for http(s) only. Throws IoError. */
export async function openSource(pathOrUrl: string, options?: HttpSourceOptions): Promise<ByteSource & { close(): Promise<void> }> {
  // Two letters or more before the colon: `C:\model.bin` is a path.
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(pathOrUrl)?.[1]?.toLowerCase();
  if (scheme === undefined) return fileSource(pathOrUrl);
  if (scheme === 'http' || scheme === 'https') return httpSource(pathOrUrl, options);
  if (scheme === 'file') return fileSource(fileURLToPath(pathOrUrl));
  throw new IoError('IO_UNSUPPORTED_URL', `${scheme}: addresses cannot be opened`);
}
