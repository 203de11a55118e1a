"""The hooks of this plugin: the components that it contributes."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_datasets() -> dict[str, str]:
    return {"toy_squares": "mmzoo_toys.squares:Squares"}


@hookimpl
def mmzoo_processors() -> dict[str, str]:
    return {
        "toy_frames": "mmzoo_toys.answering:Frames",
        "toy_label": "mmzoo_toys.answering:Label",
        "toy_pixels": "mmzoo_toys.squares:Pixels",
    }


@hookimpl
def mmzoo_encoders() -> dict[str, str]:
    return {
        "toy_flat": "mmzoo_toys.encoders:Flat",
        "toy_embedding": "mmzoo_toys.encoders:Embedding",
        "toy_sequence": "mmzoo_toys.answering:Sequence",
    }


@hookimpl
def mmzoo_fusions() -> dict[str, str]:
    return {"toy_project": "mmzoo_toys.matching:Project", "toy_concat": "mmzoo_toys.answering:Concat"}


@hookimpl
def mmzoo_heads() -> dict[str, str]:
    return {
        "toy_match": "mmzoo_toys.matching:Match",
        "toy_classify": "mmzoo_toys.answering:Classify",
        "toy_gan": "mmzoo_toys.generating:GAN",
    }


@hookimpl
def mmzoo_losses() -> dict[str, str]:
    return {
        "toy_info_nce": "mmzoo_toys.matching:info_nce",
        "toy_cross_entropy": "mmzoo_toys.answering:cross_entropy",
        "toy_believe": "mmzoo_toys.generating:believe",
        "toy_doubt": "mmzoo_toys.generating:doubt",
    }


@hookimpl
def mmzoo_metrics() -> dict[str, str]:
    return {
        "toy_recall": "mmzoo_toys.matching:Recall",
        "toy_accuracy": "mmzoo_toys.answering:Accuracy",
        "toy_agreement": "mmzoo_toys.answering:Agreement",
        "toy_colour_distance": "mmzoo_toys.generating:ColourDistance",
    }
