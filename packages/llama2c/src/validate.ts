/**
 * Checks of content behind a directory that `read` found sound: frequency tables, and with `deep` every weight and scale
 * once, in buffers of about a megabyte. Clauses C-2.5, C-6.4 to C-6.6, C-7.
 */
import { contentScanner } from '@weightspec/codecs';
import { findTensor, readChunks, type Checkpoint, type Diagnostic, type PackedTensor, type TensorInfo, type ValidateOptions, type ValidateResult } from '@weightspec/core';
import { llama2cDiagnostic, type llama2cCodes } from './codes.js';
import { DEFAULT_THETA, frequencies, frequencyRow, frequencyTable } from './freqs.js';
import { float32s, int8s } from './views.js';

const CHUNK_BYTES = 1 << 20;
/** f32 tables of torch and of this chain differ by at most 6e-8 in measured files; one more bit of slack. */
const TABLE_TOLERANCE = 2 ** -22;
const SMALLEST_NORMAL = 2 ** -126;

type Code = keyof typeof llama2cCodes;

/** Counts findings of one kind in one tensor, so that a million NaNs make one diagnostic. */
class Tally {
  count = 0;
  first = 0;
  note(index: number): void {
    if (this.count++ === 0) this.first = index;
  }
  report(code: Code, tensor: TensorInfo, elementBytes: number, what: (count: number, first: number) => string): Diagnostic[] {
    if (this.count === 0) return [];
    const start = tensor.location.offset + this.first * elementBytes;
    return [llama2cDiagnostic(code, tensor.location.source.name, { byteRange: [start, start + elementBytes], pointer: `/tensors/${tensor.name}`, message: what(this.count, this.first) })];
  }
}

export async function validate(checkpoint: Checkpoint, options: ValidateOptions = {}): Promise<ValidateResult> {
  const diagnostics: Diagnostic[] = [];
  const checked = ['header, dimensions and exact file size', `directory of ${checkpoint.tensors.length} tensors`];
  const notChecked: string[] = [];
  if (checkpoint.packed && checkpoint.variant !== 'v1-experimental') checked.push('int8 layout, by a sample of the scales');
  if (checkpoint.variant === 'v0') {
    diagnostics.push(...(await checkFirstRotation(checkpoint)));
    checked.push('rope_theta of the frequency tables, by position 1');
  }
  if (options.deep) {
    diagnostics.push(...(await checkContent(checkpoint, options)));
    checked.push(`every value${checkpoint.packed ? ' and scale' : ''} of ${checkpoint.tensors.length} tensors`);
  } else {
    notChecked.push('tensor values (NaN, infinities, zeroed tails, quantization): use --deep');
  }
  notChecked.push('the order of tensors of equal size, and rope_theta and norm_eps, which this format does not store: run the model');
  return { diagnostics, checked, notChecked };
}

const headSizeOf = ({ metadata }: Checkpoint): number => Number(metadata.dim) / Number(metadata.n_heads);

/** Row 1 of the tables gives theta: angle_i = theta^(−2i/hs). */
async function checkFirstRotation(checkpoint: Checkpoint): Promise<Diagnostic[]> {
  const headSize = headSizeOf(checkpoint);
  const half = headSize / 2;
  const cosTable = findTensor(checkpoint, 'freqs_cos');
  const sinTable = findTensor(checkpoint, 'freqs_sin');
  if (Number(checkpoint.metadata.max_seq_len) < 2 || half < 2) return [];
  const rowOf = async ({ location }: TensorInfo) => float32s(await location.source.read(location.offset + half * 4, half * 4));
  const [cos, sin] = [await rowOf(cosTable), await rowOf(sinTable)];
  const matches = (theta: number, tolerance: number) => {
    const row = frequencyRow(1, frequencies(headSize, theta));
    return row.cos.every((value, i) => Math.abs(value - cos[i]!) <= tolerance) && row.sin.every((value, i) => Math.abs(value - sin[i]!) <= tolerance);
  };
  if (matches(DEFAULT_THETA, TABLE_TOLERANCE)) return [];
  const theta = Math.pow(Math.atan2(sin[1]!, cos[1]!), -headSize / 2);
  const rounded = Number(theta.toPrecision(4));
  const byteRange = [cosTable.location.offset + half * 4, cosTable.location.offset + half * 8] as const;
  const source = cosTable.location.source.name;
  // Where it is the usual theta after all, single entries are off.
  if (rounded > 1 && Number.isFinite(rounded) && rounded !== DEFAULT_THETA && matches(rounded, 1e-4)) {
    return [llama2cDiagnostic('LLAMA2C_ROPE_THETA', source, { byteRange, pointer: '/tensors/freqs_cos', message: `the frequency tables were made with rope_theta ≈ ${rounded}; run.c rotates with ${DEFAULT_THETA}` })];
  }
  return [llama2cDiagnostic('LLAMA2C_FREQ_TABLE', source, { byteRange, pointer: '/tensors/freqs_cos', message: 'row 1 of the frequency tables is not the cosine and sine of any theta\'s angles' })];
}

