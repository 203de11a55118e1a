"""The components of this plugin, by kind and name."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_processors() -> dict[str, str]:
    return {"id": "mmzoo_matching.id:Id"}


@hookimpl
def mmzoo_fusions() -> dict[str, str]:
    return {"project": "mmzoo_matching.project:Project"}


@hookimpl
def mmzoo_heads() -> dict[str, str]:
    return {"match": "mmzoo_matching.match:Match"}


@hookimpl
def mmzoo_losses() -> dict[str, str]:
    return {
        "info_nce": "mmzoo_matching.info_nce:info_nce",
        "sigmoid": "mmzoo_matching.sigmoid:sigmoid",
        "triplet": "mmzoo_matching.triplet:triplet",
    }


@hookimpl
def mmzoo_metrics() -> dict[str, str]:
    return {
        "recall": "mmzoo_matching.recall:Recall",
        "zero_shot_accuracy": "mmzoo_matching.zero_shot_accuracy:ZeroShotAccuracy",
    }
