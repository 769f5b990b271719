// The specifications in specs/**/*.ksy, outside JavaScript: compiled to Python, Java, C++ and Rust. The Python parsers must
// parse every valid fixture and generated files, and agree with the JavaScript reading of them. Java, C++ and Rust
// are compiled where a compiler and the Kaitai runtime are at hand (Java's comes from Maven; C++ and Rust have theirs in no
// registry: KAITAI_CPP_RUNTIME and KAITAI_RUST_RUNTIME may name checkouts); otherwise they are named as emitted only.
import { generateGgmlQwen, generateLlama2c, generateLlama2cTokenizer, llama2cVariants, readGgmlQwenWithKaitai, readTokenizerWithKaitai, readTorch, readTorchContainer, readWithKaitai, tokenizerGenerations } from '@weightspec/oracles';
import { load as parseYaml } from 'js-yaml';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

interface Compiler {
  compile(language: string, ksy: unknown, importer: { importYaml(name: string): Promise<unknown> }, debug: boolean): Promise<Record<string, string>>;
}
const compiler = createRequire(import.meta.url)('kaitai-struct-compiler') as Compiler;
const root = fileURLToPath(new URL('../..', import.meta.url));
const languages = { python: 'py', java: 'java', cpp_stl: 'cpp', rust: 'rs' } as const;
const specs = readdirSync(join(root, 'specs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ksy')).map((name) => join(root, 'specs', name));
const load = (path: string): unknown => parseYaml(readFileSync(path, 'utf8'));

