"""Conformance of the losses and the processor `id`."""

import numpy as np

from mmzoo.testing import LossCase, ProcessorCase, conformance

CANDIDATE = np.eye(4)
OTHER = np.roll(CANDIDATE, 1, axis=0)  # each query belongs to another candidate
ID = np.array([1, 2, 1, 3])
SHARED = CANDIDATE[[0, 1, 0, 3]]
SCALED = {"logit_scale": 10.0}


def case(name: str, label: str = "", scalars: dict[str, float] | None = None, **options: object) -> LossCase:
    scalars = scalars or {}
    best, worse = ({"candidate_embedding": CANDIDATE, "query_embedding": query, **scalars} for query in (CANDIDATE, OTHER))
    return LossCase(name, best=best, worse=worse, options=options, label=label)


def several(name: str, scalars: dict[str, float] | None = None, **options: object) -> LossCase:
    """Examples of which two show the same thing; the ids themselves have no meaning."""
    given = {"candidate_embedding": SHARED, "id": ID, **(scalars or {})}
    best, worse = (given | {"query_embedding": query} for query in (SHARED, OTHER))
    return LossCase(name, best=best, worse=worse, same=[best | {"id": 7 - ID}], options=options, label="ids")


test_conformance = conformance(
    case("info_nce", scalars=SCALED),
    case("info_nce", "smoothed", SCALED, label_smoothing=0.1),
    case("info_nce", "blocks", SCALED, block=3),
    several("info_nce", SCALED, block=3),
    case("sigmoid", scalars={"logit_scale": 10.0, "logit_bias": -5.0}),
    several("sigmoid", {"logit_scale": 10.0, "logit_bias": -5.0}, block=3),
    case("triplet"),
    case("triplet", "all", negatives="all"),
    case("triplet", "semi_hard", negatives="semi_hard", distance="euclidean"),
    case("triplet", "warm_up", {"step": 3}, warm_up=5),
    several("triplet", negatives="hardest"),
    ProcessorCase("id", ["36979", "red panda", "36979", "été"], bad=[""]),
    ProcessorCase("id", [0, 3, 3, -1, 2**31 + 3, 2**62], options={"of": "number"}, label="number"),
)
