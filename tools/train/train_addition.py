"""Trains the Llama that adds two numbers of 0 to 99, and writes it as Hugging Face's files.

Architecture: Touvron et al. 2023 (arXiv 2302.13971), as transformers' LlamaForCausalLM computes it: RMSNorm, RoPE on the two
halves of a head, grouped queries, SwiGLU, classifier shared with the embedding. Everything is computed here, with JAX on the CPU;
nothing is imported from packages/.

Written into OUT: model.safetensors (F32), config.json, training.json (recipe, versions, measured accuracies).
Weights are not the same bits on every machine: XLA sums in the order that suits the processor.
"""
import argparse
import hashlib
import json
import platform
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

# Vocabulary of a gen5 tokenizer.bin: <unk>, <s>, </s>, 256 byte tokens, then the characters of a sum.
BOS = 1
CHARACTERS = " 0123456789+="
FIRST_CHARACTER = 259
VOCABULARY = FIRST_CHARACTER + len(CHARACTERS)

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS = 64, 192, 3, 4, 2
HEAD_DIM = DIM // HEADS
EPS, THETA = 1e-5, 10000.0
# BOS, the space that llama2.c puts before a text, "99+99=198", BOS.
LONGEST = 12
# Positions that config.json promises; sums need LONGEST only.
MAX_POSITIONS = 32

RECIPE = {
    "seed": 17,
    "steps": 3000,
    "batchSize": 192,
    "learningRate": 3e-3,
    "warmUpSteps": 200,
    "weightDecay": 0.1,
    "betas": [0.9, 0.98],
    "heldOutPairs": 1000,
}


def ids_of(text):
    return [FIRST_CHARACTER + CHARACTERS.index(character) for character in text]


def sums():
    """Token ids [10000, LONGEST], filled up with BOS, and how many of each row are prompt and prompt with answer and end."""
    rows, prompts, ends = [], [], []
    for a in range(100):
        for b in range(100):
            prompt = [BOS, *ids_of(f" {a}+{b}=")]
            row = [*prompt, *ids_of(str(a + b)), BOS]
            prompts.append(len(prompt))
            ends.append(len(row))
            rows.append(row + [BOS] * (LONGEST - len(row)))
    return np.array(rows, np.int32), np.array(prompts, np.int32), np.array(ends, np.int32)


def initial_weights(key):
    """Matrices are [out, in], under Hugging Face's names."""
    kv_dim = KV_HEADS * HEAD_DIM
    shapes = {"model.embed_tokens.weight": (VOCABULARY, DIM)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        shapes |= {
            at + "input_layernorm.weight": (DIM,),
            at + "self_attn.q_proj.weight": (DIM, DIM),
            at + "self_attn.k_proj.weight": (kv_dim, DIM),
            at + "self_attn.v_proj.weight": (kv_dim, DIM),
            at + "self_attn.o_proj.weight": (DIM, DIM),
            at + "post_attention_layernorm.weight": (DIM,),
            at + "mlp.gate_proj.weight": (HIDDEN, DIM),
            at + "mlp.up_proj.weight": (HIDDEN, DIM),
            at + "mlp.down_proj.weight": (DIM, HIDDEN),
        }
    shapes["model.norm.weight"] = (DIM,)
    weights = {}
    for (name, shape), k in zip(shapes.items(), jax.random.split(key, len(shapes))):
        if len(shape) == 1:
            weights[name] = jnp.ones(shape)
            continue
        # The matrices that write into the residual stream start smaller, as in GPT-2.
        scale = 1 / np.sqrt(2 * LAYERS) if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
        weights[name] = jax.random.normal(k, shape) * scale * (0.5 / np.sqrt(DIM) if "embed" in name else 1 / np.sqrt(shape[1]))
    return weights


def rmsnorm(x, weight):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + EPS) * weight


def rope(x):
    """x [batch, position, head, HEAD_DIM]; element i turns with i + HEAD_DIM/2."""
    half = HEAD_DIM // 2
    angles = jnp.arange(x.shape[1])[:, None] * THETA ** (-jnp.arange(half) * 2 / HEAD_DIM)
    c, s = jnp.cos(angles)[:, None, :], jnp.sin(angles)[:, None, :]
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * c - b * s, b * c + a * s], axis=-1)


