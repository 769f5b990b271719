/**
 * What is tested: an engine of ours, or an outside program behind the adapter protocol. Every method is optional; a case that needs
 * one that is missing is skipped. A method throws Unsupported where it cannot do what is asked, and anything else is a failure.
 */
import type { ModelInput, VocabularyKind } from './case.js';
import type { CaseFile } from './files.js';

export interface ValidateAnswer {
  /** `accept` and `reject` from programs that know no warnings: `accept` means valid or warnings. */
  readonly verdict: 'valid' | 'warnings' | 'invalid' | 'accept' | 'reject';
  readonly variant?: string | null;
  /** Absent from programs that have other codes than ours. */
  readonly diagnostics?: readonly { readonly code: string; readonly severity: string; readonly byteRange?: readonly [number, number] }[];
}

export interface ModelFiles extends Omit<ModelInput, 'open' | 'files' | 'beside'> {
  readonly open: CaseFile;
  readonly files: readonly CaseFile[];
  readonly beside: { readonly config?: CaseFile; readonly params?: CaseFile };
}

/** A model ready to run. */
export interface RunningModel {
  /**
   * Logits after each of `tokens` from position 0, [tokens.length, vocabSize]. The first `promptTokens` may be read at once; the rest
   * one by one, as a generation does.
   */
  logits(tokens: readonly number[], promptTokens: number): Promise<Float32Array>;
  /** Compares activations with golden ones; undefined when all agree, otherwise the departure in words. */
  departure?(tokens: readonly number[], golden: CaseFile): Promise<string | undefined>;
  close(): Promise<void>;
}

export interface EncodedBlocks {
  /** As in the case: Q4_0, F16, llama2c-q8. */
  readonly storage: string;
  readonly bytes: Uint8Array;
  /** Int8 groups only. */
  readonly scales?: Float32Array;
  readonly groupSize?: number;
}

/** An op alone, with what it reads. Values are f32. */
export interface OpInput {
  readonly op: string;
  readonly attributes: Readonly<Record<string, number | string>>;
  /** Rows by name: x, q, k, v, gate, up, a, b. */
  readonly rows: Readonly<Record<string, Matrix>>;
  readonly tokens?: readonly number[];
  readonly weight?: StoredMatrix;
  readonly bias?: Matrix;
}
export interface Matrix {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}
export interface StoredMatrix extends EncodedBlocks {
  readonly shape: readonly number[];
}

export interface Subject {
  readonly name: string;
  readonly version?: string;
  /** Whether weights stored as `storage` are multiplied with activations rounded to int8. Default: no. */
  readonly int8Activations?: (storage: string) => boolean;
  validate?(file: CaseFile, options: { readonly format: string; readonly deep: boolean; readonly detected: boolean }): Promise<ValidateAnswer>;
  /** Bytes of `file` read and written again. */
  roundtrip?(file: CaseFile, format: string): Promise<Uint8Array>;
  dequantize?(blocks: EncodedBlocks): Promise<Float32Array>;
  quantize?(storage: string, values: Float32Array, groupSize?: number): Promise<EncodedBlocks>;
  /** Rows of the op's output, all positions. */
  run?(op: OpInput): Promise<Float32Array>;
  load?(model: ModelFiles): Promise<RunningModel>;
  encode?(vocabulary: { readonly file: CaseFile; readonly kind: VocabularyKind }, text: string): Promise<readonly number[]>;
  decode?(vocabulary: { readonly file: CaseFile; readonly kind: VocabularyKind }, ids: readonly number[]): Promise<string>;
  /** Ends the outside program, frees devices. */
  close?(): Promise<void>;
}
