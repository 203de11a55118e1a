"""The video transformers' formulas in float64, for one clip at a time, without the times that are missing."""

import math
from typing import Any

import numpy as np

erf = np.vectorize(math.erf)


def numbers(weight: Any) -> np.ndarray:
    return np.asarray(weight, "float64")


def disturb(layer: Any, spread: float = 0.5) -> None:
    """Gives every weight a value of its own, so that none is left at what is easy to guess."""
    rng = np.random.default_rng(2)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape) * spread)


def norm(x: np.ndarray, layer: Any) -> np.ndarray:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return scaled * numbers(layer.gamma) + numbers(layer.beta)


def dense(x: np.ndarray, layer: Any) -> np.ndarray:
    return x @ numbers(layer.kernel) + numbers(layer.bias)


def attend(x: np.ndarray, layer: Any) -> np.ndarray:
    """Lets the rows of `(tokens, dim)` attend to each other."""
    q, k, v = (
        np.einsum("td,dhk->thk", x, numbers(part.kernel)) + numbers(part.bias)
        for part in (layer.query_dense, layer.key_dense, layer.value_dense)
    )
    scores = np.exp(np.einsum("qhk,thk->hqt", q, k) / np.sqrt(q.shape[-1]))
    mixed = np.einsum("hqt,thk->qhk", scores / scores.sum(-1, keepdims=True), v)
    return np.einsum("qhk,hkd->qd", mixed, numbers(layer.output_dense.kernel)) + numbers(layer.output_dense.bias)


def fed(x: np.ndarray, block: Any) -> np.ndarray:
    hidden = dense(norm(x, block.layer_norm_2), block.mlp.dense_1)
    return x + dense(hidden * (1 + erf(hidden / np.sqrt(2))) / 2, block.mlp.dense_2)


def blocks(x: np.ndarray, encoder: Any) -> np.ndarray:
    for block in encoder.encoder_layers:
        x = fed(x + attend(norm(x, block.layer_norm_1), block.mha), block)
    return norm(x, encoder.layer_norm)


def tubelets(clip: np.ndarray, there: np.ndarray, kernel: np.ndarray, tubelet: int) -> np.ndarray:
    """Convolves over time, rows and columns, `(times, places, dim)`; a missing frame counts as zeros."""
    frames = np.where(there[:, None, None, None], clip / 127.5 - 1, 0)
    patch, dim = kernel.shape[0], kernel.shape[-1]
    over_time = kernel.reshape(patch, patch, tubelet, 3, dim)
    times, rows, columns = len(frames) // tubelet, frames.shape[1] // patch, frames.shape[2] // patch
    out = np.zeros((times, rows, columns, dim))
    for t, r, c in np.ndindex(times, rows, columns):
        cube = frames[t * tubelet : (t + 1) * tubelet, r * patch : (r + 1) * patch, c * patch : (c + 1) * patch]
        out[t, r, c] = np.einsum("trck,rctkd->d", cube, over_time)
    return out.reshape(times, rows * columns, dim)


def see(clip: np.ndarray, there: np.ndarray, transformer: Any, tubelet: int) -> tuple[np.ndarray, np.ndarray]:
    """Gives the class token `(dim,)` and the tokens of the times that are there, `(times there, places, dim)`."""
    embedding = transformer.embedding
    patches, first = embedding.patch_embedding, numbers(embedding.class_token)[0, 0]
    grid = tubelets(clip, there, numbers(patches.kernel), tubelet) + numbers(patches.bias)
    kept = there.reshape(-1, tubelet).any(1)
    way = {"Joint": joint, "Divided": divided, "Factorised": factorised}[type(transformer).__name__]
    return way(grid, kept, first, numbers(embedding.position_embedding.embeddings), transformer)


def joint(grid: np.ndarray, kept: np.ndarray, first: np.ndarray, positions: np.ndarray, transformer: Any) -> Any:
    """ViViT, model 1."""
    grid = (grid + positions[1:].reshape(grid.shape))[kept]
    x = blocks(np.concatenate([[first + positions[0]], grid.reshape(-1, grid.shape[-1])]), transformer.encoder)
    return x[0], x[1:].reshape(grid.shape)


def divided(grid: np.ndarray, kept: np.ndarray, first: np.ndarray, positions: np.ndarray, transformer: Any) -> Any:
    """TimeSformer, equations 10 and 11 and the class token's copies of its section 3."""
    grid = (grid + positions[1:] + numbers(transformer.time)[0])[kept]
    first = first + positions[0]
    for block, over_time in zip(transformer.encoder.encoder_layers, transformer.over_time, strict=True):
        new = [dense(attend(norm(grid[:, p], over_time.norm), over_time.mha), over_time.dense) for p in range(grid.shape[1])]
        grid = grid + np.stack(new, 1)
        new = np.stack([attend(norm(np.concatenate([[first], one]), block.layer_norm_1), block.mha) for one in grid])
        first, grid = fed(first + new[:, 0].mean(0), block), fed(grid + new[:, 1:], block)
    return norm(first, transformer.encoder.layer_norm), norm(grid, transformer.encoder.layer_norm)


def factorised(grid: np.ndarray, kept: np.ndarray, first: np.ndarray, positions: np.ndarray, transformer: Any) -> Any:
    """ViViT, model 2."""
    frames = [blocks(np.concatenate([[first], one]) + positions, transformer.encoder)[0] for one in grid[kept]]
    time = numbers(transformer.time)[0]
    x = np.concatenate([[numbers(transformer.class_token)[0, 0] + time[0]], np.stack(frames) + time[1:][kept]])
    x = blocks(x, transformer.temporal)
    return x[0], x[1:, None]
