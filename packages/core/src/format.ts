import type { ByteSink, ByteSource } from './byte-source.js';
import type { Checkpoint } from './checkpoint.js';
import type { CodeTable, Diagnostic } from './diagnostic.js';

/**
 * How sure `detect` is. `certain`: a magic number. `likely`: no magic, but the whole file adds up.
 * `possible`: a damaged or truncated file that still looks like this format.
 */
export type Confidence = 'certain' | 'likely' | 'possible';

export interface Detection {
  readonly confidence: Confidence;
  /** What was seen, e.g. `bytes 24ka at 0`. */
  readonly evidence: string;
}

export interface ReadResult {
  /** Absent when the file is too damaged for a directory. */
  readonly checkpoint?: Checkpoint;
  /** Best guess, also for files that are too damaged for a checkpoint. */
  readonly variant?: string;
  readonly diagnostics: readonly Diagnostic[];
}

export interface Progress {
  /** Called now and then with bytes done and bytes in all. */
  (doneBytes: number, totalBytes: number): void;
}

export interface ValidateOptions {
  /** Read every tensor byte once, in a bounded buffer. Default: headers and a bounded sample only. */
  readonly deep?: boolean;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

export interface ValidateResult {
  readonly diagnostics: readonly Diagnostic[];
  /** What was looked at, in words, e.g. `every scale and value of 48 tensors`. */
  readonly checked: readonly string[];
  /** What was not, in words; never left out when something was skipped. */
  readonly notChecked: readonly string[];
}

/** A file format: one package, one row in `@weightspec/formats`. */
export interface Format {
  readonly id: string;
  readonly title: string;
  readonly variants: readonly string[];
  /** Usual file name endings, with the dot. */
  readonly extensions: readonly string[];
  readonly codes: CodeTable;
  /** Bytes of the head that `detect` wants to see; fewer are given when the file is shorter. */
  readonly detectBytes: number;
  /** Cheap, synchronous and loose: a damaged file of this format should still be claimed. */
  detect(head: Uint8Array, name: string, size: number): Detection | undefined;
  /** Reads the header and the tensor directory. Bad bytes become diagnostics; only I/O faults throw. */
  read(source: ByteSource): Promise<ReadResult>;
  /** Checks beyond what `read` found. */
  validate(checkpoint: Checkpoint, options?: ValidateOptions): Promise<ValidateResult>;
  /** Writes `checkpoint` in its own variant. `write(read(f))` is byte-exact for every valid file. */
  write?(checkpoint: Checkpoint, sink: ByteSink): Promise<void>;
}