async function checkContent(checkpoint: Checkpoint, { progress, signal }: ValidateOptions): Promise<Diagnostic[]> {
  const found: Diagnostic[] = [];
  const packedParts = new Set((checkpoint.packed ?? []).flatMap((packed) => Object.values(packed.parts)));
  const total = checkpoint.tensors.reduce((sum, tensor) => sum + tensor.location.length, 0);
  let done = 0;
  const advance = (bytes: number) => {
    signal?.throwIfAborted();
    progress?.((done += bytes), total);
  };
  const zeros = new Map<string, boolean>();
  for (const tensor of checkpoint.tensors) {
    if (packedParts.has(tensor.name)) continue;
    const { diagnostics, allZero } = await checkFloats(tensor, advance);
    found.push(...diagnostics);
    // The sines of position 0 are zero by nature, and with max_seq_len 1 they are the whole table.
    zeros.set(tensor.name, allZero && !(tensor.name === 'freqs_sin' && tensor.shape[0] === 1));
  }
  for (const packed of checkpoint.packed ?? []) {
    const { diagnostics, zeroValues, zeroScales } = await checkGroups(checkpoint, packed, advance);
    found.push(...diagnostics);
    zeros.set(packed.parts.values!, zeroValues);
    zeros.set(packed.parts.scales!, zeroScales);
  }
  found.push(...zeroedTail(checkpoint, zeros));
  if (checkpoint.variant === 'v0') found.push(...(await checkTables(checkpoint)));
  return found;
}

async function checkFloats(tensor: TensorInfo, advance: (bytes: number) => void): Promise<{ diagnostics: Diagnostic[]; allZero: boolean }> {
  const { source, offset, length } = tensor.location;
  const scanner = contentScanner(tensor.dtype)!;
  for await (const chunk of readChunks(source, offset, length)) {
    scanner.push(chunk);
    advance(chunk.length);
  }
  const { nonFiniteCount, firstNonFiniteByte, allZeroBytes } = scanner.findings();
  if (firstNonFiniteByte === undefined) return { allZero: allZeroBytes, diagnostics: [] };
  const start = offset + firstNonFiniteByte;
  const message = `${nonFiniteCount} of ${length / 4} values of ${tensor.name} are NaN or infinite, the first at element ${firstNonFiniteByte / 4}`;
  return { allZero: allZeroBytes, diagnostics: [llama2cDiagnostic('LLAMA2C_WEIGHT_NOT_FINITE', source.name, { byteRange: [start, start + 4], pointer: `/tensors/${tensor.name}`, message })] };
}

