import { decodedQuad, decoderOf, matrixConstants } from './decode.js';
import { kernel, type Kernel } from './kernel.js';
import type { UnitKind } from '../weights/layout.js';

/** out[t] = weight[token[t]] for the tokens whose rows are in this range. One unit an invocation; f32 goes through as bits. */
export function embedKernel(kind: UnitKind): Kernel {
  const decoder = decoderOf(kind);
  const store = Array.from({ length: decoder.quads }, (_, i) => `  out[at + ${i}u] = bitcast<vec4<u32>>(${decodedQuad(decoder, String(i))});`);
  return kernel({
    name: `embed from ${kind}`,
    bindings: [...decoder.bindings, { name: 'tokens', type: 'u32', access: 'read' }, { name: 'out', type: 'vec4<u32>', access: 'write' }],
    constants: matrixConstants,
    workgroupSize: 64,
    declarations: decoder.code,
    body: `  if (index >= batch.rowCount * op.unitsPerRow) { return; }
  let token = batch.firstRow + index / op.unitsPerRow;
  let unit = index % op.unitsPerRow;
  // Rows before the range wrap around to numbers beyond it.
  let row = tokens[token] - op.firstOut;
  if (row >= op.rows) { return; }
  var codes: Unit;
  let factors = unitCodes(row, unit, &codes);
  let at = token * op.outStride + unit * ${decoder.quads}u;
${store.join('\n')}`,
  });
}
