import type { CodeTable } from '@weightspec/core';

/** Every way in which reading or writing bytes fails. Codes are permanent, one cause each. */
export const IO_CODES = {
  IO_NOT_FOUND: {
    severity: 'error',
    summary: 'There is no such file or resource.',
    clause: 'packages/io#IO_NOT_FOUND',
    rationale: 'A misspelt path must not look like a damaged file.',
    hint: 'Check the path or URL for typing mistakes.',
  },
  IO_NOT_A_FILE: {
    severity: 'error',
    summary: 'The path is a directory, pipe, socket or device, not a regular file.',
    clause: 'packages/io#IO_NOT_A_FILE',
    rationale: 'Weight files are read at random offsets, which pipes and directories do not allow; opening a pipe could wait for ever.',
    hint: 'Name a regular file; save a stream to a file first.',
  },
  IO_PERMISSION: {
    severity: 'error',
    summary: 'The operating system or server refuses access.',
    clause: 'packages/io#IO_PERMISSION',
    rationale: 'Rights are mended by the user, not by another try.',
    hint: 'Check the permissions of the file and its folder, or pass credentials in the request headers.',
  },
  IO_READ_FAILED: {
    severity: 'error',
    summary: 'The device or blob could not deliver the bytes.',
    clause: 'packages/io#IO_READ_FAILED',
    rationale: 'A failing disk or a vanished blob says nothing about the format.',
    hint: 'Check the disk, or choose the file again.',
  },
  IO_SHORT_READ: {
    severity: 'error',
    summary: 'Fewer bytes arrived than the size announced at opening promises.',
    clause: 'packages/io#IO_SHORT_READ',
    rationale: 'A file truncated while it is read, or a broken connection, must not be reported as a malformed model.',
    hint: 'Make sure that nothing writes the file or cuts the connection, and try again.',
  },
  IO_CHANGED: {
    severity: 'error',
    summary: 'The remote file changed between two reads.',
    clause: 'packages/io#IO_CHANGED',
    rationale: 'Mixing bytes of two revisions gives a file that never existed.',
    hint: 'Open the URL again; a URL with a revision in it does not change.',
  },
  IO_CLOSED: {
    severity: 'error',
    summary: 'The source or sink was closed, committed or aborted before.',
    clause: 'packages/io#IO_CLOSED',
    rationale: 'Bytes read through a closed handle could belong to another file.',
    hint: 'Close a source only after its last read.',
  },
  IO_INTERRUPTED: {
    severity: 'error',
    summary: 'A signal ended the writing; the temporary file is gone.',
    clause: 'packages/io#IO_INTERRUPTED',
    rationale: 'A half-written model must not stay behind under any name that looks complete.',
    hint: 'Run the command again.',
  },
  IO_WRITE_FAILED: {
    severity: 'error',
    summary: 'The bytes could not be written, synced or renamed into place.',
    clause: 'packages/io#IO_WRITE_FAILED',
    rationale: 'A write that is not known to be on disk is not a success.',
    hint: 'Check the disk and the folder of the target.',
  },
  IO_DISK_FULL: {
    severity: 'error',
    summary: 'The disk or quota is full.',
    clause: 'packages/io#IO_DISK_FULL',
    rationale: 'The target keeps its old content, and the temporary file is removed at once so that the space is free again.',
    hint: 'Free some space or write to another disk; the new file is written beside the old one, so there must be room for both.',
  },
  IO_FILE_TOO_LARGE: {
    severity: 'error',
    summary: 'The file system or a process limit forbids a file this large.',
    clause: 'packages/io#IO_FILE_TOO_LARGE',
    rationale: 'FAT32 holds at most 4 GiB a file however much space is free.',
    hint: 'Write to another file system (not FAT32), or raise the limit (ulimit -f).',
  },
  IO_SAME_FILE: {
    severity: 'error',
    summary: 'The target is one of the files that are being read.',
    clause: 'packages/io#IO_SAME_FILE',
    rationale: 'A conversion onto its own input loses the only copy when the result is wrong.',
    hint: 'Choose another name for the output.',
  },
  IO_UNSUPPORTED_URL: {
    severity: 'error',
    summary: 'Only http:, https: and file: addresses can be opened, without a user name or password in them.',
    clause: 'packages/io#IO_UNSUPPORTED_URL',
    rationale: 'Credentials in an address end up in messages and logs.',
    hint: 'Use an http(s) URL; a program may pass credentials in the request headers.',
  },
  IO_NETWORK: {
    severity: 'error',
    summary: 'The server could not be reached.',
    clause: 'packages/io#IO_NETWORK',
    rationale: 'Name resolution, TLS, refused connections and CORS fail before any byte of the file is seen.',
    hint: 'Check the address and the connection; in a browser, the server must allow this origin (CORS).',
  },
  IO_TIMEOUT: {
    severity: 'error',
    summary: 'The server sent nothing for too long.',
    clause: 'packages/io#IO_TIMEOUT',
    rationale: 'A stalled server must not hang the reader. The limit is on silence, not on the whole transfer.',
    hint: 'Try again, or raise timeoutMs.',
  },
  IO_HTTP_STATUS: {
    severity: 'error',
    summary: 'The server answered with an HTTP status that means failure.',
    clause: 'packages/io#IO_HTTP_STATUS',
    rationale: 'The body of an error page is not part of the file.',
    hint: 'Look up the status; 429 and 5xx are worth another try later.',
  },
  IO_HTTP_BAD_RANGE: {
    severity: 'error',
    summary: 'The server answered a range request with something else than the bytes asked for.',
    clause: 'packages/io#IO_HTTP_BAD_RANGE',
    rationale: 'Bytes from another place, or compressed ones, would be parsed as if they were the right ones (RFC 9110, 14.4 and 15.3.7).',
    hint: 'Download the file first; in a browser, the server must expose Content-Range (Access-Control-Expose-Headers).',
  },
  IO_NO_RANGE_SUPPORT: {
    severity: 'error',
    summary: 'The server sends whole files only; it ignores Range.',
    clause: 'packages/io#IO_NO_RANGE_SUPPORT',
    rationale: 'Reading a header must not silently transfer a whole model.',
    hint: 'Download the file first, or let `weightspec validate --download` do it; a program may pass the option `download`.',
  },
  IO_DOWNLOAD_TOO_LARGE: {
    severity: 'error',
    summary: 'The file is larger than a download into memory may be.',
    clause: 'packages/io#IO_DOWNLOAD_TOO_LARGE',
    rationale: 'Without Range the whole body is held in memory, which is bounded.',
    hint: 'Download the file to disk and open it there, or raise maxDownloadBytes.',
  },
  IO_STREAM_TOO_LARGE: {
    severity: 'error',
    summary: 'A stream has more bytes than may be stored.',
    clause: 'packages/io#IO_STREAM_TOO_LARGE',
    rationale: 'What comes once is kept in a temporary file while it is read, and an endless stream must not fill the disk.',
    hint: 'Save the stream to a file yourself and name that.',
  },
} as const satisfies CodeTable;

export type IoCode = keyof typeof IO_CODES;

/** A fault of a device, file system, network or server: never a statement about the bytes themselves. */
export class IoError extends Error {
  override readonly name = 'IoError';
  /** What to do about it. */
  readonly hint: string;

  constructor(
    readonly code: IoCode,
    message: string,
    options: { readonly hint?: string; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.hint = options.hint ?? IO_CODES[code].hint;
  }
}

export function closedError(name: string): IoError {
  return new IoError('IO_CLOSED', `${name}: read after close`);
}

/** The text of anything thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
