/** SmoothQuant as LMDeploy exports it: make such exports, check them, collect activation statistics. Specification: specs/smoothquant. */
export { calibrate, type CalibrateOptions } from './calibrate.js';
export { checkSmoothQuant, isSmoothQuant, type CheckSmoothQuantOptions } from './check.js';
export { smoothquantCodes, type SmoothquantCode } from './codes.js';
export { smoothingGroups, type SmoothingGroup } from './groups.js';
export { MeanOfRelativeRows, migrationScale, paperScale, type MigrationScaleOptions } from './scales.js';
export { smoothQuant, type SmoothQuantOptions } from './smooth.js';
export { readStatistics, writeStatistics, type ActivationStatistics } from './statistics.js';
export { withoutMigrationScales } from '@weightspec/models';
