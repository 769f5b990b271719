/** Loose recognition (S-1.4): there is no magic number, but a small length and a brace behind it are hard to come by. */
import type { Detection } from '@weightspec/core';
import { LENGTH_BYTES } from './header.js';
import { MAX_HEADER_BYTES } from './limits.js';

export const DETECT_BYTES = 64;

const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

export function detect(head: Uint8Array, name: string, _size: number): Detection | undefined {
  const named = /\.safetensors$/i.test(name);
  const byName = named ? ({ confidence: 'possible', evidence: 'the name ends in .safetensors' } as const) : undefined;
  if (head.length <= LENGTH_BYTES) return byName;
  const length = new DataView(head.buffer, head.byteOffset).getBigUint64(0, true);
  const plausible = length <= BigInt(MAX_HEADER_BYTES);
  let at = LENGTH_BYTES;
  while (isSpace(head[at])) at++;
  const opens = head[at] === 0x7b;
  let next = at + 1;
  while (isSpace(head[next])) next++;
  const isObject = opens && (head[next] === 0x22 || head[next] === 0x7d || next >= head.length);
  if (plausible && isObject) return { confidence: 'certain', evidence: `a header length of ${length} at 0 and a JSON object at ${at}` };
  if (isObject) return { confidence: 'possible', evidence: `a JSON object at ${at}, behind a header length that cannot be` };
  if (plausible && opens) return { confidence: 'likely', evidence: `a header length of ${length} at 0 and "{" at ${at}` };
  return byName;
}
