import { describe, expect, it } from 'vitest';
import type { formatCodes } from './codes.js';
import { describeBytes, findImposter, imposters, unknownBytes } from './imposters.js';

const text = (value: string) => new TextEncoder().encode(value);
const bytes = (...values: number[]) => Uint8Array.from(values);
const padded = (head: Uint8Array, length = 64) => Uint8Array.from({ length }, (_, index) => head[index] ?? 0x81);
const see = (head: Uint8Array, size = head.length) => findImposter(head, 'model.bin', size)?.diagnostic;

const lfsPointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'4d'.repeat(32)}\nsize 13476839424\n`;

/** Each row: a code and bytes written out from the container's own specification. */
const samples: readonly (readonly [code: keyof typeof formatCodes, head: Uint8Array])[] = [
  ['FORMAT_EMPTY_FILE', bytes()],
  ['FORMAT_ALL_ZEROS', new Uint8Array(64)],
  ['FORMAT_LFS_POINTER', text(lfsPointer)],
  ['FORMAT_HTML_PAGE', text('<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>')],
  ['FORMAT_HTML_PAGE', text('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>')],
  ['FORMAT_JSON_TEXT', text('{"error": "Repository not found"}')],
  ['FORMAT_PLAIN_TEXT', text('Entry not found\n')],
  ['FORMAT_GGUF', padded(bytes(0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0))],
  ['FORMAT_GGML_UNVERSIONED', padded(bytes(0x6c, 0x6d, 0x67, 0x67))],
  ['FORMAT_GGMF', padded(bytes(0x66, 0x6d, 0x67, 0x67, 1, 0, 0, 0))],
  ['FORMAT_GGJT', padded(bytes(0x74, 0x6a, 0x67, 0x67, 3, 0, 0, 0))],
  ['FORMAT_GGLA', padded(bytes(0x61, 0x6c, 0x67, 0x67, 1, 0, 0, 0))],
  ['FORMAT_GGML_QWEN', padded(bytes(0x67, 0x67, 0x6d, 0x6c, 5, 0, 0, 0))],
  ['FORMAT_SAFETENSORS', text('\u0008\0\0\0\0\0\0\0{"a":1} ')],
  ['FORMAT_ZIP', padded(bytes(0x50, 0x4b, 3, 4))],
  ['FORMAT_ZIP', padded(bytes(0x50, 0x4b, 5, 6))],
  ['FORMAT_PICKLE', padded(bytes(0x80, 2, 0x7d, 0x71, 0))],
  ['FORMAT_PICKLE', padded(bytes(0x80, 4, 0x95, 0x20, 0))],
  ['FORMAT_PICKLE', padded(bytes(0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e))],
  ['FORMAT_PICKLE', padded(text('(dp0\nVx\n'))],
  ['FORMAT_GZIP', padded(bytes(0x1f, 0x8b, 8))],
  ['FORMAT_7Z', padded(bytes(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c))],
  ['FORMAT_PNG', padded(bytes(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a))],
  ['FORMAT_PDF', padded(text('%PDF-1.7\n'))],
  ['FORMAT_ELF', padded(bytes(0x7f, 0x45, 0x4c, 0x46, 2))],
];

describe('findImposter', () => {
  it.each(samples)('names %s', (code, head) => {
    expect(see(head)?.code).toBe(code);
    expect(see(head)?.severity).toBe('error');
  });
  it('has a sample here for every row of the table', () => {
    expect(new Set(imposters.map(({ code }) => code))).toEqual(new Set(samples.map(([code]) => code)));
  });
  it('gives the magic bytes in hex and in ASCII, with their range', () => {
    const found = see(padded(bytes(0x66, 0x6d, 0x67, 0x67)));
    expect(found?.message).toContain('66 6d 67 67 "fmgg" at 0');
    expect(found?.byteRange).toEqual([0, 4]);
  });
  it('says what a Git LFS pointer points to and how to fetch it', () => {
    const hint = see(text(lfsPointer))?.hint;
    expect(hint).toContain('git lfs pull');
    expect(hint).toContain('13476839424 bytes');
  });
  it('quotes the title of a page and the first line of a text', () => {
    expect(see(text('<html><head><title>Access to model gated</title>'))?.message).toContain('Access to model gated');
    expect(see(text('Invalid credentials'))?.message).toContain('"Invalid credentials"');
  });
  it('leaves weight files alone: dim 640 starts like a pickle, dim 64 like nothing', () => {
    expect(see(padded(bytes(0x80, 2, 0, 0, 0x80, 5)))).toBeUndefined();
    expect(see(padded(bytes(0x40, 0, 0, 0, 0xac, 0)))).toBeUndefined();
    expect(see(padded(text('24ka')))).toBeUndefined();
  });
  it('takes text that the head window cuts inside a character, and not text with control bytes', () => {
    expect(see(text('plain words é').subarray(0, 13), 9999)?.code).toBe('FORMAT_PLAIN_TEXT');
    expect(see(text('plain\u0001words'))).toBeUndefined();
  });
});

describe('unknownBytes', () => {
  it('shows at most 16 bytes (FORMAT_UNKNOWN)', () => {
    const found = unknownBytes(padded(bytes(0xfe, 0x41)), 'model.bin');
    expect(found).toMatchObject({ code: 'FORMAT_UNKNOWN', byteRange: [0, 16] });
    expect(found.message).toContain(describeBytes(padded(bytes(0xfe, 0x41), 16)));
  });
});
