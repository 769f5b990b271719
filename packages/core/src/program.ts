import type { TensorInfo } from './checkpoint.js';

/**
 * The flat list of operations that one decoder forward is.
 * An architecture (`@weightspec/models`) only builds a Program; a backend only runs one.
 * Plain data: a Program can be printed, compared, sent to a worker.
 *
 * Buffers hold one row of f32 a token. A weight is named as in the checkpoint after renaming to the scheme
 * that the architecture asked for; matrices are [out, in] and a matmul is y = W x.
 */
export interface BufferSpec {
  readonly name: string;
  /** f32 elements per token. */
  readonly width: number;
}

export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

/** `interleaved` rotates (2i, 2i+1) as Meta and llama2.c do; `halves` rotates (i, i + headDim/2) as HF does. */
export type RopeStyle = 'interleaved' | 'halves';

/** Every op may carry `layer`, for traces and for the KV cache. */
export type Op =
  /** out[t] = weight[token[t]] */
  | { readonly op: 'embed'; readonly weight: string; readonly out: string; readonly layer?: number }
  /** out = x / sqrt(mean(x²) + eps) · weight */
  | { readonly op: 'rmsnorm'; readonly x: string; readonly weight: string; readonly eps: number; readonly out: string; readonly layer?: number }
  /** out = W x (+ bias), weight [out, in] */
  | { readonly op: 'matmul'; readonly x: string; readonly weight: string; readonly bias?: string; readonly out: string; readonly layer?: number }
  /** Rotates `x` in place by position · theta^(−2i/headDim). */
  | { readonly op: 'rope'; readonly x: string; readonly heads: number; readonly headDim: number; readonly theta: number; readonly style: RopeStyle; readonly layer?: number }
  /** Appends k and v to the layer's cache, then out = softmax(q kᵀ / sqrt(headDim)) v over positions ≤ own. Query head h reads kv head floor(h · kvHeads / heads). */
  | { readonly op: 'attention'; readonly q: string; readonly k: string; readonly v: string; readonly out: string; readonly heads: number; readonly kvHeads: number; readonly headDim: number; readonly layer: number }
  /** out = silu(gate) · up */
  | { readonly op: 'swiglu'; readonly gate: string; readonly up: string; readonly out: string; readonly layer?: number }
  /** out = a + b */
  | { readonly op: 'add'; readonly a: string; readonly b: string; readonly out: string; readonly layer?: number };

export type OpName = Op['op'];

export interface Program {
  /** e.g. `llama`. */
  readonly architecture: string;
  readonly vocabSize: number;
  /** Positions that the KV cache can hold. */
  readonly maxSeqLen: number;
  readonly layers: number;
  /** kvHeads · headDim: f32 elements of k (and of v) per position and layer. */
  readonly kvWidth: number;
  readonly buffers: readonly BufferSpec[];
  readonly weights: readonly WeightSpec[];
  readonly ops: readonly Op[];
  /** Buffer that holds the logits when the last op is done; width = vocabSize. */
  readonly logits: string;
}

/**
 * One weight as a backend gets it: the bytes as they lie in the file, and how to understand them.
 * `read` gives rows, so that nobody has to hold a whole matrix.
 */
export interface WeightHandle {
  readonly name: string;
  readonly shape: readonly number[];
  /** Upper-case dtype name, or the scheme's name for a packed tensor (`llama2c-q8`). */
  readonly storage: string;
  /** Parts by role; a plain tensor has the single role `values`. */
  readonly parts: Readonly<Record<string, TensorInfo>>;
  readonly groupSize?: number;
}

/** Weight name (as in `Program.weights`) → handle. */
export type WeightMap = ReadonlyMap<string, WeightHandle>;

export interface RunOptions {
  /** Logits of every token given rather than of the last only. */
  readonly all?: boolean;
  readonly signal?: AbortSignal;
  /** Called after each op with a copy of its output rows; slow, for bisecting a mismatch. */
  readonly trace?: (op: Op, index: number, rows: Float32Array) => void;
}

/** A program compiled for one backend, with its own KV cache. */
export interface Executable {
  /** For each op of the program, in order: what computes it, for people, e.g. `wasm, 2 threads`. Absent where the backend's id says it all. */
  readonly placement?: readonly string[];
  /** Tokens of a prompt that it reads fastest in one run. Absent: it does not matter, and a caller takes few, to hear an abort soon. */
  readonly batchTokens?: number;
  /**
   * Runs `tokens` at positions [position, position + tokens.length) and returns logits: rows × vocabSize f32,
   * one row (the last) or, with `all`, one a token. Throws RangeError for ids or positions out of range.
   */
  run(tokens: readonly number[], position: number, options?: RunOptions): Promise<Float32Array>;
  /**
   * Runs `tokens` at `position`, then always the likeliest token, and yields each of these: `count` ids, the last of which is not run.
   * The likeliest is the lowest id of the largest logit; NaN and −∞ are none, and where nothing else is, −1 ends it. Logits stay where
   * they are computed: backends that gain nothing from that lack this. It may run a little ahead of what it has yielded. Throws
   * RangeError for ids or positions out of range.
   */
  greedy?(tokens: readonly number[], position: number, count: number, options?: Pick<RunOptions, 'signal'>): AsyncGenerator<number, void, undefined>;
  dispose(): Promise<void>;
}

export interface CompileOptions {
  /** Bytes of weights that the backend may hold in memory; it reads the others from their sources at each use. */
  readonly memoryBudgetBytes?: number;
}

export interface Backend {
  readonly id: string;
  /** Whether this backend runs `op` on weights stored as `storage` (absent for ops without a weight). */
  supports(op: OpName, storage?: string): boolean;
  /**
   * Elements of an activation row that share one int8 scale where this backend multiplies weights stored as `storage` in integers.
   * Undefined, or absent: it multiplies in floating point. Conformance widens tolerances by what that rounding can do, and no more.
   */
  activationBlock?(storage: string): number | undefined;
  compile(program: Program, weights: WeightMap, options?: CompileOptions): Promise<Executable>;
}
