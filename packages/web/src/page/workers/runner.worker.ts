/** Loads and runs models away from the page's thread. */
import { expose } from 'comlink';
import { DiagnosticError, type ByteSource, type Checkpoint } from '@weightspec/core';
import { createSampler, generate, type LoadedModel } from '@weightspec/engine';
import { readVocabulary, vocabularyNames, type OpenAddress } from '@weightspec/formats';
import { blobSource } from '@weightspec/io';
import { chatMlPrompt, createTextStream, stopTokensFor, type Tokenizer } from '@weightspec/tokenizers';
import { openItem, type Opened } from '../model/opened.js';
import { loadOn } from './backends.js';
import { withFaults } from './faults.js';
import { nowAndThen } from './now-and-then.js';
import type { GenerateRequest, Generated, Runner } from './protocol.js';
import { remoteFiles } from './remote-source.js';

interface Ready {
  readonly opened: Opened;
  readonly model: LoadedModel;
  readonly tokenizer?: Tokenizer;
}

let openAddress: OpenAddress = () => Promise.reject(new Error('the network worker is not connected'));
let ready: Ready | undefined;
let controller = new AbortController();

async function release(): Promise<void> {
  const before = ready;
  ready = undefined;
  await before?.model.dispose();
  await before?.opened.close();
}

/** Files that may hold the vocabulary: those named by the person, then those beside the model with a usual name. */
async function* candidates(named: readonly Blob[], { resolve }: Opened, { config }: LoadedModel): AsyncGenerator<ByteSource> {
  yield* named.map((blob) => blobSource(blob));
  for (const name of vocabularyNames(config)) {
    const source = await resolve(name);
    if (source) yield source;
  }
}

/** The first vocabulary that fits, or why there is none. */
async function findTokenizer(named: readonly Blob[], opened: Opened, model: LoadedModel): Promise<{ tokenizer?: Tokenizer; name?: string; reason?: string }> {
  const { architecture, vocabSize } = model.config;
  const reasons: string[] = [];
  for await (const source of candidates(named, opened, model)) {
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
    openAddress = remoteFiles(port);
  },
  async prepare(item, vocabularies, asked, onRead) {
    await release();
    const reading = readingOf(onRead);
    const opened = await openItem(item, openAddress, { onRead: (byteCount) => reading.add(byteCount) });
    const { checkpoint, beside, diagnostics } = opened;
    const errors = diagnostics.filter(({ severity }) => severity === 'error');
    if (!checkpoint || errors.length > 0) throw new DiagnosticError(errors);
    reading.start(checkpoint);
    const { model, backend, refused } = await loadOn(asked, checkpoint, { beside });
    const { tokenizer, name, reason } = await findTokenizer(vocabularies, opened, model);
    ready = { opened, model, ...(tokenizer ? { tokenizer } : {}) };
    return {
      architecture: model.config.architecture,
      backend,
      refused,
      contextLength: model.contextLength,
      vocabSize: model.config.vocabSize,
      asked: opened.asked(),
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

/** Which part of the weights has been read. Before `start`, nothing counts: headers are no weights. */
function readingOf(onRead: (done: number) => void) {
  const report = nowAndThen((done, total) => onRead(done / total));
  let done = 0;
  let total = 0;
  return {
    start({ tensors }: Checkpoint): void {
      done = 0;
      total = tensors.reduce((sum, { location }) => sum + location.length, 0);
    },
    add(byteCount: number): void {
      done = Math.min(total, done + byteCount);
      if (total > 0) report(done, total);
    },
  };
}

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
