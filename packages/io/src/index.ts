/** Byte sources and a sink that run in Node and in browsers. Files are in `@weightspec/io/node`. */
export { blobSource } from './blob-source.js';
export { IO_CODES, IoError, type IoCode } from './errors.js';
export { httpSource, type HttpSource, type HttpSourceOptions } from './http-source.js';
export { memorySink, type MemorySink } from './memory-sink.js';
export { memorySource } from './memory-source.js';
