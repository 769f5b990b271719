import type { Backend } from '@weightspec/core';
import { describeCases, type DescribeOptions, type TestApi } from '../describe.js';
import { weightspecSubject } from '../own/subject.js';
import { packagedCases } from './packaged.js';

/**
 * The packaged suite as tests of a backend: `describeConformance({ describe, it }, backend)`. By default the suites that a backend
 * decides, `ops` and `models`; name others in `patterns`.
 */
export function describeConformance(api: TestApi, backend: Backend, { patterns = ['ops', 'models'], ...options }: DescribeOptions = {}): void {
  describeCases(api, packagedCases(), weightspecSubject({ backend }), { patterns, ...options });
}
