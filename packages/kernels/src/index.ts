/** The reference backend, and what other backends share with it. */
export * from './errors.js';
export { assertRun } from './check-run.js';
export { assertProgram, checkProgram, outputOf, weightsOf } from './check-program.js';
export { referenceBackend } from './reference.js';
export { weightHandles } from './weights/handles.js';
export { storageOf, type Part, type Storage } from './weights/storage.js';
export { DEFAULT_MEMORY_BUDGET_BYTES, openWeightStore, type WeightStore } from './weights/weight-store.js';
export type { VisitRows, Weight } from './weights/weight.js';
