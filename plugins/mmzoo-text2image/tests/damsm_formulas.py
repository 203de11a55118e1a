"""DAMSM's equations in float64 NumPy, one word and one region at a time (Xu et al. 2018, arXiv 1711.10485, section 3.2).

Captions and images are cut to what is real, so there are no masks in the equations.
"""

import numpy as np

GAMMA = {"gamma1": 4.0, "gamma2": 5.0, "gamma3": 10.0}


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def softmax(values):
    shifted = np.exp(np.array(values) - np.max(values))
    return shifted / shifted.sum()


def attention(words, regions, gamma1):
    """Equations 7 to 9: `(words, regions)`."""
    similarity = np.array([[word @ region for region in regions] for word in words])
    shares = np.array([softmax(similarity[:, j]) for j in range(len(regions))]).T
    return np.array([softmax(gamma1 * row) for row in shares])


def word_score(words, regions, gamma1, gamma2):
    """Equation 10, without its root."""
    total = 0.0
    for word, weights in zip(words, attention(words, regions, gamma1), strict=True):
        context = sum(weight * region for weight, region in zip(weights, regions, strict=True))
        total += np.exp(gamma2 * (context @ word) / (np.linalg.norm(context) * np.linalg.norm(word)))
    return np.log(total)


def posteriors(scores, id, gamma3):
    """Equations 11 to 13, in both directions: `(batch,)`."""
    batch = len(scores)
    kept = [[j for j in range(batch) if j == i or id is None or id[i] != id[j]] for i in range(batch)]
    found = []
    for i in range(batch):
        captions, images = (gamma3 * table[i, kept[i]] for table in (scores, scores.T))
        own = kept[i].index(i)
        found.append(-np.log(softmax(captions)[own]) - np.log(softmax(images)[own]))
    return np.array(found)


def formula(regions, words, words_mask, candidate_embedding, query_embedding, id=None, regions_mask=None, root=False, **gamma):
    gamma = GAMMA | gamma
    seen = np.ones(regions.shape[:2], bool) if regions_mask is None else regions_mask
    scores = np.array(
        [
            [
                word_score(words[j][words_mask[j]], regions[i][seen[i]], gamma["gamma1"], gamma["gamma2"])
                for j in range(len(words))
            ]
            for i in range(len(regions))
        ]
    )
    scores = scores / gamma["gamma2"] if root else scores
    return posteriors(scores, id, gamma["gamma3"]) + posteriors(candidate_embedding @ query_embedding.T, id, gamma["gamma3"])
