import { codeFamilies, type CodeFamily } from '@weightspec/formats';
import { codecCodes } from '@weightspec/codecs';
import { conformanceCodes } from '@weightspec/conformance';
import { convertCodes } from '@weightspec/convert';
import { IO_CODES } from '@weightspec/io';
import { smoothquantCodes } from '@weightspec/smoothquant';
import { tiktokenCodes } from '@weightspec/tokenizers';
import { cliCodes, runnerCodes } from '../codes.js';

/** Every code that any command can print, by family. */
export function allCodeFamilies(): readonly CodeFamily[] {
  return [...codeFamilies(), { id: 'tiktoken', title: 'Vocabularies of Llama 3 and Qwen', codes: tiktokenCodes }, { id: 'codecs', title: 'Encoding weights', codes: codecCodes }, { id: 'convert', title: 'Converting', codes: convertCodes }, { id: 'smoothquant', title: 'SmoothQuant exports of LMDeploy', codes: smoothquantCodes }, { id: 'conformance', title: 'The conformance suite', codes: conformanceCodes }, { id: 'io', title: 'Reading and writing bytes', codes: IO_CODES }, { id: 'run', title: 'Running a model', codes: runnerCodes }, { id: 'cli', title: 'The command itself', codes: cliCodes }];
}
