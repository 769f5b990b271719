/** `codecs`: blocks decoded bit for bit; encoded bit for bit where one encoding is right, else decoded again within a bound for each element. */
import type { CodecCase } from '../case.js';
import { ConformanceError, Unsupported } from '../codes.js';
import type { CaseFiles } from '../files.js';
import type { Subject } from '../subject.js';
import { assertSameBits, assertSameBytes, assertWithin, fromHex, littleEndianF32 } from './numbers.js';

interface CodecData {
  readonly kind: 'dequantize' | 'quantize';
  readonly values: string;
  readonly bytes?: string;
  readonly scales?: string;
  readonly groupSize?: number;
  readonly bound?: readonly number[];
}

export async function runCodecCase({ inputs }: CodecCase, subject: Subject, files: CaseFiles): Promise<void> {
  const [storage, data] = await Promise.all([files.json<string>(inputs.file, '/storage'), files.json<CodecData>(inputs.file, inputs.pointer)]);
  const values = littleEndianF32(fromHex(data.values));
  const scales = data.scales === undefined ? undefined : littleEndianF32(fromHex(data.scales));
  if (data.kind === 'dequantize') {
    if (!subject.dequantize) throw new Unsupported('it does not decode blocks');
    assertSameBits(await subject.dequantize({ storage, bytes: fromHex(data.bytes ?? ''), scales, groupSize: data.groupSize }), values);
    return;
  }
  if (!subject.quantize) throw new Unsupported('it does not encode blocks');
  const encoded = await subject.quantize(storage, values, data.groupSize);
  if (data.bytes !== undefined) {
    assertSameBytes('CONFORM_BITS', encoded.bytes, fromHex(data.bytes));
    if (scales) assertSameBits(encoded.scales ?? new Float32Array(), scales);
    return;
  }
  if (!data.bound) throw new ConformanceError('CONFORM_STALE_DATA', `${inputs.file}${inputs.pointer} has neither bytes nor a bound`);
  const { bound } = data;
  if (!subject.dequantize) throw new Unsupported('it does not decode blocks, and these can be encoded in several ways');
  assertWithin('CONFORM_BOUND', await subject.dequantize(encoded), values, (i) => bound[i]!, (i) => `element ${i}, decoded again,`);
}
