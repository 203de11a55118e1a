"""The contrastive losses in float64 NumPy, from their formulas, one pair at a time."""

import numpy as np


def positives(batch, id):
    """Returns which pairs `(batch, batch)` show the same thing."""
    return np.eye(batch, dtype=bool) if id is None else id[:, None] == id


def cross_entropy(logits, target):
    logs = logits - logits.max()
    return -np.sum(target * (logs - np.log(np.sum(np.exp(logs)))))


def info_nce(candidate_embedding, query_embedding, logit_scale, id=None, *, label_smoothing=0.0, **_):
    logits, batch = logit_scale * candidate_embedding @ query_embedding.T, len(candidate_embedding)
    same = positives(batch, id)
    target = (1 - label_smoothing) * same / same.sum(axis=1, keepdims=True) + label_smoothing / batch
    ways = [[cross_entropy(table[i], target[i]) for i in range(batch)] for table in (logits, logits.T)]
    return np.mean(ways, axis=0)


def sigmoid(candidate_embedding, query_embedding, logit_scale, logit_bias, id=None, **_):
    sign = np.where(positives(len(candidate_embedding), id), 1, -1)
    return np.sum(np.logaddexp(0, -sign * (logit_scale * candidate_embedding @ query_embedding.T + logit_bias)), axis=1)


def triplet(candidate_embedding, query_embedding, id=None, *, negatives, margin=0.2, distance="cosine"):
    batch, same = len(candidate_embedding), positives(len(candidate_embedding), id)

    def distance_of(i, j):
        x, y = candidate_embedding[i], query_embedding[j]
        return np.sqrt(np.sum((x - y) ** 2)) if distance == "euclidean" else -np.dot(x, y)

    table = np.array([[distance_of(i, j) for j in range(batch)] for i in range(batch)])
    ways = [[anchor_cost(way[i], same[i], i, negatives, margin) for i in range(batch)] for way in (table, table.T)]
    return np.sum(ways, axis=0)


def anchor_cost(distances, same, own, negatives, margin):
    """Returns the cost of one anchor, given the distances from it."""
    others = distances[~same]
    if negatives == "semi_hard":
        farther = others[others > distances[own]]
        others = np.array([farther.min()]) if len(farther) else others[others == others.max(initial=-np.inf)][:1]
    hinges = np.maximum(0, margin + distances[own] - others)
    return hinges.max(initial=0) if negatives == "hardest" else hinges.sum()


def gradients(function, tensors, weights):
    """Returns the gradient of the weighted sum of a loss by each floating point tensor, by central differences."""
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
