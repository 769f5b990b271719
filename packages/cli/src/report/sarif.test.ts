import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Ajv } from 'ajv';
import type { Log } from 'sarif';
import { describe, expect, it } from 'vitest';
import { validateSource } from '@weightspec/formats';
import { memorySource } from '@weightspec/io';
import { withFrames, type CheckedFile, type Findings } from './checked-file.js';
import { sarifLog, sarifReport } from './sarif.js';

const fixtures = new URL('../../../../fixtures/', import.meta.url);

/**
 * The rules of SARIF 2.1.0 (OASIS standard, 27 March 2020) for the objects that a report has, by section. Stricter than the
 * standard's own schema: members that a report does not use are refused, so that a misspelt one is noticed.
 */
const closed = (required: readonly string[], properties: object) => ({ type: 'object', required, properties, additionalProperties: false });
const message = closed(['text'], { text: { type: 'string', minLength: 1 } }); // 3.11
const level = { enum: ['none', 'note', 'warning', 'error'] }; // 3.27.10
const uri = { type: 'string', minLength: 1, pattern: '^[!-~]+$' }; // 3.4.3: RFC 3986, hence ASCII without blanks
const artifactLocation = closed(['uri'], { uri }); // 3.4
// 3.30.11, 3.30.12: from 0, and a length needs an offset
const region = { ...closed(['byteOffset', 'byteLength'], { byteOffset: { type: 'integer', minimum: 0 }, byteLength: { type: 'integer', minimum: 0 } }) };
const location = closed(['physicalLocation'], {
  physicalLocation: closed(['artifactLocation'], { artifactLocation, region }), // 3.29
  logicalLocations: { type: 'array', items: closed(['fullyQualifiedName'], { fullyQualifiedName: { type: 'string', minLength: 1 } }) }, // 3.33
});
const propertyBag = { type: 'object' }; // 3.8
const run = closed(['tool', 'results'], {
  tool: closed(['driver'], {
    driver: closed(['name', 'version', 'rules'], {
      name: { type: 'string', minLength: 1 }, version: { type: 'string', minLength: 1 },
      // 3.19.23: rules, unique; 3.49: a rule
      rules: { type: 'array', uniqueItems: true, items: closed(['id'], { id: { type: 'string' }, shortDescription: message, fullDescription: message, help: message, defaultConfiguration: closed(['level'], { level }), properties: propertyBag }) },
    }),
  }),
  columnKind: { enum: ['utf16CodeUnits', 'unicodeCodePoints'] }, // 3.14.17
  artifacts: { type: 'array', uniqueItems: true, items: closed(['location', 'length'], { location: artifactLocation, length: { type: 'integer', minimum: -1 }, properties: propertyBag }) }, // 3.24
  invocations: { type: 'array', items: closed(['executionSuccessful'], { executionSuccessful: { type: 'boolean' }, toolExecutionNotifications: { type: 'array', items: closed(['level', 'message'], { descriptor: closed(['id'], { id: { type: 'string' } }), level, message, locations: { type: 'array', items: location } }) } }) }, // 3.20, 3.58
  results: { type: 'array', items: closed(['ruleId', 'level', 'message', 'locations'], { ruleId: { type: 'string' }, ruleIndex: { type: 'integer', minimum: 0 }, level, message, locations: { type: 'array', items: location } }) }, // 3.27
  properties: propertyBag,
});
const log = closed(['version', 'runs'], { $schema: { type: 'string', format: 'uri' }, version: { const: '2.1.0' }, runs: { type: 'array', items: run } }); // 3.13

const formats = { uri: (text: string) => URL.canParse(text), 'uri-reference': (text: string) => URL.canParse(text, 'https://example.org/'), 'date-time': (text: string) => !Number.isNaN(Date.parse(text)) };
const isValid = new Ajv({ allErrors: true, formats }).compile(log);

/** The committee's own schema, as Microsoft's matcher carries it. Draft 4, of which it uses nothing that draft 7 reads otherwise but its name. */
const { $schema, id: _id, ...official } = JSON.parse(readFileSync(createRequire(import.meta.url).resolve('@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json'), 'utf8')) as { readonly $schema: string; readonly id?: string };
const keepsOfficial = new Ajv({ allErrors: true, strict: false, unicodeRegExp: false, formats }).compile(official);

