/**
 * Reads qwen.cpp's container with the parser generated from specs/ggml-qwen/ggml_qwen.ksy. The rules are in that file; here are
 * only the names of the types (G-2.3). Imports nothing from packages/ggml-qwen.
 */
import type { GgmlQwen } from '../generated/GgmlQwen.js';
import { loadGenerated } from './generated.js';
import type { GgmlQwenReading, GgmlQwenTensor } from './ggml-qwen.reading.js';
import { PagedKaitaiStream } from './paged-kaitai-stream.js';
import { openBytes } from './sync-bytes.js';

const parsers = loadGenerated('GgmlQwen') as { GgmlQwen: typeof GgmlQwen };
const typeNames: Readonly<Record<number, string>> = { 0: 'F32', 1: 'F16', 2: 'Q4_0', 3: 'Q4_1', 6: 'Q5_0', 7: 'Q5_1', 8: 'Q8_0' };

/** Reads an array or the file at a path. Reads record headers only, no tensor data. */
export function readGgmlQwenWithKaitai(input: Uint8Array | string): GgmlQwenReading {
  const source = openBytes(input);
  try {
    return accepted(new parsers.GgmlQwen(new PagedKaitaiStream(source)));
  } catch (error) {
    // Parsing throws EOFError, Validation…Error and RangeError; anything else is a defect of this file.
    if (!(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError) throw error;
    return { accepted: false, reason: `${error.name}: ${error.message}` };
  } finally {
    source.close();
  }
}

function accepted(file: GgmlQwen): GgmlQwenReading {
  const { header } = file;
  const layers = file.layers.flatMap((layer) => [layer.ln1, layer.attnCAttnWeight, layer.attnCAttnBias, layer.attnCProj, layer.ln2, layer.mlpW1, layer.mlpW2, layer.mlpCProj]);
  return {
    accepted: true,
    header: {
      ggml_type: header.ggmlType, vocab_size: header.vocabSize, hidden_size: header.hiddenSize, num_attention_heads: header.numAttentionHeads,
      num_kv_heads: header.numKvHeads, num_hidden_layers: header.numHiddenLayers, intermediate_size: header.intermediateSize, max_length: header.maxLength,
      eos_token_id: header.eosTokenId, pad_token_id: header.padTokenId, im_start_id: header.imStartId, im_end_id: header.imEndId,
    },
    doubled: file.isIntermediateDoubled,
    directory: [file.wte, ...layers, file.lnF, file.lmHead].map(place),
  };
}

/** Name, dimensions and type as the record has them, place as the rules give it. */
function place({ record, ofsData: offset, lenData: length }: GgmlQwen.Matrix | GgmlQwen.Vector): GgmlQwenTensor {
  const shape = 'numRows' in record ? [record.numRows, record.numColumns] : [record.numElements];
  return { name: record.name, dtype: typeNames[record.ggmlType]!, shape, offset, length };
}
