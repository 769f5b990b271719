import { DiagnosticError, type Backend, type Checkpoint } from '@weightspec/core';
import { loadModel, type LoadedModel } from '@weightspec/engine';
import { chooseBackend, type BackendChoice } from './backends.js';
import { CliError } from './codes.js';
import { besideModel } from './beside.js';
import { openModel } from './inputs.js';
import type { Terminal } from './terminal.js';

export interface ReadyModel {
  readonly path: string;
  readonly checkpoint: Checkpoint;
  readonly model: LoadedModel;
  readonly backend: Backend;
}

/**
 * Opens and loads the model at `target`, hands it to `use` and closes everything again.
 * Throws DiagnosticError for a file with errors: it is never run.
 */
export async function withModel<T>(target: string, choice: BackendChoice, terminal: Terminal, use: (ready: ReadyModel) => Promise<T>): Promise<T> {
  const backend = await chooseBackend(choice, terminal);
  const { source, checkpoint, diagnostics, beside } = await openModel(target);
  try {
    const errors = diagnostics.filter(({ severity }) => severity === 'error');
    if (!checkpoint || errors.length > 0) throw new DiagnosticError(errors);
    const model = await loadModel(checkpoint, { backend, beside: beside ?? (await besideModel(source.name, checkpoint)) });
    try {
      return await use({ path: source.name, checkpoint, model, backend });
    } finally {
      await model.dispose();
    }
  } finally {
    await source.close();
  }
}

/** Throws CliError unless `tokens` are ids of `model` and fit its context. */
export function assertTokens(tokens: readonly number[], { program, contextLength }: LoadedModel): void {
  const wrong = tokens.find((id) => id >= program.vocabSize);
  if (wrong !== undefined) throw new CliError('CLI_BAD_TOKEN', `token ${wrong} is outside a vocabulary of ${program.vocabSize}`);
  if (tokens.length > contextLength) throw new CliError('CLI_TOO_LONG', `${tokens.length} tokens do not fit the ${contextLength} positions of this model`);
}
