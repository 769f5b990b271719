/**
 * A model of Llama-2-7B's names and shapes in two shards, 13.5 GB by its headers: opened from sparse files and over HTTP
 * range requests. Headers only: what is read, sent and held must not grow with the tensors.
 */
import { byteLength, dtype, elementCount } from '@weightspec/core';
import { httpSource, type HttpSource } from '@weightspec/io';
import { fileSource } from '@weightspec/io/node';
import { once } from 'node:events';
import { closeSync, createReadStream, existsSync, ftruncateSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { validateFolder, type FolderFile } from './index.js';

const config = { model_type: 'llama', hidden_size: 4096, intermediate_size: 11008, num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 32, vocab_size: 32000, rms_norm_eps: 1e-5, torch_dtype: 'float16', tie_word_embeddings: false };

/** The 291 tensors as transformers names them. */
function llamaTensors(): (readonly [name: string, shape: readonly number[]])[] {
  const { hidden_size: dim, intermediate_size: hidden, vocab_size: vocab } = config;
  const layer = (n: number): (readonly [string, readonly number[]])[] => [
    ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((part) => [`model.layers.${n}.self_attn.${part}.weight`, [dim, dim]] as const),
    ...['gate_proj', 'up_proj'].map((part) => [`model.layers.${n}.mlp.${part}.weight`, [hidden, dim]] as const),
    [`model.layers.${n}.mlp.down_proj.weight`, [dim, hidden]],
    [`model.layers.${n}.input_layernorm.weight`, [dim]],
    [`model.layers.${n}.post_attention_layernorm.weight`, [dim]],
  ];
  return [['model.embed_tokens.weight', [vocab, dim]], ...Array.from({ length: 32 }, (_, n) => layer(n)).flat(), ['model.norm.weight', [dim]], ['lm_head.weight', [vocab, dim]]];
}

const folder = mkdtempSync(join(tmpdir(), 'weightspec-large-'));
let server: Server;
let origin = '';

/** Writes the header of a shard and leaves a hole for its data, by the clauses of specs/safetensors; returns its data's length. */
function writeShard(name: string, tensors: readonly (readonly [string, readonly number[]])[]): number {
  let end = 0;
  const entries = tensors.map(([tensor, shape]) => {
    const begin = end;
    end += byteLength(dtype('F16'), elementCount(shape));
    return `${JSON.stringify(tensor)}:{"dtype":"F16","shape":[${shape.join(',')}],"data_offsets":[${begin},${end}]}`;
  });
  const json = `{"__metadata__":{"format":"pt"},${entries.join(',')}}`;
  const header = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = openSync(join(folder, name), 'w');
  writeSync(file, Buffer.concat([length, header]));
  ftruncateSync(file, 8 + header.length + end);
  closeSync(file);
  return end;
}

function writeText(name: string, value: unknown): void {
  const file = openSync(join(folder, name), 'w');
  writeSync(file, JSON.stringify(value));
  closeSync(file);
}

beforeAll(async () => {
  const tensors = llamaTensors();
  const halves = [tensors.slice(0, 150), tensors.slice(150)];
  const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const totalSize = halves.reduce((sum, half, i) => sum + writeShard(names[i]!, half), 0);
  writeText('model.safetensors.index.json', { metadata: { total_size: totalSize }, weight_map: Object.fromEntries(halves.flatMap((half, i) => half.map(([name]) => [name, names[i]]))) });
  writeText('config.json', config);
  server = createServer((request, response) => {
    const path = join(folder, (request.url ?? '').slice(1));
    if (!existsSync(path)) {
      response.writeHead(404).end();
      return;
    }
    const { size } = statSync(path);
    const [first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')!.slice(1).map(Number) as [number, number];
    const end = Math.min(size - 1, last);
    response.writeHead(206, { 'content-range': `bytes ${first}-${end}/${size}`, 'content-length': end - first + 1 });
    createReadStream(path, { start: first, end }).pipe(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

const listing = (): FolderFile[] => readdirSync(folder).map((name) => ({ name, size: statSync(join(folder, name)).size }));

describe('a model of 13.5 GB in two shards', () => {
  it('is validated by its headers in half a second, holding a few megabytes', async () => {
    const resolve = async (name: string) => (existsSync(join(folder, name)) ? fileSource(join(folder, name)) : undefined);
    await validateFolder(listing(), resolve); // compiles the code, as this process does nothing else with it
    const before = process.memoryUsage();
    const start = performance.now();
    const report = await validateFolder(listing(), resolve);
    const elapsed = performance.now() - start;
    const after = process.memoryUsage();
    expect([report.verdict, report.diagnostics, report.stats.tensorCount, report.stats.parameterCount]).toEqual(['valid', [], 291, 6_738_415_616]);
    expect(report.stats.fileSize).toBeGreaterThan(13e9);
    expect(elapsed).toBeLessThan(500);
    expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(32 << 20);
  });
  it('over HTTP transfers less than 2 MB', async () => {
    const sources: HttpSource[] = [];
    const resolve = async (name: string): Promise<HttpSource | undefined> => {
      if (!existsSync(join(folder, name))) return undefined;
      const source = await httpSource(`${origin}/${name}`);
      sources.push(source);
      return source;
    };
    const report = await validateFolder(listing(), resolve);
    expect(report.verdict).toBe('valid');
    const received = sources.reduce((sum, source) => sum + source.stats().receivedBytes, 0);
    expect(received).toBeGreaterThan(30_000);
    expect(received).toBeLessThan(500_000);
  });
});