def logits_of(w, tokens):
    """Logits [batch, position, VOCABULARY]."""
    batch, length = tokens.shape
    x = w["model.embed_tokens.weight"][tokens]
    mask = jnp.tril(jnp.ones((length, length), bool))
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        h = rmsnorm(x, w[at + "input_layernorm.weight"])
        q = rope((h @ w[at + "self_attn.q_proj.weight"].T).reshape(batch, length, HEADS, HEAD_DIM))
        k = rope((h @ w[at + "self_attn.k_proj.weight"].T).reshape(batch, length, KV_HEADS, HEAD_DIM))
        v = (h @ w[at + "self_attn.v_proj.weight"].T).reshape(batch, length, KV_HEADS, HEAD_DIM)
        k, v = (jnp.repeat(t, HEADS // KV_HEADS, axis=2) for t in (k, v))
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(HEAD_DIM)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), axis=-1), v)
        x = x + mixed.reshape(batch, length, DIM) @ w[at + "self_attn.o_proj.weight"].T
        h = rmsnorm(x, w[at + "post_attention_layernorm.weight"])
        inner = jax.nn.silu(h @ w[at + "mlp.gate_proj.weight"].T) * (h @ w[at + "mlp.up_proj.weight"].T)
        x = x + inner @ w[at + "mlp.down_proj.weight"].T
    return rmsnorm(x, w["model.norm.weight"]) @ w["model.embed_tokens.weight"].T


def q4_0(matrix):
    """What ggml's Q4_0 keeps: blocks of 32, scale = (value of largest magnitude) / -8, codes 0..15 about 8. Gradients pass as if nothing happened."""
    blocks = matrix.reshape(-1, 32)
    largest = jnp.take_along_axis(blocks, jnp.argmax(jnp.abs(blocks), axis=1, keepdims=True), axis=1)
    scale = largest / -8
    inverse = jnp.where(scale == 0, 0, 1 / jnp.where(scale == 0, 1, scale))
    codes = jnp.clip(jnp.floor(blocks * inverse + 8.5), 0, 15)
    kept = ((codes - 8) * scale.astype(jnp.float16).astype(jnp.float32)).reshape(matrix.shape)
    return matrix + jax.lax.stop_gradient(kept - matrix)


def through_q4_0(weights):
    return {name: q4_0(value) if value.ndim == 2 else value for name, value in weights.items()}


def loss_of(weights, tokens, prompt, end):
    """Cross entropy of answer and end. Half of the batch sees the weights as Q4_0 would keep them, so that it keeps the model adding."""
    half = tokens.shape[0] // 2
    logits = jnp.concatenate([logits_of(weights, tokens[:half, :-1]), logits_of(through_q4_0(weights), tokens[half:, :-1])])
    at = jnp.arange(LONGEST - 1)[None, :]
    counts = (at >= prompt[:, None] - 1) & (at < end[:, None] - 1)
    likelihood = jnp.take_along_axis(jax.nn.log_softmax(logits), tokens[:, 1:, None], axis=-1)[..., 0]
    return -jnp.sum(likelihood * counts) / jnp.sum(counts)


def learning_rate(step):
    warm = jnp.minimum(1.0, (step + 1) / RECIPE["warmUpSteps"])
    return RECIPE["learningRate"] * warm * 0.5 * (1 + jnp.cos(jnp.pi * step / RECIPE["steps"]))


@jax.jit
def adamw(weights, mean, square, step, tokens, prompt, end):
    loss, gradient = jax.value_and_grad(loss_of)(weights, tokens, prompt, end)
    b1, b2 = RECIPE["betas"]
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in gradient.values()))
    gradient = {n: g * jnp.minimum(1.0, 1 / norm) for n, g in gradient.items()}
    mean = {n: b1 * mean[n] + (1 - b1) * g for n, g in gradient.items()}
    square = {n: b2 * square[n] + (1 - b2) * g * g for n, g in gradient.items()}
    rate = learning_rate(step)
    updated = {}
    for n, w in weights.items():
        move = mean[n] / (1 - b1 ** (step + 1)) / (jnp.sqrt(square[n] / (1 - b2 ** (step + 1))) + 1e-8)
        decay = RECIPE["weightDecay"] if w.ndim == 2 else 0.0
        updated[n] = w - rate * (move + decay * w)
    return updated, mean, square, loss


