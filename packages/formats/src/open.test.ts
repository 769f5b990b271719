import { describe, expect, it } from 'vitest';
import { dtype, diagnosticFactory, type ByteSource, type Confidence, type Format, type Severity } from '@weightspec/core';
import { detect } from './detect.js';
import { open } from './open.js';
import { validateSource } from './validate.js';

/** A source over bytes that records what was read of it. */
function fakeSource(data: Uint8Array, name = 'model.bin', size = data.length): ByteSource & { readonly reads: [number, number][] } {
  const reads: [number, number][] = [];
  return {
    name,
    size,
    reads,
    read: async (offset, length) => {
      reads.push([offset, length]);
      return data.slice(offset, offset + length);
    },
  };
}

interface FakeOptions {
  readonly id?: string;
  readonly confidence?: Confidence;
  readonly readErrors?: number;
  readonly findings?: readonly Severity[];
  readonly damaged?: boolean;
}

const row = (severity: Severity) => ({ severity, summary: 's', clause: 'c', rationale: 'r', hint: 'h' });
const codes = { FAKE_ERROR: row('error'), FAKE_WARNING: row('warning'), FAKE_INFO: row('info') };
const finding = diagnosticFactory(codes);

/** A format that claims files starting with `F`. */
function fakeFormat({ id = 'fake', confidence = 'certain', readErrors = 0, findings = [], damaged = false }: FakeOptions = {}): Format {
  return {
    id,
    title: id,
    variants: ['v'],
    extensions: ['.bin'],
    codes,
    detectBytes: 4,
    detect: (head) => (head[0] === 0x46 ? { confidence, evidence: `${id} saw F` } : undefined),
    read: async (source) => {
      const location = { source, offset: 4, length: 24 };
      const tensors = ['a.values', 'a.scales', 'b'].map((name) => ({ name, dtype: dtype('F32'), shape: [2, 3], location }));
      const packed = [{ name: 'a', scheme: 'x', shape: [2, 3], parts: { values: 'a.values', scales: 'a.scales' } }];
      const diagnostics = Array.from({ length: readErrors }, () => finding('FAKE_ERROR', source.name, { message: 'bad' }));
      return damaged ? { diagnostics } : { checkpoint: { format: id, variant: 'v', metadata: {}, tensors, packed }, diagnostics };
    },
    validate: async (_checkpoint, options) => {
      options?.progress?.(10, 20);
      options?.progress?.(20, 20);
      const code = { error: 'FAKE_ERROR', warning: 'FAKE_WARNING', info: 'FAKE_INFO' } as const;
      return { diagnostics: findings.map((severity) => finding(code[severity], 'model.bin', { message: severity })), checked: ['sizes'], notChecked: ['values'] };
    },
  };
}

const fBytes = new TextEncoder().encode('F\u0001\u0002\u0003');

describe('detect', () => {
  it('reads one bounded head window, also of a huge source', async () => {
    const source = fakeSource(fBytes, 'huge.bin', 30e9);
    await detect(source, [fakeFormat(), { ...fakeFormat(), detectBytes: 2 ** 30 }]);
    expect(source.reads).toEqual([[0, 2 ** 20]]);
  });
  it('ranks certain before likely before possible and keeps list order within one', async () => {
    const list = (['possible', 'likely', 'certain', 'likely'] as const).map((confidence, index) => fakeFormat({ id: `${confidence}${index}`, confidence }));
    const { candidates } = await detect(fakeSource(fBytes), list);
    expect(candidates.map(({ format }) => format.id)).toEqual(['certain2', 'likely1', 'likely3', 'possible0']);
  });
});

