/** What needs Node: the data of the installed package, outside programs, and the suite inside a test runner. */
export { packagedCases, type PackagedCases } from './packaged.js';
export { spawnAdapter } from './spawn.js';
export { describeConformance } from './describe.js';
