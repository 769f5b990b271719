import type { Backend, Checkpoint, Executable, Program, WeightMap } from '@weightspec/core';
import { BackendError, referenceBackend, weightsOf } from '@weightspec/kernels';
import { modelOf, type BesideModel, type DecoderConfig } from '@weightspec/models';

export interface LoadOptions {
  /** What runs the model. Default: the reference backend. */
  readonly backend?: Backend;
  /** Positions to keep; at most, and by default, those the model was trained for. */
  readonly contextLength?: number;
  /** Bytes of weights to hold in memory; the others are read again for every token. Default: the backend's own. */
  readonly memoryBudgetBytes?: number;
  /** What lies beside a file of tensors alone: config.json or params.json. */
  readonly beside?: BesideModel;
}

/** A model with its KV cache, ready to run one sequence at a time. */
export interface LoadedModel {
  readonly config: DecoderConfig;
  readonly program: Program;
  readonly weights: WeightMap;
  readonly backendId: string;
  /** Positions that one sequence can have. */
  readonly contextLength: number;
  /** Ids that end a text, as the file or its configuration says. */
  readonly stopTokens: readonly number[];
  readonly executable: Executable;
  /** Claims the KV cache for one sequence; throws when another one has it. Returns what gives it back. */
  claim(): () => void;
  /** Forgets weights and cache. The sources of the weights stay open: they belong to whoever opened them. */
  dispose(): Promise<void>;
}

/**
 * Makes a checkpoint ready to run. Throws ModelError when it does not hold a whole model, BackendError when the backend cannot
 * run it, RangeError for a context outside 1 … the trained length.
 */
export async function loadModel(checkpoint: Checkpoint, options: LoadOptions = {}): Promise<LoadedModel> {
  const { backend = referenceBackend } = options;
  const { config, program: trained, weights, stopTokens } = modelOf(checkpoint, options.beside);
  const contextLength = options.contextLength ?? config.maxSeqLen;
  if (!Number.isSafeInteger(contextLength) || contextLength < 1 || contextLength > config.maxSeqLen) {
    throw new RangeError(`a context of ${contextLength} positions is not within 1 and the ${config.maxSeqLen} that the model was trained for`);
  }
  const program: Program = { ...trained, maxSeqLen: contextLength };
  assertSupported(backend, program, weights);
  const executable = await backend.compile(program, weights, { memoryBudgetBytes: options.memoryBudgetBytes });

  let claimed = false;
  return {
    config,
    program,
    weights,
    backendId: backend.id,
    contextLength,
    stopTokens,
    executable,
    claim() {
      if (claimed) throw new Error('this model is already running a sequence; finish it, or load the model a second time');
      claimed = true;
      return () => {
        claimed = false;
      };
    },
    dispose: () => executable.dispose(),
  };
}

/** Throws BackendError (OP_UNSUPPORTED) naming every op and storage that `backend` lacks. */
function assertSupported(backend: Backend, program: Program, weights: WeightMap): void {
  const lacking = new Set<string>();
  for (const op of program.ops) {
    const storages = weightsOf(op).map((name) => weights.get(name)?.storage);
    if (storages.length === 0 && !backend.supports(op.op)) lacking.add(op.op);
    for (const storage of storages) if (!backend.supports(op.op, storage)) lacking.add(`${op.op} with ${storage} weights`);
  }
  if (lacking.size > 0) throw new BackendError('OP_UNSUPPORTED', `the backend ${backend.id} cannot run ${[...lacking].join(', ')}`);
}
