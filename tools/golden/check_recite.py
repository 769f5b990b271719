#!/usr/bin/env python3
"""A second reading of fixtures/golden/recite, by the Python standard library alone.

Reads model.bin (llama2.c v0) and tokenizer.bin (generation 5) itself, recites at temperature 0, and prints the text.
Exit status 1 when a logit is further than 1e-9 from logits.f64 (both are float64; they differ by summation order and
by the last bits of exp, sin and cos) or a freq table entry further than 3e-6 from its float64 value.

Usage: check_recite.py [folder]
"""
import math
import pathlib
import struct
import sys
from operator import mul

BOS = 1
EPS, THETA = 1e-5, 10000.0
# Table bound: three f32 roundings (2^-24 each) of angles up to 12.7 (the fastest pair, frequency 1, is exact), and one of the result.
LOGIT_BOUND, TABLE_BOUND = 1e-9, 3e-6


class Model:
    def __init__(self, data):
        header = struct.unpack_from("<7i", data)
        self.dim, self.hidden, self.layers, self.heads, self.kv_heads, vocab, self.seq = header
        self.vocab = abs(vocab)
        self.head_dim = self.dim // self.heads
        values = iter(struct.unpack(f"<{(len(data) - 28) // 4}f", data[28:]))
        vector = lambda n: [next(values) for _ in range(n)]
        matrix = lambda rows, columns: [vector(columns) for _ in range(rows)]
        stack = lambda read, *shape: [read(*shape) for _ in range(self.layers)]
        kv_dim = self.head_dim * self.kv_heads
        self.tok = matrix(self.vocab, self.dim)
        self.att_norm = stack(vector, self.dim)
        self.wq = stack(matrix, self.dim, self.dim)
        self.wk = stack(matrix, kv_dim, self.dim)
        self.wv = stack(matrix, kv_dim, self.dim)
        self.wo = stack(matrix, self.dim, self.dim)
        self.ffn_norm = stack(vector, self.dim)
        self.w1 = stack(matrix, self.hidden, self.dim)
        self.w2 = stack(matrix, self.dim, self.hidden)
        self.w3 = stack(matrix, self.hidden, self.dim)
        self.norm = vector(self.dim)
        self.freq_cos = matrix(self.seq, self.head_dim // 2)
        self.freq_sin = matrix(self.seq, self.head_dim // 2)
        self.wcls = self.tok if vocab > 0 else matrix(self.vocab, self.dim)
        left_over = sum(1 for _ in values)
        if left_over:
            sys.exit(f"{left_over} floats follow the last tensor")
        self.cache = [([], []) for _ in range(self.layers)]


def times(matrix, x):
    return [sum(map(mul, row, x)) for row in matrix]


def plus(a, b):
    return [p + q for p, q in zip(a, b)]


def rmsnorm(x, weight):
    factor = (sum(v * v for v in x) / len(x) + EPS) ** -0.5
    return [v * factor * w for v, w in zip(x, weight)]


def rotate(x, position, head_dim):
    """Each pair (2i, 2i+1) of a head as a complex number, turned by its angle."""
    turned = []
    for start in range(0, len(x), 2):
        angle = position * THETA ** (-(start % head_dim) / head_dim)
        number = complex(x[start], x[start + 1]) * complex(math.cos(angle), math.sin(angle))
        turned += [number.real, number.imag]
    return turned


def attend(model, q, keys, values):
    size, out = model.head_dim, []
    for head in range(model.heads):
        shared = head // (model.heads // model.kv_heads) * size
        query = q[head * size:(head + 1) * size]
        weights = [math.exp(sum(map(mul, query, key[shared:shared + size])) / math.sqrt(size)) for key in keys]
        total = sum(weights)
        out += [sum(w * v[shared + i] for w, v in zip(weights, values)) / total for i in range(size)]
    return out


def forward(model, token, position):
    x = model.tok[token]
    for layer, (keys, values) in enumerate(model.cache):
        normed = rmsnorm(x, model.att_norm[layer])
        keys.append(rotate(times(model.wk[layer], normed), position, model.head_dim))
        values.append(times(model.wv[layer], normed))
        q = rotate(times(model.wq[layer], normed), position, model.head_dim)
        x = plus(x, times(model.wo[layer], attend(model, q, keys, values)))
        normed = rmsnorm(x, model.ffn_norm[layer])
        gate, up = times(model.w1[layer], normed), times(model.w3[layer], normed)
        x = plus(x, times(model.w2[layer], [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)]))
    return times(model.wcls, rmsnorm(x, model.norm))


def read_tokenizer(data):
    pieces, at = [], 4
    while at < len(data):
        _score, length = struct.unpack_from("<fI", data, at)
        pieces.append(data[at + 8:at + 8 + length].decode())
        at += 8 + length
    return pieces


def worst_table_entry(model):
    worst = 0.0
    for position in range(model.seq):
        for i in range(model.head_dim // 2):
            angle = position * THETA ** (-2 * i / model.head_dim)
            worst = max(worst, abs(model.freq_cos[position][i] - math.cos(angle)), abs(model.freq_sin[position][i] - math.sin(angle)))
    return worst


def main():
    here = pathlib.Path(__file__).resolve().parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent.parent / "fixtures" / "golden" / "recite"
    model = Model((folder / "model.bin").read_bytes())
    pieces = read_tokenizer((folder / "tokenizer.bin").read_bytes())
    golden = [row for (row,) in struct.iter_unpack("<d", (folder / "logits.f64").read_bytes())]
    text, token, worst = "", BOS, 0.0
    for position in range(model.seq):
        logits = forward(model, token, position)
        row = golden[position * model.vocab:(position + 1) * model.vocab]
        if len(row) != model.vocab:
            sys.exit(f"logits.f64 has no row {position}")
        worst = max(worst, *(abs(a - b) for a, b in zip(logits, row)))
        token = logits.index(max(logits))
        if token == BOS:
            break
        text += pieces[token]
    print(text.removeprefix(" "))
    table = worst_table_entry(model)
    print(f"largest logit difference {worst:.1e}, freq table difference {table:.1e}", file=sys.stderr)
    sys.exit(0 if worst <= LOGIT_BOUND and table <= TABLE_BOUND else 1)


main()
