/** The conformance suite: cases as data, for this project's backends and for any other engine. The data ship with the package; `@weightspec/conformance/node` finds them. */
export * from './case.js';
export * from './codes.js';
export * from './expectations.js';
export { caseFiles, memoryStore, type CaseFile, type CaseFiles, type DataStore } from './files.js';
export { matches, selectCases, type Shard } from './select.js';
export * from './subject.js';
export * from './run.js';
export { weightspecSubject, type OwnSubjectOptions } from './own/subject.js';
export { adapterSubject } from './adapter/subject.js';
export { PROTOCOL_VERSION, type AdapterChannel, type AdapterOptions } from './adapter/protocol.js';
export { describeCases, type DescribeOptions, type TestApi } from './describe.js';
export { junitReport } from './report/junit.js';
