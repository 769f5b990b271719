#!/usr/bin/env python3
"""Lets `weightspec conform` test what Python programs make of weights: the block codecs of ggml's own package `gguf`, the writer of
Hugging Face's `safetensors`, and the operations of a decoder in a few lines of numpy.

    python3 -m venv .venv && .venv/bin/pip install -r tools/adapters/gguf_numpy.requirements.txt
    weightspec conform codecs ops roundtrip --adapter '.venv/bin/python tools/adapters/gguf_numpy.py'

Also the example for the requests `quantize`, `op` and `roundtrip` (docs/conformance.md). Operations count in float64 and round once.
"""
import base64
import json
import sys

import gguf
import numpy
import safetensors
from gguf import GGMLQuantizationType, quants


class Unsupported(Exception):
    pass


def decode_f32(text):
    return numpy.frombuffer(base64.b64decode(text), dtype="<f4")


def encode(array, dtype):
    return base64.b64encode(numpy.ascontiguousarray(array, dtype=dtype).tobytes()).decode()


def ggml_type(storage):
    if storage not in ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"):
        raise Unsupported(f"gguf has no element type {storage}")
    return GGMLQuantizationType[storage]


def values_of(blocks):
    """All elements in one row. llama2.c's int8 groups are no type of ggml's: code times scale, rounded once."""
    data = numpy.frombuffer(base64.b64decode(blocks["bytes"]), dtype=numpy.uint8)
    if "scales" in blocks:
        groups = data.view(numpy.int8).reshape(-1, blocks["groupSize"]).astype(numpy.float32)
        return (groups * decode_f32(blocks["scales"])[:, None]).reshape(-1)
    kind = ggml_type(blocks["storage"])
    # gguf reads the plain floats from arrays of their type, blocks from bytes.
    plain = {"F32": "<f4", "F16": "<f2"}.get(blocks["storage"])
    return quants.dequantize(data.view(plain) if plain else data, kind).reshape(-1)


def hello(_):
    return {"name": "gguf and numpy", "version": f"gguf 0.19, numpy {numpy.__version__}, safetensors {safetensors.__version__}", "methods": ["dequantize", "quantize", "op", "roundtrip"]}


def dequantize(params):
    return {"f32": encode(values_of(params), "<f4")}


def quantize(params):
    values = decode_f32(params["f32"])
    if "groupSize" in params:
        raise Unsupported("gguf has no int8 groups")
    encoded = quants.quantize(values.reshape(1, -1), ggml_type(params["storage"]))
    return {"bytes": base64.b64encode(numpy.ascontiguousarray(encoded).tobytes()).decode()}


def matrix(params):
    return decode_f32(params["f32"]).reshape(params["shape"]).astype(numpy.float64)


def rope(x, heads, headDim, theta, style, position):
    count = len(x)
    turns = numpy.outer(position + numpy.arange(count), float(theta) ** (-2.0 * numpy.arange(headDim // 2) / headDim))[:, None, :]
    x = x.reshape(count, heads, headDim)
    pairs = (x[..., 0::2], x[..., 1::2]) if style == "interleaved" else (x[..., : headDim // 2], x[..., headDim // 2 :])
    first = pairs[0] * numpy.cos(turns) - pairs[1] * numpy.sin(turns)
    second = pairs[0] * numpy.sin(turns) + pairs[1] * numpy.cos(turns)
    joined = numpy.stack((first, second), axis=-1) if style == "interleaved" else numpy.concatenate((first, second), axis=-1)
    return joined.reshape(count, heads * headDim)


def attention(q, k, v, heads, kvHeads, headDim, history):
    count = len(q)
    q = q.reshape(count, heads, headDim)
    k, v = (numpy.repeat(rows.reshape(count, kvHeads, headDim), heads // kvHeads, axis=1) for rows in (k, v))
    scores = numpy.einsum("ihd,jhd->hij", q, k) / numpy.sqrt(headDim)
    scores = numpy.where(numpy.tri(count, dtype=bool), scores, -numpy.inf)
    shares = numpy.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return numpy.einsum("hij,jhd->ihd", shares, v).reshape(count, -1)[history:]


def op(params):
    name, attributes, rows = params["op"], params["attributes"], {key: matrix(value) for key, value in params["rows"].items()}
    weight = values_of(params["weight"]).astype(numpy.float64).reshape(params["weight"]["shape"]) if "weight" in params else None
    if name == "embed":
        out = weight[params["tokens"]]
    elif name == "matmul":
        out = rows["x"] @ weight.T + (matrix(params["bias"]) if "bias" in params else 0)
    elif name == "rmsnorm":
        out = rows["x"] / numpy.sqrt((rows["x"] ** 2).mean(axis=-1, keepdims=True) + attributes["eps"]) * weight
    elif name == "rope":
        out = rope(rows["x"], **attributes)
    elif name == "attention":
        out = attention(**rows, **attributes)
    elif name == "swiglu":
        with numpy.errstate(over="ignore"):  # exp(-gate) may be infinite; the quotient is then 0
            out = rows["gate"] / (1 + numpy.exp(-rows["gate"])) * rows["up"]
    elif name == "add":
        out = rows["a"] + rows["b"]
    else:
        raise Unsupported(f"no operation {name}")
    return {"f32": encode(out, "<f4")}


NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}


def roundtrip(params):
    if params["format"] != "safetensors":
        raise Unsupported(f"of the formats only safetensors is written here, not {params['format']}")
    with open(params["file"], "rb") as file:
        content = file.read()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    unknown = sorted({info["dtype"] for name, info in header.items() if name != "__metadata__"} - set(NAMES))
    if unknown:
        raise Unsupported(f"safetensors {safetensors.__version__} has no element type {', '.join(unknown)}")
    tensors = safetensors.deserialize(content)
    with safetensors.safe_open(params["file"], framework="numpy") as opened:
        metadata = opened.metadata()
    data = safetensors.serialize({name: {"dtype": NAMES[info["dtype"]], "shape": info["shape"], "data": bytes(info["data"])} for name, info in tensors}, metadata)
    return {"bytes": base64.b64encode(data).decode()}


methods = {"hello": hello, "dequantize": dequantize, "quantize": quantize, "op": op, "roundtrip": roundtrip}
for line in sys.stdin:
    request = json.loads(line)
    answer = {"id": request["id"]}
    try:
        method = methods.get(request["method"])
        if method is None:
            raise Unsupported(f"no method {request['method']}")
        answer["result"] = method(request["params"])
    except Unsupported as reason:
        answer["unsupported"] = str(reason)
    except Exception as error:  # told to the suite, which fails the case and goes on
        answer["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(answer), flush=True)
