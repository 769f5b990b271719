/**
 * What bytes look like that no format claims: other containers, stand-ins left by failed downloads, text.
 * Sources: the magic numbers of llama.cpp (llama.h history: 0x67676d6c ggml, 0x67676d66 ggmf, 0x67676a74 ggjt,
 * 0x67676c61 ggla, written little-endian), the Git LFS pointer spec v1, PKWARE APPNOTE 4.3.7, RFC 1952, PNG 1.2,
 * ISO 32000, System V ABI, CPython pickletools. Bytes are given as they lie on disk.
 * Caveat: only a bounded head is seen, so a message speaks of the head alone.
 */
import { diagnosticFactory, type Diagnostic } from '@weightspec/core';
import { formatCodes, type FormatCode } from './codes.js';

/** What gave an imposter away: bytes [start, end) of the head, and a more exact hint where the bytes allow one. */
interface Sighting {
  readonly end: number;
  readonly start?: number;
  readonly detail?: string;
  readonly hint?: string;
}

export interface Imposter {
  readonly code: FormatCode;
  /** What the bytes are, as a noun phrase. */
  readonly title: string;
  /** `stand-in`: damage that took the place of the real file. `container`: another format. `text`: readable text. */
  readonly kind: 'stand-in' | 'container' | 'text';
  see(head: Uint8Array, size: number): Sighting | undefined;
}

const ascii = (head: Uint8Array, length: number) => String.fromCharCode(...head.subarray(0, length));

function magic(code: FormatCode, title: string, ...bytes: readonly number[]): Imposter {
  const see = (head: Uint8Array) => (bytes.every((byte, index) => head[index] === byte) ? { end: bytes.length } : undefined);
  return { code, title, kind: 'container', see };
}

const codesOf = (text: string) => Array.from(text, (character) => character.charCodeAt(0));

/** First opcodes that a pickle of protocol 2 to 5 can have after PROTO: FRAME, LONG1, MARK, EMPTY_DICT, EMPTY_LIST, EMPTY_TUPLE, GLOBAL, SHORT_BINUNICODE, BINUNICODE. */
const firstOpcodes = [0x95, 0x8a, 0x28, 0x7d, 0x5d, 0x29, 0x63, 0x8c, 0x58];

function seePickle(head: Uint8Array): Sighting | undefined {
  const [proto, version = 0, opcode = 0] = head;
  // The opcode is asked for too: `80 02 00 00` also starts a llama2.c v0 file with dim 640.
  if (proto === 0x80 && version >= 2 && version <= 5 && firstOpcodes.includes(opcode)) {
    const legacyTorch = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20].every((byte, index) => head[index + 2] === byte);
    return legacyTorch ? { end: 14, detail: 'with the magic of torch.save before PyTorch 1.6' } : { end: 3 };
  }
  return /^\([dl]p\d+\n/.test(ascii(head, 8)) ? { end: 4, detail: 'protocol 0' } : undefined;
}

function seeSafetensors(head: Uint8Array): Sighting | undefined {
  if (head.length < 9 || head[8] !== 0x7b) return undefined;
  const headerBytes = Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true));
  return headerBytes >= 2 && headerBytes <= 100_000_000 ? { end: 9, detail: `a JSON header of ${headerBytes} bytes follows its length` } : undefined;
}

function seeLfsPointer(head: Uint8Array): Sighting | undefined {
  const text = ascii(head, 1024);
  const first = 'version https://git-lfs.github.com/spec/v1';
  if (!text.startsWith(first)) return undefined;
  const size = /^size (\d+)$/m.exec(text)?.[1];
  const oid = /^oid sha256:([0-9a-f]{64})$/m.exec(text)?.[1];
  const real = size === undefined ? '' : ` The real file has ${size} bytes${oid === undefined ? '' : ` and SHA-256 ${oid}`}.`;
  return { end: first.length, hint: `${formatCodes.FORMAT_LFS_POINTER.hint}${real}` };
}

/** The head as text, or undefined when it is not readable text. A character cut by the window's end is allowed. */
function textOf(head: Uint8Array): string | undefined {
  if (head.length === 0) return undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true });
    // oxlint-disable-next-line no-control-regex -- control characters are what tells binary data from text
    return /[\u0000-\u0008\u000e-\u001a\u001c-\u001f]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function seePage(head: Uint8Array): Sighting | undefined {
  const text = textOf(head)?.slice(0, 1024);
  const found = text === undefined ? null : /^\s*<(!doctype html|html|head|\?xml)/i.exec(text);
  if (!found || text === undefined) return undefined;
  const title = /<title[^>]*>([^<]{1,80})/i.exec(text)?.[1]?.trim();
  return { end: found[0].length, detail: title === undefined ? undefined : `titled ${JSON.stringify(title)}` };
}

