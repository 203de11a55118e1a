"""The components of this plugin, by kind and name."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_heads() -> dict[str, str]:
    return {
        "attngan": "mmzoo_text2image.attngan:AttnGAN",
        "damsm": "mmzoo_text2image.damsm:DAMSM",
        "stackgan": "mmzoo_text2image.stackgan:StackGAN",
    }


@hookimpl
def mmzoo_losses() -> dict[str, str]:
    losses = {
        name: f"mmzoo_text2image.losses:{name}" for name in ("discriminator", "generator", "kl", "ma_gp", "matching", "r1")
    }
    return losses | {"damsm": "mmzoo_text2image.damsm_loss:damsm"}


@hookimpl
def mmzoo_metrics() -> dict[str, str]:
    return {
        "diversity": "mmzoo_text2image.diversity:Diversity",
        "frechet_distance": "mmzoo_text2image.feature_distances:FrechetDistance",
        "inception_score": "mmzoo_text2image.inception_score:InceptionScore",
        "kernel_distance": "mmzoo_text2image.feature_distances:KernelDistance",
        "nearest_training": "mmzoo_text2image.nearest_training:NearestTraining",
        "r_precision": "mmzoo_text2image.r_precision:RPrecision",
        "read_back": "mmzoo_text2image.read_back:ReadBack",
    }
