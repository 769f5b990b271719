/** How the tensors of one file share its data: from the first byte to the last, each once (S-5.5 to S-5.7). */
import type { TensorInfo } from '@weightspec/core';
import { alignmentOf } from './dtypes.js';
import { quoted, tensorPointer } from './findings.js';
import type { Header, HeaderFindings } from './header.js';

/** The tensors in file order. Empty ones keep their place in the header among those of one offset. */
export function checkLayout(header: Header, dataStart: number, fileSize: number, findings: HeaderFindings): readonly TensorInfo[] {
  const order = fileOrder(header.tensors);
  const tensorAt = (place: number): TensorInfo => header.tensors[order[place]!]!;
  const tokenOf = (place: number): readonly [number, number] => [header.offsetTokens[2 * order[place]!]!, header.offsetTokens[2 * order[place]! + 1]!];
  if (header.complete) {
    let end = dataStart;
    let contiguous = true;
    for (let place = 0; place < order.length; place++) {
      const { name, location } = tensorAt(place);
      if (location.offset !== end) {
        contiguous = false;
        const pointer = tensorPointer(name);
        const begin = location.offset - dataStart;
        if (location.offset > end) findings.add('SAFETENSORS_HOLE', { byteRange: tokenOf(place), pointer, message: `${quoted(name)} begins at ${begin} of the data; the bytes from ${end - dataStart} on belong to no tensor` });
        else findings.add('SAFETENSORS_OVERLAP', { byteRange: tokenOf(place), pointer, message: `${quoted(name)} begins at ${begin} of the data; the tensor before it ends at ${end - dataStart}` });
      }
      end = Math.max(end, location.offset + location.length);
    }
    if (contiguous) checkEnd(end);
  }
  checkAlignment();
  return order.map((index) => header.tensors[index]!);

  function checkEnd(end: number): void {
    if (end < fileSize) {
      findings.add('SAFETENSORS_TRAILING_BYTES', { byteRange: [end, fileSize], message: `${fileSize - end} bytes follow the end of the last tensor at ${end}` });
    } else if (end > fileSize) {
      const first = order.findIndex((index) => header.tensors[index]!.location.offset + header.tensors[index]!.location.length > fileSize);
      const { name } = tensorAt(first);
      findings.add('SAFETENSORS_TRUNCATED', { byteRange: tokenOf(first), pointer: tensorPointer(name), message: `the file has ${fileSize} bytes where its tensors end at ${end}: ${quoted(name)} is cut${order.length - first > 1 ? ` and ${order.length - first - 1} behind it are missing` : ''}` });
    }
  }

  function checkAlignment(): void {
    let first = -1;
    let count = 0;
    for (let place = 0; place < order.length; place++) {
      const { dtype, location } = tensorAt(place);
      if (location.length === 0 || location.offset % alignmentOf(dtype) === 0) continue;
      if (count++ === 0) first = place;
    }
    if (count === 0) return;
    const { name, dtype, location } = tensorAt(first);
    const others = count > 1 ? `, and ${count - 1} more tensors` : '';
    findings.add('SAFETENSORS_UNALIGNED', { byteRange: tokenOf(first), pointer: tensorPointer(name), message: `${quoted(name)} (${dtype.name}) starts at file offset ${location.offset}, which is no multiple of ${alignmentOf(dtype)}${others}` });
  }
}

/** Indexes by begin, then end, then place in the header. */
function fileOrder(tensors: readonly TensorInfo[]): readonly number[] {
  const order = Array.from(tensors, (_, index) => index);
  const compare = (a: number, b: number): number => {
    const [left, right] = [tensors[a]!.location, tensors[b]!.location];
    return left.offset - right.offset || left.length - right.length;
  };
  const sorted = order.every((index) => index === 0 || compare(index - 1, index) <= 0);
  return sorted ? order : order.toSorted(compare);
}
