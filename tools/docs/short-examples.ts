/** Files of a few bytes, for codes that no fixture shows: what other formats begin with, and indexes beside two shards. */
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const hex = (digits: string): Uint8Array => Uint8Array.from(digits.split(' '), (byte) => Number.parseInt(byte, 16));
const index = (value: string): { readonly name: string; readonly bytes: Uint8Array } => ({ name: 'model.safetensors.index.json', bytes: text(value) });
/** A safetensors file with the one tensor `name`, F32 [2]. */
function shard(name: string): Uint8Array {
  const header = text(`{"${name}":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`);
  const bytes = new Uint8Array(8 + header.length + 8).fill(1, 8 + header.length);
  bytes[0] = header.length;
  bytes.set(header, 8);
  return bytes;
}

/** A safetensors file of this header, without data. */
function headerAlone(value: string): { readonly name: string; readonly bytes: Uint8Array } {
  const json = text(value);
  const bytes = new Uint8Array(8 + json.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return { name: 'model.safetensors', bytes };
}
const many = (count: number, entry: (index: number) => string): string => Array.from({ length: count }, (_, i) => entry(i)).join(',');
const long = 'x'.repeat(2 ** 24 + 1);

/** What lies beside the indexes. */
export const shards: Readonly<Record<string, Uint8Array>> = {
  'model-00001-of-00001.safetensors': shard('a'),
  'model-00001-of-00002.safetensors': shard('a'),
  'model-00002-of-00002.safetensors': shard('b'),
  'model-00001-of-00003.safetensors': shard('a'),
  'model-00003-of-00003.safetensors': shard('b'),
  'renamed.bin': shard('a'),
};

const mapping = (entries: string): { readonly name: string; readonly bytes: Uint8Array } => index(`{"metadata":{"total_size":8},"weight_map":{${entries}}}`);

export const shortExamples: readonly { readonly name: string; readonly bytes: Uint8Array }[] = [
  { name: 'model.bin', bytes: new Uint8Array(0) },
  { name: 'model.bin', bytes: new Uint8Array(64) },
  { name: 'model.bin', bytes: text('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 13476839424\n') },
  { name: 'model.bin', bytes: text('<!doctype html>\n<title>Sign in</title>\n') },
  { name: 'model.bin', bytes: text('{"error": "Repository not found"}\n') },
  { name: 'model.bin', bytes: text('Entry not found') },
  { name: 'model.bin', bytes: text('GGUF\u0003\0\0\0\0\0\0\0') },
  { name: 'model.bin', bytes: hex('6c 6d 67 67 00 7d 00 00') },
  { name: 'model.bin', bytes: hex('66 6d 67 67 01 00 00 00') },
  { name: 'model.bin', bytes: hex('74 6a 67 67 03 00 00 00') },
  { name: 'model.bin', bytes: hex('61 6c 67 67 01 00 00 00') },
  { name: 'model.bin', bytes: hex('1f 8b 08 00 00 00 00 00') },
  { name: 'model.bin', bytes: hex('37 7a bc af 27 1c 00 04') },
  { name: 'model.bin', bytes: hex('89 50 4e 47 0d 0a 1a 0a') },
  { name: 'model.bin', bytes: text('%PDF-1.7\n') },
  { name: 'model.bin', bytes: hex('7f 45 4c 46 02 01 01 00') },
  { name: 'model.bin', bytes: hex('de ad be ef 01 02 03 04') },
  index('{"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-00001.safetensors"'),
  index('[]'),
  index('{"metadata":{"total_size":8}}'),
  index('{"weight_map":{"a":"model-00001-of-00001.safetensors"}}'),
  index('{"metadata":{},"weight_map":{"a":"model-00001-of-00001.safetensors"}}'),
  index('{"metadata":{"total_size":8.0},"weight_map":{"a":"model-00001-of-00001.safetensors"}}'),
  index('{"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-00001.safetensors"},"wieght_map":{}}'),
  index('{"metadata":{"total_size":8},"weight_map":["a"]}'),
  index('{"metadata":{"total_size":8},"weight_map":{"\\ud800":"model-00001-of-00001.safetensors"}}'),
  mapping(''),
  mapping('"a":"model-00001-of-00001.safetensors","a":"model-00001-of-00001.safetensors"'),
  mapping('"a":"../../etc/passwd.safetensors"'),
  mapping('"a":"model-00001-of-00002.safetensors","b":"Model-00001-of-00002.safetensors","c":"model-00002-of-00002.safetensors"'),
  mapping('"a":"model.txt"'),
  mapping('"a":"model-00007-of-00009.safetensors"'),
  mapping('"a":"renamed.bin"'),
  mapping('"x":"model-00001-of-00001.safetensors"'),
  mapping('"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"'),
  index('{"metadata":{"total_size":8,"total_parameters":3},"weight_map":{"a":"model-00001-of-00001.safetensors"}}'),
  mapping('"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.bin"'),
  mapping('"a":"model-00001-of-00003.safetensors","b":"model-00003-of-00003.safetensors"'),
  { name: 'model.safetensors.index.json', bytes: Uint8Array.from([0xef, 0xbb, 0xbf, ...text('{"metadata":{"total_size":8},"weight_map":{"a":"model-00001-of-00001.safetensors"}}')]) },
  index(`{"metadata":{"${long}":0},"weight_map":{"a":"model-00001-of-00001.safetensors"}}`),
  index(`{"metadata":{"total_size":8,"note":"${'x'.repeat(2 ** 20)}"},"weight_map":{"a":"model-00001-of-00001.safetensors"}}`),
  index(`{"metadata":{"total_size":8},"weight_map":{${many(2 ** 19, (i) => `"${i}":"model-00001-of-00001.safetensors"`)}}}`),
  index(`{"metadata":{"total_size":8},"weight_map":{${many(10_001, (i) => `"${i}":"model-${String(i + 1).padStart(5, '0')}-of-10001.safetensors"`)}}}`),
  headerAlone(`{"__metadata__":{"note":"${long}"}}`),
  headerAlone(`{"__metadata__":{${many(2 ** 16 + 1, (i) => `"${i}":""`)}}}`),
  headerAlone(`{"${'x'.repeat(4097)}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`),
  headerAlone(`{${many(2 ** 18 + 1, (i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)}}`),
  index(`{"metadata":${'['.repeat(130)}${']'.repeat(130)},"weight_map":{}}`),
];
