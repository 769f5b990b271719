#!/usr/bin/env python3
"""Lets `weightspec conform` test Hugging Face transformers: its Flax Llama, on safetensors files with their config.json.

    python3 -m venv .venv && .venv/bin/pip install -r tools/adapters/requirements.txt
    weightspec conform models --adapter '.venv/bin/python tools/adapters/transformers_flax.py'

Flax and not PyTorch, because jax for the CPU is a tenth of the download; the reading of names, of the configuration and of RoPE is
transformers' own either way. Float32 throughout.
"""
import base64
import json
import os
import shutil
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever the libraries print must not come between the answers

import jax
import numpy
import transformers
from transformers import AutoConfig, FlaxLlamaForCausalLM

jax.config.update("jax_default_matmul_precision", "highest")


class Unsupported(Exception):
    pass


model = None


def hello(_):
    return {"name": "transformers (Flax)", "version": transformers.__version__, "methods": ["load", "logits"]}


def load(params):
    global model
    if params["format"] != "safetensors" or "config" not in params:
        raise Unsupported(f"transformers' Flax models read safetensors with a config.json, not {params['format']} {params['variant']}")
    with open(params["config"]) as file:
        architecture = json.load(file)["model_type"]
    if architecture != "llama":
        raise Unsupported(f"transformers has no Flax model for {architecture}")
    with tempfile.TemporaryDirectory() as folder:  # from_pretrained wants its own file names
        shutil.copy(params["file"], os.path.join(folder, "model.safetensors"))
        shutil.copy(params["config"], os.path.join(folder, "config.json"))
        model = FlaxLlamaForCausalLM.from_pretrained(folder, dtype=jax.numpy.float32, config=AutoConfig.from_pretrained(folder))
    model.params = model.to_fp32(model.params)
    return {}


def logits(params):
    # Rows see only what is before them, so zeros behind change nothing and every prompt has one shape to compile for.
    tokens = params["tokens"]
    padded = numpy.zeros((1, model.config.max_position_embeddings), dtype=int)
    padded[0, : len(tokens)] = tokens
    rows = model(padded).logits[0, : len(tokens)]
    return {"f32": base64.b64encode(numpy.asarray(rows, dtype="<f4").tobytes()).decode()}


methods = {"hello": hello, "load": load, "logits": logits}
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
    print(json.dumps(answer), file=answers, flush=True)
