/** One pass over tensor bytes in chunks of about a megabyte: NaN and infinities where the type has them, and zeros. */
import { contentScanner, isZeroBytes } from '@weightspec/codecs';
import type { DType, TensorInfo, ValidateOptions } from '@weightspec/core';

/** A multiple of every element and block size of this format. */
const CHUNK_BYTES = 3 << 19;

export interface TensorContents {
  readonly tensor: TensorInfo;
  readonly nonFiniteCount: number;
  /** File offset of the first NaN or infinity. */
  readonly firstNonFinite: number | undefined;
  readonly allZero: boolean;
}

export interface ContentReport {
  /** Of every tensor that is not empty, in the order given. */
  readonly tensors: readonly TensorContents[];
  /** File offset from which every chunk up to the end of the last tensor is zero; undefined when the last chunk is not. */
  readonly zeroFrom: number | undefined;
  /** Names of types whose values were not looked at, only their zeros. */
  readonly unknownTypes: readonly string[];
}

/** Reads every byte of `tensors` once, in the order given (file order), the next chunk while one is looked at. Memory: two chunks. */
export async function scanContents(tensors: readonly TensorInfo[], { progress, signal }: ValidateOptions): Promise<ContentReport> {
  const total = tensors.reduce((sum, { location }) => sum + location.length, 0);
  const found: TensorContents[] = [];
  const unknownTypes = new Set<string>();
  let zeroFrom: number | undefined;
  let done = 0;
  for (const tensor of tensors) {
    const { location, dtype } = tensor;
    if (location.length === 0) continue;
    let nonFiniteCount = 0;
    let firstNonFinite: number | undefined;
    let allZero = true;
    for await (const { start, chunk } of chunksAhead(location)) {
      signal?.throwIfAborted();
      const findings = scanChunk(dtype, chunk);
      if (!findings.known) unknownTypes.add(dtype.name);
      nonFiniteCount += findings.nonFiniteCount;
      if (findings.firstNonFiniteByte !== undefined) firstNonFinite ??= start + findings.firstNonFiniteByte;
      if (!findings.allZeroBytes) allZero = false;
      zeroFrom = findings.allZeroBytes ? (zeroFrom ?? start) : undefined;
      progress?.((done += chunk.length), total);
    }
    found.push({ tensor, nonFiniteCount, firstNonFinite, allZero });
  }
  return { tensors: found, zeroFrom, unknownTypes: [...unknownTypes] };
}

/** The bytes of a tensor in chunks, each with its file offset; one is read ahead. */
async function* chunksAhead({ source, offset, length }: TensorInfo['location']): AsyncGenerator<{ start: number; chunk: Uint8Array }> {
  const chunkAt = (position: number): Promise<Uint8Array> | undefined => (position < length ? source.read(offset + position, Math.min(CHUNK_BYTES, length - position)) : undefined);
  let next = chunkAt(0);
  for (let position = 0; next; position += CHUNK_BYTES) {
    const chunk = await next;
    next = chunkAt(position + CHUNK_BYTES);
    next?.catch(() => undefined); // awaited in the next round; an abort in between must not leave it unhandled
    yield { start: offset + position, chunk };
  }
}

interface ChunkFindings {
  readonly known: boolean;
  readonly nonFiniteCount: number;
  readonly firstNonFiniteByte?: number;
  readonly allZeroBytes: boolean;
}

/** Types without a NaN or an infinity have nothing more to look for than zeros. */
const hasNoNonFinite = (name: string): boolean => /^([IU]\d+|BOOL|F4|F6_.*)$/.test(name);

function scanChunk(dtype: DType, chunk: Uint8Array): ChunkFindings {
  const scanner = contentScanner(dtype);
  if (!scanner) return { known: hasNoNonFinite(dtype.name), nonFiniteCount: 0, allZeroBytes: isZeroBytes(chunk) };
  scanner.push(chunk);
  return { known: true, ...scanner.findings() };
}