describe('open', () => {
  it('reads with the surest format alone', async () => {
    const opened = await open(fakeSource(fBytes), [fakeFormat({ id: 'likely', confidence: 'likely' }), fakeFormat({ id: 'sure', readErrors: 3 })]);
    expect(opened.format?.id).toBe('sure');
    expect(opened.evidence).toBe('sure saw F');
    expect(opened.diagnostics).toHaveLength(3);
  });
  it('takes the reading with the fewest errors among equals', async () => {
    const list = [fakeFormat({ id: 'worse', confidence: 'likely', readErrors: 1 }), fakeFormat({ id: 'better', confidence: 'likely' })];
    const opened = await open(fakeSource(fBytes), list);
    expect(opened.format?.id).toBe('better');
    expect(opened.diagnostics).toEqual([]);
  });
  it('warns when two formats read the file without an error (FORMAT_AMBIGUOUS)', async () => {
    const opened = await open(fakeSource(fBytes), [fakeFormat({ id: 'one' }), fakeFormat({ id: 'two' })]);
    expect(opened.format?.id).toBe('one');
    expect(opened.diagnostics).toMatchObject([{ code: 'FORMAT_AMBIGUOUS', severity: 'warning' }]);
  });
  it('prefers an imposter to a mere possibility, and a likely format to an imposter', async () => {
    const source = () => fakeSource(new TextEncoder().encode('For text, see elsewhere'));
    const possible = await open(source(), [fakeFormat({ confidence: 'possible' })]);
    expect(possible.format).toBeUndefined();
    expect(possible.diagnostics).toMatchObject([{ code: 'FORMAT_PLAIN_TEXT' }]);
    expect((await open(source(), [fakeFormat({ confidence: 'likely' })])).format?.id).toBe('fake');
  });
  it('says so when the bytes look like nothing (FORMAT_UNKNOWN)', async () => {
    const opened = await open(fakeSource(Uint8Array.of(0xfe, 0xff, 1, 2)), [fakeFormat()]);
    expect(opened.diagnostics).toMatchObject([{ code: 'FORMAT_UNKNOWN', byteRange: [0, 4] }]);
  });
});

describe('validateSource', () => {
  const validate = (options: FakeOptions, more = {}) => validateSource(fakeSource(fBytes), { formats: [fakeFormat(options)], ...more });

  it('counts a packed weight once and carries what was checked', async () => {
    const report = await validate({});
    expect(report).toMatchObject({ path: 'model.bin', format: 'fake', variant: 'v', verdict: 'valid' });
    expect(report.stats).toMatchObject({ fileSize: 4, tensorCount: 3, parameterCount: 12, checked: ['sizes'], notChecked: ['values'] });
    expect(report.stats.bytesChecked).toBeUndefined();
  });
  it('turns warnings into errors when strict, in the verdict and in the diagnostics', async () => {
    expect(await validate({ findings: ['warning'] })).toMatchObject({ verdict: 'warnings', summary: { errors: 0, warnings: 1 } });
    const strict = await validate({ findings: ['warning', 'info'] }, { strict: true });
    expect(strict).toMatchObject({ verdict: 'invalid', summary: { errors: 1, warnings: 0, infos: 1 } });
    expect(strict.diagnostics.map(({ severity }) => severity)).toEqual(['error', 'info']);
  });
  it('reports bytes of a deep check', async () => {
    expect((await validate({}, { deep: true })).stats.bytesChecked).toBe(20);
  });
  it('keeps errors first when it cuts a long list, and counts all', async () => {
    const report = await validate({ findings: ['info', 'warning', 'error', 'error'] }, { maxDiagnostics: 3 });
    expect(report.diagnostics.map(({ severity }) => severity)).toEqual(['error', 'error', 'warning']);
    expect(report.summary).toEqual({ errors: 2, warnings: 1, infos: 1 });
    expect(report.stats.limits).toMatchObject({ diagnosticsKept: 3, diagnosticsFound: 4 });
  });
  it('says that tensors were not checked when there is no directory', async () => {
    const report = await validate({ damaged: true, readErrors: 1 });
    expect(report.verdict).toBe('invalid');
    expect(report.stats.checked).toEqual([]);
    expect(report.stats.notChecked.join()).toContain('tensors');
  });
  it('gives the verdict unrecognized, and calls nothing checked, when no format claims the file', async () => {
    const report = await validateSource(fakeSource(Uint8Array.of(0xfe, 0xff)), { formats: [fakeFormat()] });
    expect(report).toMatchObject({ format: null, variant: null, verdict: 'unrecognized', summary: { errors: 1 } });
    expect(report.stats.checked).toEqual([]);
  });
  it('stops before reading when it was aborted', async () => {
    await expect(validate({}, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
  });
});