/** What is found in every fixture of a folder that breaks a rule. */
async function findingsOf(folder: string): Promise<Findings> {
  const names = readdirSync(new URL(`${folder}/invalid/`, fixtures)).filter((name) => !name.endsWith('.expect.json'));
  const files: CheckedFile[] = [];
  for (const name of names) {
    const source = memorySource(new Uint8Array(readFileSync(new URL(`${folder}/invalid/${name}`, fixtures))), `fixtures/${folder}/invalid/${name}`);
    files.push(await withFrames(await validateSource(source, { deep: true }), source));
  }
  return { version: '1.2.3', files, unchecked: [{ path: 'a b', reason: 'no' }], failed: [{ path: 'c', message: 'no' }, { path: 'd', code: 'IO_DENIED', message: 'no' }] };
}

describe('the committee’s schema', () => {
  it('is one that draft 7 reads as it is meant, and refuses what is not SARIF', async () => {
    expect($schema).toBe('http://json-schema.org/draft-04/schema#');
    // In draft 4 these two are booleans.
    expect(JSON.stringify(official)).not.toMatch(/exclusiveM(in|ax)imum/);
    const sound = JSON.parse(sarifReport(await findingsOf('ggml-qwen'))) as { readonly runs: readonly { readonly results: readonly object[] }[] };
    const { runs: [first] } = sound;
    const refused = [{ ...sound, version: '2.0.0' }, { ...sound, runs: [{ ...first, results: [{ ...first!.results[0], level: 'info' }] }] }, { ...sound, runs: [{ ...first, tool: {} }] }, { ...sound, runs: [{ ...first, results: [{ ruleId: 'X' }] }] }];
    expect(refused.map((each) => keepsOfficial(each))).toEqual([false, false, false, false]);
    expect(keepsOfficial(sound)).toBe(true);
  });
  it('is kept by the reviewed examples of the documentation', () => {
    const folder = new URL('../../../../docs/examples/', import.meta.url);
    const reports = readdirSync(folder).filter((name) => name.endsWith('.sarif'));
    expect(reports.length).toBeGreaterThan(5);
    for (const name of reports) {
      keepsOfficial(JSON.parse(readFileSync(new URL(name, folder), 'utf8')));
      expect([name, keepsOfficial.errors]).toEqual([name, null]);
    }
  });
});

describe('SARIF report', () => {
  it.each(['llama2c', 'safetensors', 'ggml-qwen', 'torch-checkpoint'])('keeps the rules of the standard for every broken fixture of %s', async (folder) => {
    const findings = await findingsOf(folder);
    isValid(JSON.parse(sarifReport(findings)));
    expect(isValid.errors).toBeNull();
    keepsOfficial(JSON.parse(sarifReport(findings)));
    expect(keepsOfficial.errors).toBeNull();
    // The compiler compares the log with the standard's types, too.
    const typed: Log = sarifLog(findings);
    const [first] = typed.runs;
    const rules = first?.tool.driver.rules ?? [];
    expect(first?.results?.length).toBeGreaterThan(20);
    // 3.27.6: the index is that of the rule with this id; 3.30: no region leaves its file.
    expect(first?.results?.filter(({ ruleId, ruleIndex = -1 }) => rules[ruleIndex]?.id !== ruleId)).toEqual([]);
    const lengths = new Map((first?.artifacts ?? []).map(({ location: place, length }) => [place?.uri, length ?? 0]));
    const outside = first?.results?.filter(({ locations }) => {
      const place = locations?.[0]?.physicalLocation;
      return (place?.region?.byteOffset ?? 0) + (place?.region?.byteLength ?? 0) > (lengths.get(place?.artifactLocation?.uri) ?? 0);
    });
    expect(outside).toEqual([]);
  });
  it('is told from one with a misspelt member or a wrong level', async () => {
    const sound = JSON.parse(sarifReport(await findingsOf('ggml-qwen'))) as { runs: { results: object[] }[] };
    const results = sound.runs[0]!.results;
    const withResult = (result: object) => ({ ...sound, runs: [{ ...sound.runs[0], results: [result] }] });
    expect(isValid(withResult(results[0]!))).toBe(true);
    expect(isValid(withResult({ ...results[0], level: 'info' }))).toBe(false);
    expect(isValid(withResult({ ...results[0], ruleld: 'X' }))).toBe(false);
  });
});