async function checkGroups(checkpoint: Checkpoint, packed: PackedTensor, advance: (bytes: number) => void): Promise<{ diagnostics: Diagnostic[]; zeroValues: boolean; zeroScales: boolean }> {
  const values = findTensor(checkpoint, packed.parts.values!);
  const scales = findTensor(checkpoint, packed.parts.scales!);
  const groupSize = packed.groupSize!;
  const groups = scales.location.length / 4;
  const [badScale, notNormalized, minus128] = [new Tally(), new Tally(), new Tally()];
  let zeroValues = true;
  let zeroScales = true;
  const groupsPerChunk = Math.max(1, Math.floor(CHUNK_BYTES / groupSize));
  for (let first = 0; first < groups; first += groupsPerChunk) {
    const chunkGroups = Math.min(groupsPerChunk, groups - first);
    const scaleChunk = float32s(await scales.location.source.read(scales.location.offset + first * 4, chunkGroups * 4));
    for (let g = 0; g < chunkGroups; g++) if (scaleChunk[g] !== 0) zeroScales = false;
    let maximum = 0;
    // A group larger than a chunk is read in pieces; otherwise whole groups at a time.
    const chunkBytes = chunkGroups * groupSize;
    for (let done = 0; done < chunkBytes; done += CHUNK_BYTES) {
      const pieceOffset = first * groupSize + done;
      const piece = int8s(await values.location.source.read(values.location.offset + pieceOffset, Math.min(CHUNK_BYTES, chunkBytes - done)));
      for (let i = 0; i < piece.length; i++) {
        const q = piece[i]!;
        const magnitude = q < 0 ? -q : q;
        if (magnitude > maximum) maximum = magnitude;
        if (q === -128) minus128.note(pieceOffset + i);
        if ((pieceOffset + i + 1) % groupSize === 0) {
          const group = Math.floor((pieceOffset + i) / groupSize);
          const scale = scaleChunk[group - first]!;
          if (!(scale >= 0 && scale < Infinity) || (scale === 0 && maximum > 0)) badScale.note(group);
          else if (scale >= SMALLEST_NORMAL && maximum !== 127) notNormalized.note(group);
          if (maximum > 0) zeroValues = false;
          maximum = 0;
        }
      }
      advance(piece.length);
    }
    advance(chunkGroups * 4);
  }
  const name = packed.name;
  return {
    zeroValues,
    zeroScales,
    diagnostics: [
      ...badScale.report('LLAMA2C_SCALE_INVALID', scales, 4, (count, first) => `${count} of ${groups} scales of ${name} are NaN, infinite, negative, or zero for non-zero values; the first is that of group ${first}`),
      ...notNormalized.report('LLAMA2C_GROUP_NOT_NORMALIZED', values, groupSize, (count, first) => `${count} of ${groups} groups of ${name} do not reach |q| = 127; the first is group ${first}`),
      ...minus128.report('LLAMA2C_VALUE_MINUS_128', values, 1, (count, first) => `${count} values of ${name} are −128; the first is element ${first}`),
    ],
  };
}

/** C-7.2: the run of all-zero tensors at the end of the file, if there is one. */
function zeroedTail(checkpoint: Checkpoint, zeros: ReadonlyMap<string, boolean>): Diagnostic[] {
  const byOffset = checkpoint.tensors.toSorted((a, b) => a.location.offset - b.location.offset);
  let first = byOffset.length;
  while (first > 0 && zeros.get(byOffset[first - 1]!.name) === true) first--;
  if (first === byOffset.length) return [];
  const start = byOffset[first]!.location;
  const end = start.source.size;
  return [llama2cDiagnostic('LLAMA2C_ZEROED_TAIL', start.source.name, { byteRange: [start.offset, end], pointer: `/tensors/${byOffset[first]!.name}`, message: `the last ${byOffset.length - first} tensors, from ${byOffset[first]!.name} on (${end - start.offset} bytes), are all zero` })];
}

/** Every row of both tables against the f32 chain; only where row 1 already agrees with theta = 10000. */
async function checkTables(checkpoint: Checkpoint): Promise<Diagnostic[]> {
  if ((await checkFirstRotation(checkpoint)).length > 0) return [];
  const headSize = headSizeOf(checkpoint);
  const found: Diagnostic[] = [];
  for (const part of ['cos', 'sin'] as const) {
    const tensor = findTensor(checkpoint, `freqs_${part}`);
    const tally = new Tally();
    let element = 0;
    for (const expected of frequencyTable(part, Number(checkpoint.metadata.max_seq_len), headSize)) {
      const actual = float32s(await tensor.location.source.read(tensor.location.offset + element * 4, expected.length * 4));
      // The angle grows with the position, and with it one ulp of the angle: 2^-24 · position.
      const position = (i: number) => Math.floor((element + i) / (headSize / 2));
      expected.forEach((value, i) => { if (!(Math.abs(value - actual[i]!) <= TABLE_TOLERANCE + position(i) * 2 ** -23)) tally.note(element + i); });
      element += expected.length;
    }
    found.push(...tally.report('LLAMA2C_FREQ_TABLE', tensor, 4, (count, first) => `${count} entries of ${tensor.name} differ from the ${part === 'cos' ? 'cosine' : 'sine'} of position · theta^(−2i/hs), the first at element ${first}`));
  }
  return found;
}