predicted = jax.jit(lambda weights, tokens: jnp.argmax(logits_of(weights, tokens), axis=-1))


def right_sums(weights, tokens, prompts, ends):
    """Whether greedy decoding gives the whole answer and the end, for each pair: true exactly where every step of the right answer is the likeliest."""
    best = np.concatenate([np.asarray(predicted(weights, tokens[i : i + 1000, :-1])) for i in range(0, len(tokens), 1000)])
    at = np.arange(LONGEST - 1)[None, :]
    counts = (at >= prompts[:, None] - 1) & (at < ends[:, None] - 1)
    return np.all((best == tokens[:, 1:]) | ~counts, axis=1)


def int8(matrix, group):
    groups = matrix.reshape(-1, group)
    scale = np.abs(groups).max(axis=1, keepdims=True) / np.float32(127)
    codes = np.round(np.divide(groups, scale, out=np.zeros_like(groups), where=scale != 0))
    return (codes * scale).reshape(matrix.shape).astype(np.float32)


def storages(weights):
    """The weights as other dtypes keep them. Norms stay F32, as in every file of these types."""
    def each(change):
        return {n: change(w) if w.ndim == 2 else w for n, w in weights.items()}

    return {
        "f32": weights,
        "f16": each(lambda w: w.astype(np.float16).astype(np.float32)),
        "bf16": each(lambda w: w.astype(ml_dtypes.bfloat16).astype(np.float32)),
        "int8, group size 64": each(lambda w: int8(w, 64)),
        "q4_0": each(lambda w: np.asarray(q4_0(w))),
    }


def train(seed):
    tokens, prompts, ends = sums()
    order = np.random.default_rng(seed).permutation(len(tokens))
    held_out, seen = order[: RECIPE["heldOutPairs"]], order[RECIPE["heldOutPairs"] :]
    weights = initial_weights(jax.random.PRNGKey(seed))
    mean = {n: jnp.zeros_like(w) for n, w in weights.items()}
    square = mean
    draw = np.random.default_rng(seed + 1)
    started = time.time()
    for step in range(RECIPE["steps"]):
        batch = seen[draw.integers(0, len(seen), RECIPE["batchSize"])]
        weights, mean, square, loss = adamw(weights, mean, square, step, tokens[batch], prompts[batch], ends[batch])
        if (step + 1) % 250 == 0:
            right = right_sums(weights, tokens[held_out], prompts[held_out], ends[held_out]).mean()
            print(f"step {step + 1}: loss {float(loss):.4f}, held-out pairs right {right:.4f}, {time.time() - started:.0f} s", flush=True)
    return {n: np.asarray(w, np.float32) for n, w in weights.items()}, held_out


def measured(weights, held_out):
    tokens, prompts, ends = sums()
    result = {}
    for name, stored in storages(weights).items():
        right = right_sums(stored, tokens, prompts, ends)
        result[name] = {"rightOfAll": int(right.sum()), "pairs": len(tokens), "rightOfHeldOut": int(right[held_out].sum()), "heldOutPairs": len(held_out)}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=RECIPE["steps"])
    arguments = parser.parse_args()
    RECIPE["steps"] = arguments.steps
    arguments.out.mkdir(parents=True, exist_ok=True)
    weights, held_out = train(RECIPE["seed"])
    save_file(weights, arguments.out / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": DIM,
        "intermediate_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": MAX_POSITIONS,
        "rms_norm_eps": EPS,
        "rope_theta": THETA,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": BOS,
        "eos_token_id": BOS,
        "torch_dtype": "float32",
    }
    (arguments.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    record = {
        "recipe": RECIPE,
        "parameters": int(sum(w.size for w in weights.values())),
        "task": "BOS, a space, a+b= for all a and b of 0..99, the sum, BOS. Trained on the pairs that are not held out; half of each batch with weights as Q4_0 keeps them.",
        "accuracy": measured(weights, held_out),
        "accuracyMeans": "Pairs whose whole sum and end are the likeliest at every step (greedy decoding), float32 in JAX, matrices stored as named.",
        "versions": {"python": platform.python_version(), "jax": jax.__version__, "numpy": np.__version__},
        "script": "tools/train/train_addition.py",
        "scriptSha256": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
    }
    (arguments.out / "training.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record["accuracy"], indent=2))


if __name__ == "__main__":
    main()
