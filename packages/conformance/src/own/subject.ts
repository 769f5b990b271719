/** This project as the subject: its readers, validators, writers, codecs and tokenizers, and one of its backends. */
import { codecOf, llama2cQ8, type PackedScheme } from '@weightspec/codecs';
import { dtype, readTensor, verdictOf, type Backend, type ByteSource, type Checkpoint, type Diagnostic, type Format } from '@weightspec/core';
import { compareTrace, describeDeparture, loadModel, type LoadedModel } from '@weightspec/engine';
import { formats as allFormats, open, openFolder } from '@weightspec/formats';
import { memorySink, memorySource } from '@weightspec/io';
import { BackendError } from '@weightspec/kernels';
import { readTokenizerBin } from '@weightspec/llama2c';
import { createLlama3Tokenizer, createQwenTokenizer, createScoreBpeTokenizer, readTiktokenRanks, type Tokenizer } from '@weightspec/tokenizers';
import type { VocabularyKind } from '../case.js';
import { ConformanceError, Unsupported } from '../codes.js';
import type { CaseFile } from '../files.js';
import type { EncodedBlocks, ModelFiles, RunningModel, Subject } from '../subject.js';
import { runOpAlone } from './op-program.js';

export interface OwnSubjectOptions {
  readonly backend: Backend;
  /** Default: all of @weightspec/formats. */
  readonly formats?: readonly Format[];
  /** Opens a model's file; by default its bytes, in memory. Backends that map files want the file itself. */
  readonly openFile?: (file: CaseFile) => Promise<ByteSource>;
  readonly version?: string;
}

const inMemory = async (file: CaseFile): Promise<ByteSource> => memorySource(await file.bytes(), file.path);

export function weightspecSubject({ backend, formats = allFormats, openFile = inMemory, version }: OwnSubjectOptions): Subject {
  const tokenizers = new Map<string, Promise<Tokenizer>>();
  const tokenizerOf = ({ file, kind }: { readonly file: CaseFile; readonly kind: VocabularyKind }): Promise<Tokenizer> => {
    const key = `${kind} ${file.path}`;
    const found = tokenizers.get(key) ?? readTokenizer(file, kind);
    tokenizers.set(key, found);
    return found;
  };
  return {
    name: `weightspec, backend ${backend.id}`,
    version,
    int8Activations: (storage) => backend.activationBlock?.(storage) !== undefined,
    validate: (file, options) => validate(file, formats, options),
    roundtrip: (file, format) => writeAgain(file, formatNamed(format, formats)),
    dequantize: async (blocks) => dequantize(blocks),
    quantize: async (storage, values, groupSize) => quantize(storage, values, groupSize),
    run: (op) => runOpAlone(backend, op),
    load: (model) => load(model, { backend, formats, openFile }),
    encode: async (vocabulary, text) => (await tokenizerOf(vocabulary)).encode(text, { bos: vocabulary.kind === 'llama2c' }),
    decode: async (vocabulary, ids) => (await tokenizerOf(vocabulary)).decode(ids),
  };
}

function formatNamed(id: string, formats: readonly Format[]): Format {
  const format = formats.find((one) => one.id === id);
  if (!format) throw new Unsupported(`it does not read the format ${id}`);
  return format;
}

/** The format is taken as named where its bytes cannot give it away; otherwise it must claim them, and no other may come before it. */
async function validate(file: CaseFile, formats: readonly Format[], { format: id, deep, detected }: { readonly format: string; readonly deep: boolean; readonly detected: boolean }) {
  const format = formatNamed(id, formats);
  const source = memorySource(await file.bytes(), file.path);
  const claims = format.detect(await source.read(0, Math.min(source.size, format.detectBytes)), file.path, source.size) !== undefined;
  const found = detected ? ((await open(source, formats)).format?.id ?? (claims ? id : undefined)) : id;
  if (found !== id) throw new ConformanceError('CONFORM_VERDICT', `recognised as ${found ?? 'nothing'}, not as ${id}`);
  const { checkpoint, variant, diagnostics } = await format.read(source);
  const all = [...diagnostics, ...(checkpoint ? (await format.validate(checkpoint, { deep })).diagnostics : [])];
  return { verdict: verdictOf(all), variant: checkpoint?.variant ?? variant ?? null, diagnostics: all };
}

async function writeAgain(file: CaseFile, format: Format): Promise<Uint8Array> {
  if (!format.write) throw new Unsupported(`it does not write the format ${format.id}`);
  const { checkpoint, diagnostics } = await format.read(memorySource(await file.bytes(), file.path));
  const sink = memorySink();
  await format.write(soundCheckpoint(checkpoint, diagnostics), sink);
  return sink.bytes();
}

function soundCheckpoint(checkpoint: Checkpoint | undefined, diagnostics: readonly Diagnostic[]): Checkpoint {
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (!checkpoint || errors.length > 0) throw new Error(errors.map(({ code, message }) => `${code}: ${message}`).join('; ') || 'no checkpoint could be read');
  return checkpoint;
}

