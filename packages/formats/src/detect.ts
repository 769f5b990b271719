import type { ByteSource, Confidence, Detection, Format } from '@weightspec/core';
import { findImposter, imposterHeadBytes, type ImposterMatch } from './imposters.js';
import { formats } from './list.js';

export interface Candidate {
  readonly format: Format;
  readonly detection: Detection;
}

export interface Detected {
  /** Formats that claim the bytes, surest first; formats of one confidence stay in list order. */
  readonly candidates: readonly Candidate[];
  /** What else the bytes look like. It outranks candidates that are only `possible`. */
  readonly imposter?: ImposterMatch;
  /** The bytes that all of this was judged by. */
  readonly head: Uint8Array;
}

const rank: Readonly<Record<Confidence, number>> = { certain: 0, likely: 1, possible: 2 };

/** No format may ask for a larger head: detection stays cheap on slow links. */
const maxHeadBytes = 1 << 20;

/** Says which formats claim `source`, from one read of its head. Throws only on I/O faults. */
export async function detect(source: ByteSource, list: readonly Format[] = formats): Promise<Detected> {
  const wanted = Math.min(maxHeadBytes, Math.max(imposterHeadBytes, ...list.map((format) => format.detectBytes)));
  const head = await source.read(0, Math.min(wanted, source.size));
  const claimed = list.flatMap((format) => {
    const detection = format.detect(head.subarray(0, format.detectBytes), source.name, source.size);
    return detection ? [{ format, detection }] : [];
  });
  const candidates = claimed.toSorted((a, b) => rank[a.detection.confidence] - rank[b.detection.confidence]);
  return { candidates, imposter: findImposter(head, source.name, source.size), head };
}
