import type { Checkpoint } from '@weightspec/core';
import { diagnosticLine } from '../faults.js';
import { openModel, type OpenedModel } from '../inputs.js';
import { columns } from '../report/columns.js';
import { visible } from '../report/escape.js';
import { counted, humanBytes } from '../report/numbers.js';
import { EXIT, type Terminal } from '../terminal.js';

/** Prints the metadata and the tensor directory. Reads no tensor data. Errors in the file go to stderr and make the exit code 1. */
export async function inspect(target: string, options: { readonly json?: boolean; readonly download?: boolean }, terminal: Terminal): Promise<number> {
  const model = await openModel(target, { download: options.download, stdin: terminal.stdin });
  await model.source.close();
  if (model.checkpoint) terminal.stdout.write(options.json ? asJson(model.checkpoint) : asText(model, model.checkpoint));
  const errors = model.diagnostics.filter(({ severity }) => severity === 'error');
  for (const error of errors) terminal.stderr.write(diagnosticLine(error));
  return errors.length > 0 || !model.checkpoint ? EXIT.invalid : EXIT.ok;
}

function asJson({ format, variant, producer, metadata, tensors, packed }: Checkpoint): string {
  const directory = tensors.map(({ name, dtype, shape, strides, location: { source, offset, length } }) => ({
    name,
    dtype: dtype.name,
    shape,
    byteRange: [offset, offset + length],
    file: source.name,
    strides,
  }));
  return `${JSON.stringify({ format, variant, producer, metadata, tensors: directory, packed }, null, 2)}\n`;
}

function asText({ source }: OpenedModel, { format, variant, producer, metadata, tensors }: Checkpoint): string {
  const properties = Object.entries(metadata).map(([key, value]) => [visible(key), visible(typeof value === 'string' ? value : JSON.stringify(value))]);
  const sharded = tensors.some(({ location }) => location.source !== source);
  const directory = tensors.map(({ name, dtype, shape, location }) => [
    visible(name),
    dtype.name,
    `[${shape.join(', ')}]`,
    `[${location.offset}, ${location.offset + location.length})`,
    ...(sharded ? [visible(location.source.name)] : []),
  ]);
  const writer = producer && producer.name !== 'unknown' ? `, probably written by ${visible(producer.name)}` : '';
  const title = `${visible(source.name)}: ${visible(format)} ${visible(variant)}, ${humanBytes(source.size)}, ${counted(tensors.length, 'tensor')}${writer}\n`;
  const head = ['tensor', 'dtype', 'shape', 'bytes', ...(sharded ? ['file'] : [])];
  return [title, columns(properties), columns([head, ...directory])].filter((part) => part !== '').join('\n');
}
