/** The quantizers of native/quantize.cpp: the bytes of @weightspec/codecs with ggml's rounding, some ten times as fast. */
import { codecs, type Codec } from '@weightspec/codecs';
import { BackendError } from '@weightspec/kernels';
import { loadAddon, type Addon } from './addon.js';

/** Encodes whole blocks into `dst`. Throws RangeError when the lengths disagree. */
export type Quantizer = (src: Float32Array, dst: Uint8Array) => void;

const types = ['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'f16', 'bf16'] as const;
export type QuantizedType = (typeof types)[number];

/** Loads the addon; undefined where there is none. */
function addonIfThere(): Addon | undefined {
  try {
    return loadAddon();
  } catch (error) {
    if (error instanceof BackendError && error.code === 'BACKEND_UNAVAILABLE') return undefined;
    throw error;
  }
}

/**
 * A quantizer a type, with ggml's rounding; undefined where the addon is not built.
 * `isa` (`scalar`, `avx2`, `avx512`, or one that takes the best of these, `amx`, `neon`): throws BackendError (BACKEND_UNAVAILABLE) where the processor lacks it. Default: WEIGHTSPEC_ISA,
 * or else the best it has.
 */
export function nativeQuantizers(isa: string | undefined = process.env.WEIGHTSPEC_ISA): Readonly<Record<QuantizedType, Quantizer>> | undefined {
  const addon = addonIfThere();
  if (!addon) return undefined;
  const forced = isa === '' || isa === 'auto' ? undefined : isa;
  const quantizer = (type: QuantizedType): Quantizer => {
    const name = codecs[type].dtype.name;
    return (src, dst) => {
      const done = forced === undefined ? addon.quantize(name, src, dst) : addon.quantize(name, src, dst, forced);
      if (!done) throw new BackendError('BACKEND_UNAVAILABLE', `this processor has no ${forced} for quantizing`);
    };
  };
  return Object.fromEntries(types.map((type) => [type, quantizer(type)])) as Record<QuantizedType, Quantizer>;
}

/** `codec` with its ggml rounding computed by `quantizer`. Everything else, and the bytes, stay as they are. */
export function withQuantizer(codec: Codec, quantizer: Quantizer): Codec {
  return {
    ...codec,
    quantize(src, options = {}) {
      if ((options.rounding ?? 'ggml') !== 'ggml') return codec.quantize(src, options);
      const { blockSize, bytesPerBlock } = codec.dtype;
      const dst = options.dst ?? new Uint8Array(Math.floor(src.length / blockSize) * bytesPerBlock);
      quantizer(src, dst);
      return dst;
    },
  };
}
