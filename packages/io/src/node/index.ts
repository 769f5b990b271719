/** Files: what needs Node. */
export { atomicFileSink, type AtomicFileSink, type AtomicFileSinkOptions } from './atomic-file-sink.js';
export { atomicFileSet, type AtomicFileSet } from './atomic-file-set.js';
export { fileSource, type FileSource } from './file-source.js';
export { openSource } from './open-source.js';
export { spooledSource, type SpoolOptions } from './spool.js';