function seeJson(head: Uint8Array): Sighting | undefined {
  const found = /^\s*[{[]\s*["{[\]}\d]/.exec(textOf(head) ?? '');
  return found ? { end: found[0].length } : undefined;
}

function seeText(head: Uint8Array): Sighting | undefined {
  const text = textOf(head);
  if (text === undefined) return undefined;
  const firstLine = text.split('\n', 1)[0]?.slice(0, 60) ?? '';
  return { end: Math.min(head.length, 16), detail: `its first line is ${JSON.stringify(firstLine)}` };
}

/** In the order in which they are tried. */
export const imposters: readonly Imposter[] = [
  { code: 'FORMAT_EMPTY_FILE', title: 'an empty file', kind: 'stand-in', see: (_head, size) => (size === 0 ? { end: 0 } : undefined) },
  {
    code: 'FORMAT_ALL_ZEROS',
    title: 'all zeros',
    kind: 'stand-in',
    see: (head) => (head.length > 0 && head.every((byte) => byte === 0) ? { end: head.length, detail: `in its first ${head.length} bytes` } : undefined),
  },
  { code: 'FORMAT_LFS_POINTER', title: 'a Git LFS pointer', kind: 'stand-in', see: seeLfsPointer },
  magic('FORMAT_GGUF', 'a GGUF file', ...codesOf('GGUF')),
  magic('FORMAT_GGML_UNVERSIONED', 'an unversioned ggml file of llama.cpp', ...codesOf('lmgg')),
  magic('FORMAT_GGMF', 'a ggmf file of llama.cpp', ...codesOf('fmgg')),
  magic('FORMAT_GGJT', 'a ggjt file of llama.cpp', ...codesOf('tjgg')),
  magic('FORMAT_GGLA', 'a ggla LoRA adapter of llama.cpp', ...codesOf('algg')),
  magic('FORMAT_GGML_QWEN', 'a ggml container of qwen.cpp or chatglm.cpp', ...codesOf('ggml')),
  magic('FORMAT_ZIP', 'a zip archive', 0x50, 0x4b, 0x03, 0x04),
  magic('FORMAT_ZIP', 'an empty zip archive', 0x50, 0x4b, 0x05, 0x06),
  magic('FORMAT_GZIP', 'a gzip stream', 0x1f, 0x8b, 0x08),
  magic('FORMAT_7Z', 'a 7z archive', 0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c),
  magic('FORMAT_PNG', 'a PNG picture', 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
  magic('FORMAT_PDF', 'a PDF document', ...codesOf('%PDF-')),
  magic('FORMAT_ELF', 'an ELF program or library', 0x7f, ...codesOf('ELF')),
  { code: 'FORMAT_SAFETENSORS', title: 'a safetensors file', kind: 'container', see: seeSafetensors },
  { code: 'FORMAT_PICKLE', title: 'a Python pickle', kind: 'container', see: seePickle },
  { code: 'FORMAT_HTML_PAGE', title: 'an HTML or XML page', kind: 'stand-in', see: seePage },
  { code: 'FORMAT_JSON_TEXT', title: 'JSON text', kind: 'text', see: seeJson },
  { code: 'FORMAT_PLAIN_TEXT', title: 'plain text', kind: 'text', see: seeText },
];

/** Bytes of the head that `findImposter` looks at. */
export const imposterHeadBytes = 4096;

const diagnostic = diagnosticFactory(formatCodes);

/** `47 47 55 46 "GGUF"` for up to 16 bytes; what is not printable ASCII shows as a dot. */
export function describeBytes(bytes: Uint8Array): string {
  const shown = bytes.subarray(0, 16);
  const hex = [...shown].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const text = [...shown].map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
  return `${hex}${bytes.length > 16 ? ' …' : ''} "${text}"`;
}

export interface ImposterMatch {
  readonly imposter: Imposter;
  readonly diagnostic: Diagnostic;
}

/** The first imposter that `head` (the first bytes of a source of `size` bytes) looks like. */
export function findImposter(head: Uint8Array, name: string, size: number): ImposterMatch | undefined {
  const window = head.subarray(0, imposterHeadBytes);
  for (const imposter of imposters) {
    const seen = imposter.see(window, size);
    if (!seen) continue;
    const start = seen.start ?? 0;
    const detail = seen.detail === undefined ? '' : `, ${seen.detail}`;
    const where = size === 0 ? '' : ` (bytes ${describeBytes(window.subarray(start, seen.end))} at ${start})`;
    const message = `this is ${imposter.title}${detail}${where}`;
    return { imposter, diagnostic: diagnostic(imposter.code, name, { message, byteRange: [start, Math.min(seen.end, size)], hint: seen.hint }) };
  }
  return undefined;
}

/** The finding for bytes that look like nothing in the table. */
export function unknownBytes(head: Uint8Array, name: string): Diagnostic {
  const shown = head.subarray(0, 16);
  return diagnostic('FORMAT_UNKNOWN', name, { message: `no known format starts with bytes ${describeBytes(shown)}`, byteRange: [0, shown.length] });
}
