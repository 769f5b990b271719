import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blobSource, memorySink, memorySource } from './index.js';
import { byteSourceContract, slicingMismatch } from './testing/index.js';

byteSourceContract({ describe, it, expect }, 'memorySource', async (bytes) => memorySource(bytes, 'bytes'));
byteSourceContract({ describe, it, expect }, 'memorySource over a Buffer', async (bytes) => memorySource(Buffer.from(bytes)));
byteSourceContract({ describe, it, expect }, 'memorySource over part of an array', async (bytes) => {
  const larger = new Uint8Array(bytes.byteLength + 30);
  larger.set(bytes, 17);
  return memorySource(larger.subarray(17, 17 + bytes.byteLength));
});
byteSourceContract({ describe, it, expect }, 'blobSource', async (bytes) => blobSource(new Blob([new Uint8Array(bytes)])));
byteSourceContract({ describe, it, expect }, 'blobSource over a blob of several parts', async (bytes) => {
  const cut = Math.floor(bytes.byteLength / 3);
  return blobSource(new Blob([bytes.slice(0, cut), bytes.slice(cut)]), 'parts');
});

describe('memorySource', () => {
  it('never hands out a Buffer, whose slice() would be a view', async () => {
    const read = await memorySource(Buffer.from('weights')).read(0, 7);
    expect(read.constructor).toBe(Uint8Array);
  });
});

describe('blobSource', () => {
  it('is called as the file is', () => {
    const file = Object.assign(new Blob(['x']), { name: 'model.bin' });
    expect(blobSource(file).name).toBe('model.bin');
    expect(blobSource(new Blob(['x'])).name).toBe('blob');
  });

  it('says that the file behind a blob is gone (IO_READ_FAILED)', async () => {
    const gone = brokenBlob(() => Promise.reject(new DOMException('The requested file could not be read', 'NotReadableError')));
    await expect(blobSource(gone).read(0, 4)).rejects.toMatchObject({ code: 'IO_READ_FAILED' });
  });

  it('says that the file behind a blob was cut (IO_SHORT_READ)', async () => {
    const cut = brokenBlob(async () => new ArrayBuffer(3));
    await expect(blobSource(cut).read(0, 4)).rejects.toMatchObject({ code: 'IO_SHORT_READ' });
  });

  function brokenBlob(arrayBuffer: () => Promise<ArrayBuffer>): Blob {
    const blob = new Blob(['12345678']);
    blob.slice = () => Object.assign(new Blob(), { arrayBuffer });
    return blob;
  }
});

describe('any slicing of a source is the same slicing of its bytes', () => {
  const anyBytes = fc.uint8Array({ maxLength: 300 });
  const anyCuts = fc.array(fc.tuple(fc.nat(300), fc.nat(300)), { maxLength: 20 });

  it.each([
    ['memorySource', (bytes: Uint8Array) => memorySource(bytes)],
    ['blobSource', (bytes: Uint8Array) => blobSource(new Blob([new Uint8Array(bytes)]))],
  ])('%s', async (_, open) => {
    await fc.assert(
      fc.asyncProperty(anyBytes, anyCuts, async (bytes, cuts) => {
        const source = open(bytes);
        for (const [offset, length] of cuts) {
          expect(await slicingMismatch(source, bytes, offset, length)).toBe(undefined);
        }
      }),
    );
  });
});

describe('memorySink', () => {
  it('keeps what is written, in order, though the caller uses its buffer again', async () => {
    const sink = memorySink();
    expect(sink.bytes()).toEqual(new Uint8Array(0));
    const buffer = Uint8Array.of(1, 2, 3);
    await sink.write(buffer);
    buffer.fill(9);
    await sink.write(buffer.subarray(1));
    expect(sink.position).toBe(5);
    expect(sink.bytes()).toEqual(Uint8Array.of(1, 2, 3, 9, 9));
  });
});
