/** Where a command writes. Passed in, so that tests see every byte without a process. */
export interface Output {
  write(chunk: string | Uint8Array): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface Terminal {
  /** Results only. */
  readonly stdout: Output;
  /** Errors, progress, speed. */
  readonly stderr: Output;
  /** What `-` stands for. Asked for only then. */
  readonly stdin?: () => AsyncIterable<Uint8Array>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Exit codes, as docs/cli.md promises them. */
export const EXIT = {
  ok: 0,
  /** Errors were found in a file. */
  invalid: 1,
  /** Wrong usage, or I/O trouble. */
  trouble: 2,
} as const;

/** NO_COLOR, FORCE_COLOR and TERM=dumb as no-color.org and Node have them; otherwise colour goes to terminals only. */
export function wantsColor(output: Output, env: Terminal['env']): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR && env.FORCE_COLOR !== '0') return true;
  return output.isTTY === true && env.TERM !== 'dumb';
}