const work = mkdtempSync(join(tmpdir(), 'weightspec-portability-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** Runs a program quietly; undefined when it is not installed or fails. */
function succeeds(command: string, args: readonly string[], options: { cwd?: string; input?: string } = {}): string | undefined {
  const { status, stdout, error } = spawnSync(command, args, { ...options, encoding: 'utf8', timeout: 180_000, maxBuffer: 1 << 28 });
  return error || status !== 0 ? undefined : stdout;
}

/** Runs a program that must succeed; throws with what it printed. */
function mustRun(command: string, args: readonly string[], options: { cwd?: string; input?: string; env?: NodeJS.ProcessEnv } = {}): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { ...options, encoding: 'utf8', timeout: 280_000, maxBuffer: 1 << 28 });
  if (error || status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `exit ${status}`}\n${stderr.slice(-4000)}`);
  return stdout;
}

function skipped(skip: (note: string) => void, note: string): void {
  process.stderr.write(`skipped: ${note}\n`);
  skip(note);
}

beforeAll(async () => {
  for (const language of Object.keys(languages)) {
    mkdirSync(join(work, language));
    for (const spec of specs) {
      const files = await compiler.compile(language, load(spec), { importYaml: async (name) => load(join(dirname(spec), `${name}.ksy`)) }, false);
      for (const [name, text] of Object.entries(files)) writeFileSync(join(work, language, basename(name)), text);
    }
  }
});

describe.each(Object.entries(languages))('the specifications as %s', (language, extension) => {
  it.each(specs.map((spec) => basename(spec, '.ksy')))('emits a parser for %s', (id) => {
    const name = language === 'java' ? id.replace(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase()) : id;
    expect(readFileSync(join(work, language, `${name}.${extension}`), 'utf8')).toContain('This is a generated file!');
  });
});

/** Prints for each [path, module, parameter] what the Python parser sees: [name, offset, length] rows and the dimensions, or pieces. */
const PYTHON = String.raw`
import importlib, json, sys
from kaitaistruct import KaitaiStream

MATRICES = [('wq', 'attention.wq'), ('wk', 'attention.wk'), ('wv', 'attention.wv'), ('wo', 'attention.wo'),
            ('w1', 'feed_forward.w1'), ('w2', 'feed_forward.w2'), ('w3', 'feed_forward.w3')]

def f32(name, tensor):
    return [[name, tensor.ofs, tensor.len_data]]

def int8(name, matrix):
    return [[name, matrix.ofs_values, matrix.len_values], [name + '.scales', matrix.ofs_scales, matrix.len_scales]]

def one(name, tensor):
    if isinstance(tensor, list) or hasattr(tensor, 'layers'):
        return one(name, getattr(tensor, 'layers', tensor)[0])
    return f32(name, tensor) if hasattr(tensor, 'ofs') and hasattr(tensor, 'len_data') else int8(name, tensor)

def weights(file):
    header = getattr(file, 'header', file)
    config = header.config
    rows = one('tok_embeddings.weight', file.tok_embeddings) + one('norm.weight', file.norm)
    for attribute, name in [('attention_norm', 'attention_norm'), ('ffn_norm', 'ffn_norm')] + MATRICES:
        stack = getattr(file, attribute)
        for layer, tensor in enumerate(getattr(stack, 'layers', stack)):
            rows += one('layers.%d.%s.weight' % (layer, name), tensor)
    for name in ('freqs_cos', 'freqs_sin'):
        if hasattr(file, name):
            rows += one(name, getattr(file, name))
    if getattr(file, 'output', None) is not None:
        rows += one('output.weight', file.output)
    fields = ['dim', 'hidden_dim', 'n_layers', 'n_heads', 'n_kv_heads', 'max_seq_len']
    return {'header': dict([(field, getattr(config, field)) for field in fields], vocab_size=config.num_vocab),
            'directory': sorted(rows, key=lambda row: row[1])}

def qwen(file):
    tensors = [file.wte]
    for layer in file.layers:
        tensors += [layer.ln_1, layer.attn_c_attn_weight, layer.attn_c_attn_bias, layer.attn_c_proj, layer.ln_2, layer.mlp_w1, layer.mlp_w2, layer.mlp_c_proj]
    tensors += [file.ln_f, file.lm_head]
    fields = ['ggml_type', 'vocab_size', 'hidden_size', 'num_attention_heads', 'num_kv_heads', 'num_hidden_layers',
              'intermediate_size', 'max_length', 'eos_token_id', 'pad_token_id', 'im_start_id', 'im_end_id']
    return {'header': dict((field, getattr(file.header, field)) for field in fields), 'doubled': file.is_intermediate_doubled,
            'directory': [[tensor.record.name, tensor.ofs_data, tensor.len_data] for tensor in tensors]}

def torch_zip(file):
    return {'members': [[entry.name.decode(), entry.ofs_header + entry.local.ofs_data, entry.len_uncompressed, entry.crc] for entry in file.entries]}

def torch_legacy(file):
    return {'protocols': [file.magic.start.protocol, file.version.start.protocol]}

def tokens(file):
    return {'pieces': [token.piece.hex() for token in file.tokens], 'scores': [getattr(token, 'score', None) for token in file.tokens]}

readings = []
for path, module, parameter in json.load(sys.stdin):
    parser = getattr(importlib.import_module(module), ''.join(part.capitalize() for part in module.split('_')))
    with open(path, 'rb') as stream:
        io = KaitaiStream(stream)
        file = parser(io) if parameter is None else parser(parameter, io)
        readings.append(globals()[module](file) if module.startswith('torch') else qwen(file) if module == 'ggml_qwen' else tokens(file) if 'tokenizer' in module else weights(file))
json.dump(readings, sys.stdout)
`;

interface Job {
  readonly path: string;
  readonly module: string;
  /** Header length of v1-experimental. */
  readonly parameter: number | null;
  /** What the JavaScript parser sees. */
  readonly expected: unknown;
}

/** The JavaScript readings of one file in the terms of the Python script: two where gen4 and gen5 share a framing. Throws when no layout fits: every file here is valid. */
function jobsFor(path: string): Job[] {
  if (path.endsWith('.pth')) return [torchJob(path)];
  const qwen = readGgmlQwenWithKaitai(path);
  if (qwen.accepted) {
    const { header, doubled, directory } = qwen;
    return [{ path, module: 'ggml_qwen', parameter: null, expected: { header, doubled, directory: directory.map(({ name, offset, length }) => [name, offset, length]) } }];
  }
  const reading = readWithKaitai(path);
  if (reading.accepted) {
    const { dim, hidden_dim, n_layers, n_heads, n_kv_heads, max_seq_len, vocab_size } = reading.header;
    return [{
      path,
      module: `llama2c_${reading.variant.replace('-', '_')}`,
      parameter: reading.variant === 'v1-experimental' ? reading.header.header_bytes : null,
      expected: { header: { dim, hidden_dim, n_layers, n_heads, n_kv_heads, max_seq_len, vocab_size }, directory: reading.directory.map(({ name, offset, length }) => [name, offset, length]) },
    }];
  }
  const jobs = tokenizerGenerations.flatMap((generation): Job[] => {
    const tokenizer = readTokenizerWithKaitai(path, generation);
    if (!tokenizer) return [];
    const { pieces, scores } = tokenizer;
    return [{ path, module: `llama2c_tokenizer_${generation}`, parameter: null, expected: { pieces: pieces.map((piece) => Buffer.from(piece).toString('hex')), scores: pieces.map((_, id) => scores?.[id] ?? null) } }];
  });
  if (jobs.length > 0) return jobs;
  throw new Error(`${path}: no JavaScript parser accepts it (${reading.reason})`);
}

/** The fixtures' offsets are in their headers, not in zip64 fields. */
function torchJob(path: string): Job {
  const archive = readTorchContainer(path, 'kaitai');
  if (archive.accepted) return { path, module: 'torch_zip', parameter: null, expected: { members: archive.members.map(({ name, dataOffset, length, crc }) => [name, dataOffset, length, crc]) } };
  const stream = readTorch(path, 'kaitai');
  if (!stream.accepted) throw new Error(`${path}: no JavaScript parser accepts it (${stream.reason})`);
  const protocol = readFileSync(path)[1];
  return { path, module: 'torch_legacy', parameter: null, expected: { protocols: [protocol, protocol] } };
}

function validFixtures(): string[] {
  return ['llama2c', 'ggml-qwen', 'torch-checkpoint'].flatMap((format) => {
    const folder = join(root, 'fixtures', format, 'valid');
    return readdirSync(folder).filter((name) => /\.(bin|pth)$/.test(name)).map((name) => join(folder, name));
  });
}

function generatedFiles(): string[] {
  const folder = join(work, 'generated-files');
  mkdirSync(folder);
  const write = (name: string, bytes: Uint8Array) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };
  const shape = { headSize: 4, nKvHeads: 2, queriesPerKv: 2, hiddenDim: 12, nLayers: 2, vocabSize: 20, maxSeqLen: 6 };
  return [
    ...llama2cVariants.flatMap((variant) => [true, false].map((shared) => write(`${variant}-${shared ? 'shared' : 'unshared'}.bin`, generateLlama2c({ ...shape, variant, shared, groupChoice: 3, headerBytes: shared ? 256 : 128, seed: 7 })))),
    ...tokenizerGenerations.map((generation) => write(`tokenizer-${generation}.bin`, generateLlama2cTokenizer(generation, 9, 7))),
    ...[0, 2].map((typeId) => write(`ggml-qwen-${typeId}.bin`, generateGgmlQwen({ typeId, vocabSize: 20, hiddenSize: 64, heads: 4, layers: 11, ffn: 64, maxLength: 16, tokenIds: [1, 0, 3, 4], undoubled: typeId === 2, noisyPadding: true, seed: 7 }))),
  ];
}

describe('the Python parsers', () => {
  it('agree with the JavaScript ones on every valid fixture and on generated files', ({ skip }) => {
    const venv = join(work, 'venv');
    const python = join(venv, process.platform === 'win32' ? 'Scripts/python' : 'bin/python');
    if (succeeds('python3', ['-m', 'venv', venv]) === undefined) return skipped(skip, 'Python parsers emitted, not run: no python3 with venv');
    if (succeeds(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', 'kaitaistruct==0.11']) === undefined) {
      return skipped(skip, 'Python parsers emitted, not run: kaitaistruct 0.11 cannot be installed from PyPI');
    }
    const jobs = [...validFixtures(), ...generatedFiles()].flatMap(jobsFor);
    expect(new Set(jobs.map(({ module }) => module)).size).toBe(llama2cVariants.length + tokenizerGenerations.length + 3);
    const output = mustRun(python, ['-c', PYTHON], { input: JSON.stringify(jobs.map(({ path, module, parameter }) => [path, module, parameter])), env: { ...process.env, PYTHONPATH: join(work, 'python') } });
    const readings = JSON.parse(output) as unknown[];
    expect(readings).toHaveLength(jobs.length);
    for (const [i, job] of jobs.entries()) expect({ path: job.path, ...(readings[i] as object) }).toEqual({ path: job.path, ...(job.expected as object) });
  });
});

const sourcesOf = (language: string, extension: string) => readdirSync(join(work, language)).filter((name) => name.endsWith(extension));

describe('the other parsers compile', () => {
  it('Java', ({ skip }) => {
    if (succeeds('javac', ['-version']) === undefined) return skipped(skip, 'Java parsers emitted, not compiled: no javac');
    if (succeeds('mvn', ['-q', 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy', '-Dartifact=io.kaitai:kaitai-struct-runtime:0.11', `-DoutputDirectory=${work}`], { cwd: work }) === undefined) {
      return skipped(skip, 'Java parsers emitted, not compiled: Maven cannot fetch io.kaitai:kaitai-struct-runtime:0.11');
    }
    mustRun('javac', ['-cp', join(work, 'kaitai-struct-runtime-0.11.jar'), '-d', join(work, 'java-classes'), ...sourcesOf('java', '.java')], { cwd: join(work, 'java') });
    expect(readdirSync(join(work, 'java-classes')).filter((name) => name.endsWith('.class')).length).toBeGreaterThanOrEqual(specs.length);
  });

  it('C++', ({ skip }) => {
    const runtime = process.env.KAITAI_CPP_RUNTIME;
    if (!runtime) return skipped(skip, 'C++ parsers emitted, not compiled: KAITAI_CPP_RUNTIME names no kaitai_struct_cpp_stl_runtime');
    const sources = sourcesOf('cpp_stl', '.cpp');
    expect(sources).toHaveLength(specs.length);
    for (const source of sources) mustRun('g++', ['-std=c++11', '-fsyntax-only', '-I', runtime, source], { cwd: join(work, 'cpp_stl') });
  });

  it('Rust', ({ skip }) => {
    const runtime = process.env.KAITAI_RUST_RUNTIME;
    if (!runtime) return skipped(skip, 'Rust parsers emitted, not compiled: KAITAI_RUST_RUNTIME names no kaitai_struct_rust_runtime');
    const modules = sourcesOf('rust', '.rs').map((name) => basename(name, '.rs'));
    expect(modules).toHaveLength(specs.length);
    writeFileSync(join(work, 'rust', 'lib.rs'), modules.map((name) => `pub mod ${name};\n`).join(''));
    writeFileSync(join(work, 'rust', 'Cargo.toml'), `[package]\nname = "specs"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n[dependencies]\nkaitai = { path = ${JSON.stringify(runtime)} }\n`);
    mustRun('cargo', ['check', '--quiet'], { cwd: join(work, 'rust') });
  });
});
