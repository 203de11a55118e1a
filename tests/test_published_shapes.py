"""The recipes of published models have the published numbers of weights."""

from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
import pytest

from mmzoo.recipe.plan import Plan
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import read_recipe
from mmzoo.registry.discovery import discover

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("uninitialized")]

RECIPES = Path(__file__).parents[1] / "recipes" / "coco"
PLANS = {
    "clip": ("clip_vit_b_32.yaml", ()),
    # Weights that a recipe downloads are replaced by random ones of the same shapes.
    "retriever": (
        "retriever.yaml",
        ("encoders.image.weights=null", "encoders.image.blocks=[3, 4, 6, 3]", "encoders.image.block=bottleneck"),
    ),
    "b7-base": ("align.yaml", ()),
    "b3-mini": (
        "align.yaml",
        (
            *("encoders.image.width=1.2", "encoders.image.depth=1.4"),
            *("encoders.caption.dim=256", "encoders.caption.depth=4", "encoders.caption.heads=4"),
        ),
    ),
}


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    """Resolves the recipes before variables stay without values, which Keras' optimizers refuse."""
    return {name: resolve(read_recipe(RECIPES / file, overrides), discover()) for name, (file, overrides) in PLANS.items()}


def spec(shape: list[int], dtype: str, vocabulary: int | None = None) -> dict[str, Any]:
    return {"shape": shape, "dtype": dtype, "vocabulary": vocabulary}


def make_encoders(plan: Plan, vocabulary: int = 30_522) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the features of a dual encoder's inputs, and its encoders. The default vocabulary is BERT's."""
    options = {name: column.processor.options for name, column in plan.inputs.items()}
    size, length = options["image"]["size"], options["caption"]["sequence_length"]
    features = {"image": spec([size, size, 3], "uint8"), "caption": spec([length], "int32", vocabulary)}
    return features, {name: bound.make(features=features[name]) for name, bound in plan.encoders.items()}


def weights(plan: Plan, vocabulary: int) -> dict[str, int]:
    """Returns the number of trainable weights of each part of a dual encoder."""
    features, encoders = make_encoders(plan, vocabulary)
    symbols = {name: keras.KerasTensor((None, *one["shape"]), one["dtype"]) for name, one in features.items()}
    fusion, head = plan.fusion.make(), plan.head.make()
    head(fusion({name: encoder(symbols[name]) for name, encoder in encoders.items()}))
    projections = {f"{name}_projection": layer for name, layer in fusion.projections.items()}
    return {name: count(layer) for name, layer in (encoders | projections | {"head": head}).items()}


def count(layer: Any) -> int:
    return sum(int(np.prod(weight.shape)) for weight in layer.trainable_variables)


def preset(kind: Any, name: str) -> int:
    """Returns the number of weights in KerasHub's conversion of a published model."""
    return int(kind.presets[name]["metadata"]["params"])


def test_clip_vit_b_32(plans: dict[str, Plan]) -> None:
    """Radford et al. 2021: 151.3 M weights, 87.85 M and 63.43 M by open_clip's table of models."""
    found = weights(plans["clip"], vocabulary=49_408)
    image, text = (found[name] + found[f"{name}_projection"] for name in ("image", "caption"))
    assert (image, text + found["head"]) == (87_849_216, 63_428_097)
    positions = 224**2 // 32**2 + 1  # KerasHub also counts the indices of the image positions, which are not trained
    assert sum(found.values()) + positions == preset(keras_hub.models.CLIPBackbone, "clip_vit_base_patch32")


def test_retriever(plans: dict[str, Plan]) -> None:
    """Faghri et al. 2018: word embeddings of 300, a GRU of 1,024, image features of 2,048 projected to 1,024."""
    found = weights(plans["retriever"], vocabulary=10_000)
    assert found["image"] == 25_557_032 - 1000 * 2049  # ResNet-50 without its classifier
    assert found["image_projection"] == 2048 * 1024 + 1024
    assert found["caption"] == 300 * 10_000 + 4_073_472
    assert found["head"] == 0  # its temperature is fixed


@pytest.mark.parametrize(
    ("pair", "image", "top", "caption", "dim"),
    [("b7-base", 66_347_960, 640, 109_482_240, 768), ("b3-mini", 12_233_232, 384, 11_170_560, 256)],
)
def test_align(plans: dict[str, Plan], pair: str, image: int, top: int, caption: int, dim: int) -> None:
    """Jia et al. 2021: EfficientNet without its last convolution and classifier, BERT without its pooler of [CLS]."""
    _, found = make_encoders(plans[pair])
    assert count(found["image"]) == image - (4 * top * top + 2 * 4 * top + 1000 * (4 * top + 1))
    assert count(found["caption"]) == caption - (dim * dim + dim) - (512 - 64) * dim  # BERT has 512 positions
