"""The recipes of published models have the published numbers of weights."""

import json
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

RECIPES = Path(__file__).parents[1] / "recipes"
TABLE = {"image": "a.jpg", "captions": ["a bird"], "bird": "001.Gull", "split": "train"}
RESNET = ("encoders.image.weights=null", "encoders.image.blocks=[3, 4, 6, 3]", "encoders.image.block=bottleneck")
PLANS: dict[str, tuple[str, tuple[str, ...]]] = {
    "clip": ("coco/clip_vit_b_32.yaml", ()),
    # Weights that a recipe downloads are replaced by random ones of the same shapes.
    "retriever": ("coco/retriever.yaml", RESNET),
    "damsm": ("birds/damsm.yaml", RESNET),
    "stackgan": ("birds/stackgan.yaml", ()),
    "attngan": ("birds/attngan.yaml", ()),
    "b7-base": ("coco/align.yaml", ()),
    "b3-mini": (
        "coco/align.yaml",
        (
            *("encoders.image.width=1.2", "encoders.image.depth=1.4"),
            *("encoders.caption.dim=256", "encoders.caption.depth=4", "encoders.caption.heads=4"),
        ),
    ),
}


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Plan]:
    """Resolves the recipes before variables stay without values, which Keras' optimizers refuse."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("data"))
        Path("birds").mkdir()
        Path("birds/birds.jsonl").write_text(json.dumps(TABLE), "utf-8")  # what recipes/birds reads
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


def generative(plan: Plan) -> tuple[int, list[int]]:
    """Returns the number of weights of a generator of 256 pixels, and of each of its discriminators."""
    image, caption = spec([256, 256, 3], "uint8"), spec([19], "int32", 5_450)
    head = plan.head.make(inputs={"image": image, "caption": caption, "id": spec([], "int32")})
    sentence, words = keras.KerasTensor((None, 256)), keras.KerasTensor((None, 19, 256))
    head.build({"caption": {"tokens": words.shape, "mask": words.shape[:2]}})
    noise = keras.KerasTensor((None, head.noise_size))
    head.generator(sentence, noise, words=words, words_mask=keras.KerasTensor(words.shape[:2], "bool"))
    return count(head.generator), [count(one) for one in head.adversary.discriminators]


def test_damsm(plans: dict[str, Plan]) -> None:
    """Xu et al. 2018: 2,075,320 weights of the text encoder for CUB in PyTorch, whose gates have a second bias."""
    features, encoders = make_encoders(plans["damsm"], vocabulary=5_450)
    symbols = {name: keras.KerasTensor((None, *one["shape"]), one["dtype"]) for name, one in features.items()}
    head = plans["damsm"].head.make()
    head({name: encoder(symbols[name]) for name, encoder in encoders.items()})
    assert count(encoders["caption"]) == 2_075_320 - 2 * 4 * 128
    assert count(head.to_image) == 2048 * 256 + 256  # as published, from the pooled features
    assert count(head) - count(head.to_image) == 2048 * 256  # there 768 * 256, from an earlier layer of another network


def test_stackgan(plans: dict[str, Plan]) -> None:
    """Zhang et al. 2018: 21,239,696 weights with a text of 1,024 numbers, which 512 numbers are computed from; here 256."""
    generator, discriminators = generative(plans["stackgan"])
    assert generator == 21_239_696 - (1024 - 256) * 512
    assert discriminators == [5_723_906, 18_834_178, 71_269_122]


def test_attngan(plans: dict[str, Plan]) -> None:
    """Xu et al. 2018, for CUB."""
    assert generative(plans["attngan"]) == (7_084_592, [6_313_730, 19_424_002, 71_858_946])
