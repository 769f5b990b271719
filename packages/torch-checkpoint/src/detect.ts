/** Loose recognition from the first bytes, and from the last where a reader has them. Clause P-1. */
import type { Detection } from '@weightspec/core';

/** Enough for a tar header's magic at 257, and for the first member's name. */
export const DETECT_BYTES = 512;

const extensions = /\.(pth?|bin|ckpt|pkl)(\.tar)?$/i;
/** LONG1 of ten bytes, 0x1950a86a20f9469cfc6c. */
const legacyMagic = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

export type Kind = 'zip' | 'empty-zip' | 'tar' | 'pickle';

export function kindOfHead(head: Uint8Array): Kind | undefined {
  if (head[0] === 0x50 && head[1] === 0x4b && head[2] === 3 && head[3] === 4) return 'zip';
  if (head[0] === 0x50 && head[1] === 0x4b && head[2] === 5 && head[3] === 6) return 'empty-zip';
  if (latin1(head.subarray(257, 262)) === 'ustar') return 'tar';
  if (head[0] === 0x80 && head.length > 1 && head[1]! <= 5) return 'pickle';
  return undefined;
}

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** Whether the first pickle is the legacy magic number, in protocol 2 (no frame) or 4 (framed). */
export function hasLegacyMagic(head: Uint8Array): boolean {
  const start = head[2] === 0x95 ? 11 : 2;
  return head[0] === 0x80 && legacyMagic.every((byte, i) => head[start + i] === byte);
}

export function detect(head: Uint8Array, name: string): Detection | undefined {
  const kind = kindOfHead(head);
  const named = extensions.test(name);
  if (kind === 'zip') {
    const first = latin1(head.subarray(30, 30 + 256));
    if (/^[^/]+\/(data\.pkl|\.?data\/|version|byteorder|\.format_version)/.test(first)) return { confidence: 'certain', evidence: 'a zip archive (50 4B 03 04) whose first member has one of torch.save\'s names' };
    return named ? { confidence: 'likely', evidence: 'a zip archive (50 4B 03 04) under a checkpoint\'s name' } : undefined;
  }
  if (kind === 'pickle' && hasLegacyMagic(head)) return { confidence: 'certain', evidence: 'a pickle of torch\'s legacy magic number at 0' };
  if (kind === 'pickle' && named && head[1]! >= 2 && looksLikeOpcode(head[2])) return { confidence: 'likely', evidence: 'a pickle under a checkpoint\'s name' };
  if (kind === 'tar' && named) return { confidence: 'likely', evidence: 'a tar archive under a checkpoint\'s name' };
  return undefined;
}

/** What can follow PROTO: another format's header may begin with 80 02 as well. */
const looksLikeOpcode = (byte: number | undefined): boolean => byte !== undefined && '(cX}])N\x8a\x8c\x95\x88\x89KMJG'.includes(String.fromCharCode(byte));