const schemeOf = (storage: string): PackedScheme | undefined => (storage === llama2cQ8.scheme ? llama2cQ8 : undefined);

function dequantize({ storage, bytes, scales = new Float32Array(), groupSize = 0 }: EncodedBlocks): Float32Array {
  const values = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  return schemeOf(storage)?.dequantizeGroups({ values, scales }, groupSize) ?? codecOf(dtype(storage)).dequantize(bytes);
}

function quantize(storage: string, values: Float32Array, groupSize = 0): EncodedBlocks {
  const groups = schemeOf(storage)?.quantizeGroups(values, groupSize);
  if (!groups) return { storage, bytes: codecOf(dtype(storage)).quantize(values) };
  return { storage, groupSize, scales: groups.scales, bytes: new Uint8Array(groups.values.buffer, groups.values.byteOffset, groups.values.length) };
}

async function readTokenizer(file: CaseFile, kind: VocabularyKind): Promise<Tokenizer> {
  const source = memorySource(await file.bytes(), file.path);
  if (kind === 'llama2c') {
    const { tokenizer, diagnostics } = await readTokenizerBin(source);
    if (!tokenizer) throw new Error(diagnostics.map(({ code }) => code).join());
    return createScoreBpeTokenizer({ pieces: tokenizer.pieces, scores: tokenizer.scores, byteTokens: tokenizer.generation === 'gen5' ? 'hex' : 'utf8' });
  }
  const { ranks, diagnostics } = await readTiktokenRanks(source);
  if (!ranks) throw new Error(diagnostics.map(({ code }) => code).join());
  return kind === 'qwen' ? createQwenTokenizer(ranks) : createLlama3Tokenizer(ranks);
}

async function load(files: ModelFiles, { backend, formats, openFile }: Required<Pick<OwnSubjectOptions, 'backend' | 'formats' | 'openFile'>>): Promise<RunningModel> {
  const { beside } = files;
  const opened = files.open.path.endsWith('.index.json') ? await openShards(files, openFile) : await openAlone(files.open, formats, openFile);
  try {
    const [config, params] = await Promise.all([parsed(beside.config), parsed(beside.params)]);
    return running(await loadModel(soundCheckpoint(opened.checkpoint, opened.diagnostics), { backend, beside: { config, params } }), opened.close);
  } catch (error) {
    await opened.close();
    if (error instanceof BackendError && (error.code === 'OP_UNSUPPORTED' || error.code === 'STORAGE_UNSUPPORTED')) throw new Unsupported(error.message);
    throw error;
  }
}

interface OpenedWeights {
  readonly checkpoint?: Checkpoint;
  readonly diagnostics: readonly Diagnostic[];
  readonly close: () => Promise<void>;
}

async function openAlone(file: CaseFile, formats: readonly Format[], openFile: Required<OwnSubjectOptions>['openFile']): Promise<OpenedWeights> {
  const source = await openFile(file);
  return { ...(await open(source, formats)), close: async () => source.close?.() };
}

/** An index with its shards, as the folder that they would be. */
async function openShards({ files }: ModelFiles, openFile: Required<OwnSubjectOptions>['openFile']): Promise<OpenedWeights> {
  const byName = new Map(files.map((file) => [file.path.slice(file.path.lastIndexOf('/') + 1), file]));
  const listing = await Promise.all(Array.from(byName, async ([name, file]) => ({ name, size: (await file.bytes()).length })));
  return openFolder(listing, async (name) => {
    const file = byName.get(name);
    return file && openFile(file);
  });
}

const parsed = async (file: CaseFile | undefined): Promise<unknown> => (file ? JSON.parse(new TextDecoder().decode(await file.bytes())) : undefined);

function running(model: LoadedModel, closeFiles: () => Promise<void>): RunningModel {
  return {
    async logits(tokens, promptTokens) {
      const { executable, program } = model;
      const rows = new Float32Array(tokens.length * program.vocabSize);
      rows.set(await executable.run(tokens.slice(0, promptTokens), 0, { all: true }));
      for (let position = promptTokens; position < tokens.length; position += 1) rows.set(await executable.run(tokens.slice(position, position + 1), position), position * program.vocabSize);
      return rows;
    },
    async departure(tokens, golden) {
      const { departure } = await compareTrace(model, tokens, await activationsOf(golden), { ropeOrder: model.config.architecture === 'llama' ? 'meta' : 'hf' });
      return departure && describeDeparture(departure);
    },
    async close() {
      await model.dispose();
      await closeFiles();
    },
  };
}

/** Every tensor of a golden's file as f32. */
async function activationsOf(golden: CaseFile): Promise<ReadonlyMap<string, Float32Array>> {
  const { checkpoint, diagnostics } = await open(memorySource(await golden.bytes(), golden.path));
  const { tensors } = soundCheckpoint(checkpoint, diagnostics);
  const read = await Promise.all(tensors.map(async (tensor) => [tensor.name, codecOf(tensor.dtype).dequantize(await readTensor(tensor))] as const));
  return new Map(read);
}
