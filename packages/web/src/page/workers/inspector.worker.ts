/** Opens, checks and reads files away from the page's thread. */
import { expose, transfer } from 'comlink';
import { elementCount, type ByteSource, type Checkpoint } from '@weightspec/core';
import { codeFamilies, fieldMap, type FieldMap, type OpenAddress, type Report } from '@weightspec/formats';
import { smoothquantCodes } from '@weightspec/smoothquant';
import { analyse, valuesOf, valuesShown } from '../model/analysis.js';
import { openItem, type Opened } from '../model/opened.js';
import { withFaults } from './faults.js';
import { nowAndThen } from './now-and-then.js';
import type { Checked, Inspector, TensorRow } from './protocol.js';
import { remoteFiles } from './remote-source.js';

let openAddress: OpenAddress = () => Promise.reject(new Error('the network worker is not connected'));
let current: Opened | undefined;
let fieldMaps = new Map<ByteSource, Promise<FieldMap>>();
/** One for each of the tasks that may go on beside each other. */
const controllers = { checkDeep: new AbortController(), analyse: new AbortController() };

function started(task: keyof typeof controllers): AbortSignal {
  controllers[task] = new AbortController();
  return controllers[task].signal;
}

function cancel(task: keyof typeof controllers): void {
  controllers[task].abort(new Error('cancelled'));
}

function opened(): Opened {
  if (!current) throw new Error('nothing is open');
  return current;
}

function fieldsOf(source: ByteSource): Promise<FieldMap> {
  const known = fieldMaps.get(source) ?? fieldMap(source);
  fieldMaps.set(source, known);
  return known;
}

/** Every code that a report may have. */
const allCodes = new Map([...codeFamilies().map(({ codes }) => codes), smoothquantCodes].flatMap((codes) => Object.entries(codes)));

function withCodes(report: Report): Checked {
  const found = [...new Set(report.diagnostics.map(({ code }) => code))];
  return { report, codes: Object.fromEntries(found.flatMap((code) => (allCodes.has(code) ? [[code, allCodes.get(code)!]] : []))) };
}

function tensorRows(checkpoint: Checkpoint): TensorRow[] {
  const hasValues = valuesShown(checkpoint);
  return checkpoint.tensors.map((tensor) => ({
    name: tensor.name,
    dtype: tensor.dtype.name,
    shape: tensor.shape,
    elementCount: elementCount(tensor.shape),
    byteLength: tensor.location.length,
    byteOffset: tensor.location.offset,
    file: tensor.location.source.name,
    hasValues: hasValues(tensor),
  }));
}

const inspector: Inspector = {
  connectNetwork(port) {
    openAddress = remoteFiles(port);
  },
  async open(item, onAsk) {
    cancel('checkDeep');
    cancel('analyse');
    await current?.close();
    current = undefined;
    fieldMaps = new Map();
    current = await openItem(item, openAddress, { onAsk });
    const { checkpoint, evidence, sources } = current;
    return {
      ...withCodes(await current.report()),
      evidence,
      metadata: checkpoint?.metadata ?? {},
      tensors: checkpoint ? tensorRows(checkpoint) : [],
      files: [...sources.values()].map(({ name, size }) => ({ name, size })),
      asked: current.asked(),
    };
  },
  async checkDeep(progress) {
    return withCodes(await opened().report({ deep: true, signal: started('checkDeep'), progress: nowAndThen(progress) }));
  },
  async window(file, offset, length) {
    const source = opened().sources.get(file);
    if (!source) throw new RangeError(`no file is called ${file}`);
    const end = Math.min(source.size, offset + length);
    const bytes = await source.read(offset, Math.max(0, end - offset));
    const fields = bytes.length === 0 ? [] : await (await fieldsOf(source)).at([offset, end]);
    return transfer({ bytes, fields }, [bytes.buffer]);
  },
  analyse(tensor, progress) {
    const { checkpoint } = opened();
    if (!checkpoint) throw new RangeError('there are no tensors');
    const report = nowAndThen((done) => progress(done));
    return analyse(valuesOf(checkpoint, tensor), { signal: started('analyse'), progress: (done) => report(done, 1) });
  },
  cancel,
};

expose(withFaults(inspector));
