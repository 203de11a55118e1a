"""The fusions' formulas in float64 NumPy, example by example, on real tokens alone: no masks, hence none to get wrong."""

from math import erf

import numpy as np

gelu = np.vectorize(lambda x: x * (1 + erf(x / 2**0.5)) / 2)


def f64(variable):
    return np.asarray(variable, "float64")


def dense(layer, x):
    return x @ f64(layer.kernel) + f64(layer.bias)


def norm(layer, x):
    scale, shift = (f64(layer.gamma), f64(layer.beta)) if layer.scale else (1, 0)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * scale + shift


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def attention(layer, queries, values):
    """Vaswani et al. 2017, section 3.2.2; (queries, dim), (values, dim) -> (queries, dim)."""
    q, k, v = (
        np.einsum("td,dhk->htk", x, f64(part.kernel)) + f64(part.bias)[:, None]
        for part, x in ((layer.query_dense, queries), (layer.key_dense, values), (layer.value_dense, values))
    )
    seen = softmax(q @ k.transpose(0, 2, 1) / q.shape[-1] ** 0.5) @ v
    return np.einsum("htk,hkd->td", seen, f64(layer.output_dense.kernel)) + f64(layer.output_dense.bias)


def self_block(block, x):
    """A transformer block of KerasHub's, normalised first."""
    normed = norm(block._self_attention_layer_norm, x)
    x = x + attention(block._self_attention_layer, normed, normed)
    inner = gelu(dense(block._feedforward_intermediate_dense, norm(block._feedforward_layer_norm, x)))
    return x + dense(block._feedforward_output_dense, inner)


def cross_block(block, x, others):
    if len(others):
        x = x + attention(block.attention, norm(block.attention_norm, x), norm(block.others_norm, others))
    return x + dense(block.outer, gelu(dense(block.inner, norm(block.mlp_norm, x))))


def projected(fusion, example):
    return {name: dense(fusion.projections.by_name[name], x) for name, x in example.items()}


def ended(x, tokens):
    return {"all": lambda: x, "mean": lambda: x.mean(0, keepdims=True), "class": lambda: x[:1]}[tokens]()


def early(fusion, example):
    given = projected(fusion, example)
    start = [] if fusion.class_token is None else [f64(fusion.class_token)]
    x = np.concatenate(start + list(given.values()))
    for block in fusion.blocks:
        x = self_block(block, x)
    return {"joint": ended(norm(fusion.norm, x), fusion.tokens)}


def late(fusion, example):
    return projected(fusion, {name: x.mean(0, keepdims=True) for name, x in example.items()})


def side_by_side(dims, example):
    return np.concatenate([example[name].mean(0) if name in example else np.zeros(dim) for name, dim in dims.items()])[None]


def concat(fusion, example):
    return {"joint": dense(fusion.outer, gelu(dense(fusion.inner, side_by_side(fusion.dims, example))))}


def gated(fusion, example):
    every = side_by_side(fusion.dims, example)
    hidden = np.stack([np.tanh(dense(fusion.hidden[name], x.mean(0, keepdims=True))) for name, x in example.items()])
    logits = np.stack([dense(fusion.gates[name], every) for name in example])
    gates = softmax(logits, axis=0) if fusion.gate == "softmax" else 1 / (1 + np.exp(-logits))
    return {"joint": (gates * hidden).sum(0)}


def cross_attention(fusion, example):
    given, asks = projected(fusion, example), fusion.query or "video"  # the first stream
    if asks not in given:
        return given
    x = given[asks]
    others = [one for name, one in given.items() if name != asks]
    for block in fusion.blocks:
        x = cross_block(block, x, np.concatenate(others) if others else [])
    return given | {asks: norm(fusion.norm, x)}


def hybrid(fusion, example):
    given = projected(fusion, example)
    for i in range(fusion.depth):
        before = dict(given)
        for name in given:
            others = [one for other, one in before.items() if other != name]
            given[name] = cross_block(fusion.blocks[name][i], before[name], np.concatenate(others) if others else [])
    means = {name: norm(fusion.norms[name], x).mean(0, keepdims=True) for name, x in given.items()}
    return means | concat(fusion.joint, means)


def bottleneck(fusion, example):
    """Equations 8 and 9 of MBT: the streams' own bottlenecks, then their average."""
    given, shared = projected(fusion, example), f64(fusion.bottlenecks)
    count = len(shared)
    if fusion.tokens == "class":
        given = {name: np.concatenate([f64(fusion.class_tokens[name]), x]) for name, x in given.items()}
    for i in range(fusion.depth):
        passed = {name: self_block(fusion.blocks[name][i], np.concatenate([x, shared])) for name, x in given.items()}
        given = {name: x[:-count] for name, x in passed.items()}
        shared = sum(x[-count:] for x in passed.values()) / len(passed)
    return {name: ended(norm(fusion.norms[name], x), fusion.tokens) for name, x in given.items()}


def film(fusion, example):
    """Equation 2 and figure 3 of FiLM; the identity where there is no condition."""
    given = projected(fusion, example)
    for name, blocks in fusion.blocks.items():
        for block in blocks if name in given else []:
            u = np.maximum(dense(block.first, given[name]), 0)
            gamma, beta = np.zeros((2, fusion.dim))
            if fusion.condition in given:
                gamma, beta = np.split(dense(block.modulation, given[fusion.condition].mean(0)), 2)
            given[name] = u + np.maximum((1 + gamma) * norm(block.norm, dense(block.second, u)) + beta, 0)
    return given
