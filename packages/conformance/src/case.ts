/**
 * A case is data: what goes in, what must come out, how far it may be off and why, who made it. The list (cases.json) and the files
 * that it names ship with this package; schema/cases.schema.json describes it.
 */
export const suiteNames = ['formats', 'codecs', 'ops', 'models', 'tokenizers', 'roundtrip'] as const;
export type SuiteName = (typeof suiteNames)[number];

/** How far numbers may be off. */
export interface Tolerance {
  /** Absent where each element has its own bound in the case's file. */
  readonly absolute?: number;
  readonly derivation: string;
  /** Added for engines that say they multiply int8 activations, and for no other. */
  readonly int8Activations?: { readonly absolute: number; readonly derivation: string };
}

interface CaseOf<S extends SuiteName, Inputs, Expected> {
  /** Permanent, e.g. `models/qwen1-tiny/q4_0/prompt-3`. */
  readonly id: string;
  readonly suite: S;
  readonly purpose: string;
  /** Clause of the specification that the case is about, e.g. `specs/llama2c#C-1.3`. */
  readonly clause: string | null;
  readonly inputs: Inputs;
  readonly expected: Expected;
  readonly tolerance: Tolerance | null;
  /** What made the expected values. */
  readonly generator: { readonly script: string; readonly revision: number | null };
}

export interface ExpectedDiagnostic {
  readonly code: string;
  readonly severity: 'error' | 'warning' | 'info';
  readonly byteRange?: readonly [number, number];
}

/** Place in one of the JSON files: `/cases/3`. */
export interface Listed {
  readonly file: string;
  readonly pointer: string;
}

export interface ModelInput {
  readonly format: string;
  readonly variant: string;
  /** The file to open, one of `files`. */
  readonly open: string;
  readonly files: readonly string[];
  /** What lies beside files of tensors alone, by role. */
  readonly beside: { readonly config?: string; readonly params?: string };
}

/** `llama2c`: tokenizer.bin; `qwen` and `llama3`: a rank file read as theirs. */
export type VocabularyKind = 'llama2c' | 'qwen' | 'llama3';
export interface VocabularyInput {
  readonly file: string;
  readonly kind: VocabularyKind;
}

export type FormatCase = CaseOf<
  'formats',
  { readonly file: string; readonly format: string; readonly deep: boolean; readonly detected: boolean },
  { readonly verdict: 'valid' | 'warnings' | 'invalid'; readonly variant: string | null; readonly diagnostics: readonly ExpectedDiagnostic[] }
>;
export type CodecCase = CaseOf<'codecs', Listed, Listed>;
export type OpCase = CaseOf<'ops', Listed, Listed>;
export type ModelCase = CaseOf<
  'models',
  { readonly model: ModelInput; readonly tokens: readonly number[] },
  | {
      /** Absent where only the ids are known. */
      readonly logits?: { readonly file: string; readonly firstRow: number; readonly rows: number; readonly vocabSize: number };
      readonly greedyIds: readonly number[];
    }
  | { readonly trace: string }
>;
export type TokenizerCase = CaseOf<
  'tokenizers',
  { readonly vocabulary: VocabularyInput; readonly text?: string; readonly ids?: readonly number[] },
  { readonly ids?: readonly number[]; readonly text?: string }
>;
export type RoundtripCase = CaseOf<'roundtrip', { readonly file: string; readonly format: string }, { readonly file: string }>;

export type Case = FormatCase | CodecCase | OpCase | ModelCase | TokenizerCase | RoundtripCase;

export interface CaseList {
  readonly schemaVersion: 1;
  /** Path → length and hash; a file that differs is stale, and no case may be judged by it. */
  readonly files: Readonly<Record<string, { readonly byteLength: number; readonly sha256: string }>>;
  readonly cases: readonly Case[];
}
