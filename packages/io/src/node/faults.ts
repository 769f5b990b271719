import { IoError, reasonOf, type IoCode } from '../errors.js';

/** What the operating system's error numbers mean, for reading and writing alike. */
const CODE_OF_ERRNO: Readonly<Record<string, IoCode>> = {
  ENOENT: 'IO_NOT_FOUND',
  ENOTDIR: 'IO_NOT_FOUND',
  EISDIR: 'IO_NOT_A_FILE',
  ENXIO: 'IO_NOT_A_FILE',
  EACCES: 'IO_PERMISSION',
  EPERM: 'IO_PERMISSION',
  EROFS: 'IO_PERMISSION',
  ENOSPC: 'IO_DISK_FULL',
  EDQUOT: 'IO_DISK_FULL',
  EFBIG: 'IO_FILE_TOO_LARGE',
};

/** The IoError for something that node:fs threw; `otherwise` when its errno says nothing more exact. */
export function faultOf(name: string, error: unknown, otherwise: IoCode): IoError {
  if (error instanceof IoError) return error;
  return new IoError(CODE_OF_ERRNO[errnoOf(error)] ?? otherwise, `${name}: ${systemReason(error)}`, { cause: error });
}

/** "no such file or directory (ENOENT)": node:fs adds the call and the path, which the message names already. */
function systemReason(error: unknown): string {
  const errno = errnoOf(error);
  const reason = reasonOf(error);
  const call = error instanceof Error && 'syscall' in error && typeof error.syscall === 'string' ? reason.indexOf(`, ${error.syscall}`) : -1;
  return reason.startsWith(`${errno}: `) && call > errno.length + 2 ? `${reason.slice(errno.length + 2, call)} (${errno})` : reason;
}

export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
