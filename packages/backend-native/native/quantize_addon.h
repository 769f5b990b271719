#pragma once

#include <node_api.h>

namespace weightspec {

/** Adds `quantize(dtype, src: Float32Array, dst: Uint8Array, isa?: string): boolean` to the addon's exports; false where the processor lacks `isa`. */
void defineQuantizers(napi_env env, napi_value exports);

}  // namespace weightspec
