"""The contrastive losses in float64 NumPy, from their formulas, one pair at a time."""

import numpy as np


def positives(batch, id):
    """Says which pairs `(batch, batch)` show the same thing."""
    return np.eye(batch, dtype=bool) if id is None else id[:, None] == id


def cross_entropy(logits, target):
    logs = logits - logits.max()
    return -np.sum(target * (logs - np.log(np.sum(np.exp(logs)))))


def info_nce(image_embedding, text_embedding, logit_scale, id=None, *, label_smoothing=0.0, **_):
    logits, batch = logit_scale * image_embedding @ text_embedding.T, len(image_embedding)
    same = positives(batch, id)
    target = (1 - label_smoothing) * same / same.sum(axis=1, keepdims=True) + label_smoothing / batch
    ways = [[cross_entropy(table[i], target[i]) for i in range(batch)] for table in (logits, logits.T)]
    return np.mean(ways, axis=0)


def sigmoid(image_embedding, text_embedding, logit_scale, logit_bias, id=None, **_):
    sign = np.where(positives(len(image_embedding), id), 1, -1)
    return np.sum(np.logaddexp(0, -sign * (logit_scale * image_embedding @ text_embedding.T + logit_bias)), axis=1)


def triplet(image_embedding, text_embedding, id=None, *, negatives, margin=0.2, distance="cosine"):
    batch, same = len(image_embedding), positives(len(image_embedding), id)

    def far(i, j):
        x, y = image_embedding[i], text_embedding[j]
        return np.sqrt(np.sum((x - y) ** 2)) if distance == "euclidean" else -np.dot(x, y)

    table = np.array([[far(i, j) for j in range(batch)] for i in range(batch)])
    return np.array(
        [one(table[i], same[i], i, negatives, margin) + one(table[:, i], same[i], i, negatives, margin) for i in range(batch)]
    )


def one(distances, same, own, negatives, margin):
    """Gives the cost of one anchor by the distances from it."""
    others = distances[~same]
    if negatives == "semi_hard":
        farther = others[others > distances[own]]
        others = np.array([farther.min()]) if len(farther) else others[others == others.max(initial=-np.inf)][:1]
    hinges = np.maximum(0, margin + distances[own] - others)
    return hinges.max(initial=0) if negatives == "hardest" else hinges.sum()


def slopes(function, tensors, weights):
    """Gives the gradient of the weighted sum of a loss by each floating point tensor, by central differences."""
    found = {}
    for name, tensor in tensors.items():
        if np.asarray(tensor).dtype.kind != "f":
            continue
        tensor, gradient = np.array(tensor, "float64"), np.zeros(np.shape(tensor))
        for place in np.ndindex(tensor.shape):
            ends = []
            for way in (1, -1):
                moved = tensor.copy()
                moved[place] += way * 1e-6
                ends.append(np.sum(weights * function(**tensors | {name: moved})))
            gradient[place] = (ends[0] - ends[1]) / 2e-6
        found[name] = gradient
    return found
