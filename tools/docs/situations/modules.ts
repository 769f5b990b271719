/** What the programs of the examples import. */
import * as fsPromises from 'node:fs/promises';
import * as backendWasm from '@weightspec/backend-wasm';
import * as backendWebgpu from '@weightspec/backend-webgpu';
import * as cli from '@weightspec/cli';
import * as codecs from '@weightspec/codecs';
import * as conformance from '@weightspec/conformance';
import * as conformanceNode from '@weightspec/conformance/node';
import * as core from '@weightspec/core';
import * as engine from '@weightspec/engine';
import * as formats from '@weightspec/formats';
import * as io from '@weightspec/io';
import * as ioNode from '@weightspec/io/node';
import * as kernels from '@weightspec/kernels';
import * as llama2c from '@weightspec/llama2c';
import * as models from '@weightspec/models';
import * as safetensors from '@weightspec/safetensors';
import * as shardedIndex from '@weightspec/sharded-index';
import * as tokenizers from '@weightspec/tokenizers';
import * as torchCheckpoint from '@weightspec/torch-checkpoint';

export const modules: Readonly<Record<string, object>> = {
  'node:fs/promises': fsPromises,
  '@weightspec/backend-wasm': backendWasm,
  '@weightspec/backend-webgpu': backendWebgpu,
  '@weightspec/cli': cli,
  '@weightspec/codecs': codecs,
  '@weightspec/conformance': conformance,
  '@weightspec/conformance/node': conformanceNode,
  '@weightspec/core': core,
  '@weightspec/engine': engine,
  '@weightspec/formats': formats,
  '@weightspec/io': io,
  '@weightspec/io/node': ioNode,
  '@weightspec/kernels': kernels,
  '@weightspec/llama2c': llama2c,
  '@weightspec/models': models,
  '@weightspec/safetensors': safetensors,
  '@weightspec/sharded-index': shardedIndex,
  '@weightspec/tokenizers': tokenizers,
  '@weightspec/torch-checkpoint': torchCheckpoint,
};
