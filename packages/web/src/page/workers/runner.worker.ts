/** Loads and runs models away from the page's thread. */
import { expose } from 'comlink';
import { DiagnosticError, type ByteSource } from '@weightspec/core';
import { createSampler, generate, type LoadedModel } from '@weightspec/engine';
import { readVocabulary, vocabularyNames } from '@weightspec/formats';
import { blobSource } from '@weightspec/io';
import { chatMlPrompt, createTextStream, stopTokensFor, type Tokenizer } from '@weightspec/tokenizers';
import { baseName, type Item } from '../model/items.js';
import { openItem, type Opened, type OpenUrl } from '../model/opened.js';
import { loadOn } from './backends.js';
import { withFaults } from './faults.js';
import type { GenerateRequest, Generated, Runner } from './protocol.js';
import { remoteFiles } from './remote-source.js';

interface Ready {
  readonly opened: Opened;
  readonly model: LoadedModel;
  readonly tokenizer?: Tokenizer;
}

let openUrl: OpenUrl = () => Promise.reject(new Error('the network worker is not connected'));
let ready: Ready | undefined;
let controller = new AbortController();

async function release(): Promise<void> {
  const before = ready;
  ready = undefined;
  await before?.model.dispose();
  await before?.opened.close();
}

/** Files that may hold the vocabulary: those named by the person, then those beside the model with a usual name. */
function candidates(item: Item, named: readonly Blob[], { config }: LoadedModel): ByteSource[] {
  const beside = item.kind === 'url' ? [] : item.kind === 'file' ? item.beside : item.files;
  const usual = vocabularyNames(config).flatMap((name) => beside.filter(({ path }) => baseName(path) === name));
  return [...named.map((blob) => blobSource(blob)), ...usual.map(({ blob, path }) => blobSource(blob, path))];
}

/** The first vocabulary that fits, or why there is none. */
async function findTokenizer(item: Item, named: readonly Blob[], model: LoadedModel): Promise<{ tokenizer?: Tokenizer; name?: string; reason?: string }> {
  const { architecture, vocabSize } = model.config;
  const reasons: string[] = [];
  for (const source of candidates(item, named, model)) {
    const { vocabulary, otherFormat, diagnostics } = await readVocabulary(source, architecture);
    if (vocabulary?.fits(vocabSize)) return { tokenizer: await vocabulary.tokenizer(vocabSize), name: source.name };
    if (vocabulary) reasons.push(`${source.name} has ${vocabulary.tokenCount} tokens, the model ${vocabSize}`);
    else reasons.push(otherFormat === undefined ? `${source.name}: ${diagnostics[0]?.code}` : `${source.name} is a file of the format ${otherFormat}`);
  }
  return { reason: reasons.join('; ') || `there is no ${vocabularyNames(model.config).join(', ')} beside the model` };
}

function promptTokens({ prompt, chat }: GenerateRequest, tokenizer: Tokenizer | undefined): readonly number[] {
  if (!tokenizer) {
    if (!/^\s*\d+(\s*,\s*\d+)*\s*$/.test(prompt)) throw new Error('without its tokenizer the model takes token ids: numbers with commas between them, such as 1, 2, 3');
    return prompt.split(',').map(Number);
  }
  // Control tokens that a person spells out count as such, but not in a message of a chat.
  return chat ? chatMlPrompt(tokenizer, [{ role: 'user', content: prompt }]) : tokenizer.encode(prompt, { bos: true, control: true });
}

const runner: Runner = {
  connectNetwork(port) {
    openUrl = remoteFiles(port);
  },
  async prepare(item, vocabularies, asked) {
    await release();
    const opened = await openItem(item, openUrl);
    const { checkpoint, beside, diagnostics } = opened;
    const errors = diagnostics.filter(({ severity }) => severity === 'error');
    if (!checkpoint || errors.length > 0) throw new DiagnosticError(errors);
    const { model, backend, refused } = await loadOn(asked, checkpoint, { beside });
    const { tokenizer, name, reason } = await findTokenizer(item, vocabularies, model);
    ready = { opened, model, ...(tokenizer ? { tokenizer } : {}) };
    return {
      architecture: model.config.architecture,
      backend,
      refused,
      contextLength: model.contextLength,
      vocabSize: model.config.vocabSize,
      chat: tokenizer?.controlId?.('<|im_start|>') !== undefined,
      ...(name === undefined ? {} : { tokenizer: name }),
      ...(reason === undefined ? {} : { noTokenizer: reason }),
    };
  },
  async generate(request, onText) {
    if (!ready) throw new Error('no model is loaded');
    const { model, tokenizer } = ready;
    controller = new AbortController();
    const prompt = promptTokens(request, tokenizer);
    const sampler = createSampler({ temperature: request.temperature, topP: request.topP, seed: request.seed });
    const stream = tokenizer ? createTextStream(tokenizer, { previous: prompt.at(-1), filter: 'printable' }) : idStream();
    const tokens = generate(model, { promptTokens: prompt, maxNewTokens: request.maxNewTokens, sampler, stopTokens: stopTokensFor(model, tokenizer), signal: controller.signal });
    return timed(tokens, prompt.length, (id, count) => onText(stream.push(id), count), () => onText(stream.end(), -1));
  },
  stop() {
    controller.abort(new Error('stopped'));
  },
};

/** Ids with commas between them. */
function idStream(): { push(id: number): string; end(): string } {
  let separator = '';
  return {
    push(id) {
      const text = `${separator}${id}`;
      separator = ', ';
      return text;
    },
    end: () => '',
  };
}

/** Passes tokens on and counts the time to the first, which reads the prompt, apart from the others. */
async function timed(tokens: ReturnType<typeof generate>, promptLength: number, onToken: (id: number, count: number) => void, onEnd: () => void): Promise<Generated> {
  const started = performance.now();
  let first = started;
  let last = started;
  let count = 0;
  const result = (reason: Generated['reason']): Generated => ({
    reason,
    promptTokens: promptLength,
    newTokens: count,
    firstTokenSeconds: (first - started) / 1000,
    ...(count > 1 && last > first ? { tokensPerSecond: ((count - 1) * 1000) / (last - first) } : {}),
  });
  try {
    for (;;) {
      const step = await tokens.next();
      if (step.done) return result(step.value.reason);
      last = performance.now();
      count += 1;
      if (count === 1) first = last;
      onToken(step.value.id, count);
    }
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    return result('stopped');
  } finally {
    onEnd();
  }
}

expose(withFaults(runner));
