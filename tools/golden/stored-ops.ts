/** ops/stored.json: embedding tables and matrices in every element type, against float64 over what their bytes mean. */
import { blockTypeNames, blockTypes, decodeFrom, encodeAs, fromInt8Groups, toInt8Groups, type BlockTypeName } from './block-types.js';
import { powerOfTwo } from './elementary.js';
import { exact, matmul, type Row } from './ops.js';
import { xorshift128 } from './random.js';

const u = powerOfTwo(-24);
const seed = 12;
const GROUP_SIZE = 32;
const ACTIVATION_BLOCK = 32;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const absolute = (values: Row): Float64Array => Float64Array.from(values, Math.abs);
const shortened = (values: Float64Array): number[] => Array.from(values, (value) => Number(value.toPrecision(7)));

interface StoredMatrix {
  readonly storage: string;
  readonly groupSize?: number;
  /** By role, hexadecimal. */
  readonly parts: Readonly<Record<string, string>>;
  readonly values: Float32Array;
  /** What rounding while decoding is proportional to: |value|, and for scale · code + minimum at most |value| + 2 |minimum|. */
  readonly magnitudes: Float64Array;
}

function inBlocks(name: BlockTypeName, values: Float32Array): StoredMatrix {
  const encoded = encodeAs(name, values);
  const decoded = decodeFrom(name, encoded);
  const { elements, bytes } = blockTypes[name];
  const minimums = name === 'q4_1' || name === 'q5_1' ? Array.from({ length: values.length / elements }, (_, i) => decodeFrom('f16', encoded.slice(i * bytes + 2, i * bytes + 4))[0]!) : undefined;
  const magnitudes = Float64Array.from(decoded, (value, i) => Math.abs(value) + 2 * Math.abs(minimums?.[Math.floor(i / elements)] ?? 0));
  return { storage: name.toUpperCase(), parts: { values: hex(encoded) }, values: decoded, magnitudes };
}

function inGroups(values: Float32Array): StoredMatrix {
  const groups = toInt8Groups(values, GROUP_SIZE);
  const decoded = fromInt8Groups(groups, GROUP_SIZE);
  return { storage: 'llama2c-q8', groupSize: GROUP_SIZE, parts: { values: hex(new Uint8Array(groups.values.buffer)), scales: hex(encodeAs('f32', groups.scales)) }, values: decoded, magnitudes: absolute(decoded) };
}

/** What rounding x to int8 in blocks may move each output by: half a step of max|x| / 127, and a scale kept as f16. */
function int8Bound(weights: Row, x: Row): Float64Array {
  const moved = Float64Array.from(x, (value, i) => {
    const start = i - (i % ACTIVATION_BLOCK);
    const step = Math.max(...absolute(x.subarray(start, start + ACTIVATION_BLOCK))) / 127;
    return (step / 2) * (1 + powerOfTwo(-8)) + Math.abs(value) * powerOfTwo(-11);
  });
  return matmul(absolute(weights), moved, exact);
}

const shapes: readonly (readonly [out: number, width: number, tokens: number])[] = [[5, 64, 3], [17, 96, 2]];

export function storedOps(): unknown {
  const random = xorshift128(seed);
  const storages = [...blockTypeNames.map((name) => (values: Float32Array) => inBlocks(name, values)), inGroups];
  const cases = storages.flatMap((store) => {
    const products = shapes.map(([out, width, tokens]) => {
      const matrix = store(random.centred(out * width, 0.3));
      const x = random.centred(tokens * width, 1);
      const rows = Array.from({ length: tokens }, (_, t) => x.subarray(t * width, (t + 1) * width));
      const overRows = (each: (row: Float32Array) => Float64Array): Float64Array => Float64Array.from(rows.flatMap((row) => [...each(row)]));
      return {
        name: `matmul ${matrix.storage.toLowerCase()} ${out} by ${width}`,
        op: 'matmul',
        weight: { storage: matrix.storage, groupSize: matrix.groupSize, shape: [out, width], parts: matrix.parts },
        x: { shape: [tokens, width], data: Array.from(x) },
        output: { shape: [tokens, out], data: Array.from(overRows((row) => matmul(matrix.values, row, exact))) },
        bound: shortened(overRows((row) => matmul(matrix.magnitudes, absolute(row), exact).map((magnitude) => (width + 4) * u * magnitude))),
        int8ActivationBound: shortened(overRows((row) => int8Bound(matrix.values, row))),
      };
    });
    const table = store(random.centred(6 * 32, 0.3));
    const tokens = [5, 0, 3, 3];
    return [...products, {
      name: `embed ${table.storage.toLowerCase()}`,
      op: 'embed',
      weight: { storage: table.storage, groupSize: table.groupSize, shape: [6, 32], parts: table.parts },
      tokens,
      output: { shape: [tokens.length, 32], data: tokens.flatMap((token) => Array.from(table.values.subarray(token * 32, (token + 1) * 32))) },
      bound: shortened(Float64Array.from(tokens.flatMap((token) => Array.from(table.magnitudes.subarray(token * 32, (token + 1) * 32), (magnitude) => 2 * u * magnitude)))),
    }];
  });
  return {
    formula: 'out[t] = weight x[t], or weight[tokens[t]]; weight is decoded from its parts (hexadecimal)',
    bound: '(n + 4) u |weight| |x|, with |scale code| + |minimum| for |weight| where it is stored so; embed: 2 u |weight|; u = 2^-24',
    int8ActivationBound: `for engines that round x to int8 in blocks of ${ACTIVATION_BLOCK}, and for no other: what half a step of max|x| / 127, and a scale in binary16, may move each output by, on top of bound`,
    seed,
    cases,
  };
}
