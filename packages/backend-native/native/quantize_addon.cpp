// The quantizers as JavaScript calls them: synchronous, on the calling thread, no memory of their own.
#include "quantize_addon.h"

#include "quantize.h"

#include <cstring>

namespace weightspec {
namespace {

napi_value refuse(napi_env env, const char* message) {
  napi_throw_range_error(env, nullptr, message);
  return nullptr;
}

/** Fills `text` from the string `value`; false for anything else. Longer strings are cut, and then are no name that there is. */
template <size_t Capacity>
bool readName(napi_env env, napi_value value, char (&text)[Capacity]) {
  size_t length;
  return napi_get_value_string_utf8(env, value, text, Capacity, &length) == napi_ok;
}

/** The elements of a typed array of `wanted` type; false for anything else. */
bool readArray(napi_env env, napi_value value, napi_typedarray_type wanted, size_t* length, void** data) {
  bool isTypedArray = false;
  napi_typedarray_type type;
  if (napi_is_typedarray(env, value, &isTypedArray) != napi_ok || !isTypedArray) return false;
  return napi_get_typedarray_info(env, value, &type, length, data, nullptr, nullptr) == napi_ok && type == wanted;
}

napi_value quantize(napi_env env, napi_callback_info info) {
  size_t argumentCount = 4;
  napi_value arguments[4];
  char dtype[16];
  char isa[16];
  size_t elementCount;
  size_t byteCount;
  void* src;
  void* dst;
  if (napi_get_cb_info(env, info, &argumentCount, arguments, nullptr, nullptr) != napi_ok || argumentCount < 3) return refuse(env, "quantize takes a dtype, a Float32Array and a Uint8Array");
  if (!readName(env, arguments[0], dtype) || !readArray(env, arguments[1], napi_float32_array, &elementCount, &src) || !readArray(env, arguments[2], napi_uint8_array, &byteCount, &dst)) {
    return refuse(env, "quantize takes a dtype, a Float32Array and a Uint8Array");
  }
  const bool isForced = argumentCount == 4 && readName(env, arguments[3], isa);

  for (size_t i = 0; i < kQuantizerCount; i++) {
    const Quantizer& quantizer = kQuantizers[i];
    if (std::strcmp(quantizer.dtype, dtype) != 0) continue;
    const size_t blockCount = elementCount / quantizer.blockSize;
    if (blockCount * quantizer.blockSize != elementCount || blockCount * quantizer.bytesPerBlock != byteCount) return refuse(env, "the elements are not whole blocks, or the destination has not their length");
    const Quantize kernel = quantizeKernel(quantizer, isForced ? isa : nullptr);
    if (kernel != nullptr) kernel(static_cast<const float*>(src), static_cast<uint8_t*>(dst), blockCount);
    napi_value done;
    return napi_get_boolean(env, kernel != nullptr, &done) == napi_ok ? done : nullptr;
  }
  return refuse(env, "no quantizer of that name");
}

}  // namespace

void defineQuantizers(napi_env env, napi_value exports) {
  napi_value function;
  if (napi_create_function(env, "quantize", NAPI_AUTO_LENGTH, quantize, nullptr, &function) == napi_ok) napi_set_named_property(env, exports, "quantize", function);
}

}  // namespace weightspec
