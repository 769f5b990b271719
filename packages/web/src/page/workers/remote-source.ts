/** A ByteSource whose bytes another thread fetches. */
import { wrap, type Remote } from 'comlink';
import { assertRange, type ByteSource } from '@weightspec/core';
import { IO_CODES, IoError, type IoCode } from '@weightspec/io';
import { faultOf } from './faults.js';
import type { OpenAddress } from '@weightspec/formats';
import type { RemoteFiles } from './protocol.js';

export function remoteFiles(port: MessagePort): OpenAddress {
  const files: Remote<RemoteFiles> = wrap(port);
  return async (url, { whole }): Promise<ByteSource> => {
    const { id, name, size } = await asIoErrors(files.open(url, whole));
    return {
      name,
      size,
      async read(offset, length) {
        assertRange(name, size, offset, length);
        return length === 0 ? new Uint8Array(0) : asIoErrors(files.read(id, offset, length));
      },
      close: async () => files.close(id),
    };
  };
}

async function asIoErrors<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    const { code = '', message, hint } = faultOf(error);
    throw Object.hasOwn(IO_CODES, code) ? new IoError(code as IoCode, message, { hint }) : new Error(message, { cause: error });
  }
}
