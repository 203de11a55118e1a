"""The components of this plugin, by kind and name."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_heads() -> dict[str, str]:
    return {"classify": "mmzoo_answering.classify:Classify"}


@hookimpl
def mmzoo_losses() -> dict[str, str]:
    return {
        "cross_entropy": "mmzoo_answering.cross_entropy:cross_entropy",
        "focal": "mmzoo_answering.focal:focal",
    }


@hookimpl
def mmzoo_metrics() -> dict[str, str]:
    return {
        "accuracy": "mmzoo_answering.accuracy:Accuracy",
        "top_accuracy": "mmzoo_answering.accuracy:TopAccuracy",
        "vqa_accuracy": "mmzoo_answering.vqa_accuracy:VqaAccuracy",
    }
