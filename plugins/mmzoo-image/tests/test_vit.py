"""The vision transformer and CLIP's tower: published sizes, what the stream holds, weights that somebody saved."""

import keras
import keras_hub
import numpy as np
import pytest
from mmzoo_image.vit import ViT

from mmzoo import StreamError

pytestmark = pytest.mark.slow

TINY = {"patch": 4, "dim": 8, "depth": 2, "heads": 2}
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), dtype=np.uint8)
SQUARE = PIXELS[:, :, :8]


def features(*shape: int) -> dict:
    return {"shape": list(shape), "dtype": "uint8", "vocabulary": None}


def vit(pixels: np.ndarray, **options) -> ViT:
    keras.utils.set_random_seed(1)
    return ViT(features=features(*pixels.shape[1:]), **TINY | options)


def disturb(backbone) -> None:
    """Gives every weight a value of its own, so that none is left at what is easy to guess."""
    rng = np.random.default_rng(2)
    for weight in backbone.trainable_weights:
        weight.assign(rng.normal(size=weight.shape) / 2)


def count(size: int = 224, **options) -> int:
    return ViT(features=features(size, size, 3), **options).backbone.count_params()


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        (224, {"patch": 16, "dim": 768, "depth": 12, "heads": 12}, 85_798_656),
        (384, {"patch": 16, "dim": 768, "depth": 12, "heads": 12}, 86_090_496),
    ],
)
def test_published_sizes_have_the_published_number_of_weights(size, options, expected, uninitialized):
    assert count(size, **options) == expected


def test_clips_tower_has_the_published_number_of_weights(uninitialized):
    projection, places = 768 * 512, 50  # the projection is the fusion's; the places of tokens are no weights
    whole = count(patch=32, dim=768, depth=12, heads=12, flavour="clip") - places + projection
    assert round(whole / 1e6, 2) == 87.85


@pytest.mark.parametrize(("tokens", "number"), [("class", 1), ("patches", 6), ("all", 7)])
def test_the_stream_holds_the_tokens_that_are_asked_for(tokens, number):
    stream = vit(PIXELS, tokens=tokens)(PIXELS)
    assert tuple(stream["tokens"].shape) == (2, number, 8)
    assert np.asarray(stream["mask"]).all()


def test_the_class_token_is_the_first():
    encoder = vit(SQUARE, flavour="clip", tokens="all")
    whole = np.asarray(encoder(SQUARE)["tokens"])
    encoder.tokens = "class"
    np.testing.assert_array_equal(np.asarray(encoder(SQUARE)["tokens"]), whole[:, :1])
    encoder.tokens = "patches"
    np.testing.assert_array_equal(np.asarray(encoder(SQUARE)["tokens"]), whole[:, 1:])


def norm(x, gamma, beta, epsilon):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon) * gamma + beta


def attend(x, w, prefix):
    q, k, v = (
        np.einsum("btd,dhk->bthk", x, w[f"{prefix}/{name}/kernel"]) + w[f"{prefix}/{name}/bias"]
        for name in ("query", "key", "value")
    )
    scores = np.exp(np.einsum("bqhk,bthk->bhqt", q, k) / np.sqrt(q.shape[-1]))
    mixed = np.einsum("bhqt,bthk->bqhk", scores / scores.sum(-1, keepdims=True), v)
    return np.einsum("bqhk,hkd->bqd", mixed, w[f"{prefix}/attention_output/kernel"]) + w[f"{prefix}/attention_output/bias"]


def clip_by_formula(pixels, w, patch, depth):
    """Radford et al. 2021 and its code, in float64: LN before the blocks, QuickGELU, LN after."""
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    x = (pixels / 255 - mean) / std
    batch, height, width, _ = x.shape
    x = x.reshape(batch, height // patch, patch, width // patch, patch, 3).transpose(0, 1, 3, 2, 4, 5)
    kernel = w["embedding/patch_embedding/kernel"]
    x = x.reshape(batch, -1, patch * patch * 3) @ kernel.reshape(-1, kernel.shape[-1])
    first = np.broadcast_to(w["embedding/class_embedding"], (batch, 1, x.shape[-1]))
    x = np.concatenate([first, x], 1) + w["embedding/position_embedding/embeddings"]
    x = norm(x, w["pre_layer_norm/gamma"], w["pre_layer_norm/beta"], 1e-5)
    for i in range(depth):
        b = f"encoder_block_{i}"
        x = x + attend(norm(x, w[f"{b}/layer_norm_1/gamma"], w[f"{b}/layer_norm_1/beta"], 1e-5), w, f"{b}/attention")
        y = norm(x, w[f"{b}/layer_norm_2/gamma"], w[f"{b}/layer_norm_2/beta"], 1e-5)
        y = y @ w[f"{b}/dense_1/kernel"] + w[f"{b}/dense_1/bias"]
        y = y / (1 + np.exp(-1.702 * y))
        x = x + y @ w[f"{b}/dense_2/kernel"] + w[f"{b}/dense_2/bias"]
    return norm(x, w["layer_norm/gamma"], w["layer_norm/beta"], 1e-5)


def test_clips_tower_agrees_with_its_formula():
    encoder = vit(SQUARE, flavour="clip", tokens="all")
    disturb(encoder.backbone)
    weights = {weight.path: np.asarray(weight.value, "float64") for weight in encoder.backbone.weights}
    expected = clip_by_formula(SQUARE.astype("float64"), weights, patch=4, depth=2)
    np.testing.assert_allclose(np.asarray(encoder(SQUARE)["tokens"]), expected, atol=1e-4)


@pytest.mark.parametrize("flavour", ["vit", "clip"])
def test_a_patchs_place_counts(flavour):
    encoder = vit(SQUARE, flavour=flavour)
    disturb(encoder.backbone)
    moved = np.roll(SQUARE, 4, axis=1)  # the same patches in other places
    assert not np.allclose(np.asarray(encoder(SQUARE)["tokens"]), np.asarray(encoder(moved)["tokens"]), atol=1e-3)


def test_weights_come_from_a_folder_with_the_presets_own_scale_of_pixels(tmp_path):
    saved = vit(SQUARE)
    disturb(saved.backbone)
    saved.backbone.save_to_preset(tmp_path / "plain")
    again = ViT(features=features(8, 8, 3), weights=str(tmp_path / "plain"))
    np.testing.assert_allclose(again(SQUARE)["tokens"], saved(SQUARE)["tokens"], atol=1e-6)
    saved.backbone.save_to_preset(tmp_path / "scaled")
    keras_hub.layers.ViTImageConverter(scale=2 / 127.5, offset=-2.0).save_to_preset(tmp_path / "scaled")
    scaled = ViT(features=features(8, 8, 3), weights=str(tmp_path / "scaled"))
    saved.scale = (2 / 127.5, -2.0)
    np.testing.assert_allclose(scaled(SQUARE)["tokens"], saved(SQUARE)["tokens"], atol=1e-6)


def test_clips_tower_is_taken_out_of_a_preset_of_clip(tmp_path):
    tower = vit(SQUARE, flavour="clip").backbone
    text = keras_hub.models.CLIPTextEncoder(
        vocabulary_size=9, embedding_dim=8, hidden_dim=8, num_layers=1, num_heads=1, intermediate_dim=8, max_sequence_length=4
    )
    keras_hub.models.CLIPBackbone(tower, text, projection_dim=8).save_to_preset(tmp_path)
    loaded = ViT(features=features(8, 8, 3), flavour="clip", weights=str(tmp_path))
    np.testing.assert_allclose(loaded(SQUARE)["tokens"], vit(SQUARE, flavour="clip")(SQUARE)["tokens"], atol=1e-6)
    with pytest.raises(StreamError, match=r"reads pictures of 8 x 8 pixels, received 12 x 12\.$"):
        ViT(features=features(12, 12, 3), flavour="clip", weights=str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"patch": 5},
            "pictures of 8 x 12 pixels cannot be cut into patches of 5 x 5. "
            "Choose a patch, or a size of the pictures, so that one divides the other.",
        ),
        ({"heads": 3}, "the dim 8 cannot be divided among 3 heads. Choose a multiple of 3."),
        (
            {"flavour": "clip", "dropout": 0.1},
            "the flavour 'clip' has no dropout, received 0.1. Leave it out, or take the flavour 'vit'.",
        ),
        ({"flavour": "clip"}, "the flavour 'clip' reads square pictures, received 8 x 12 pixels."),
        (
            {"weights": "vit_base_patch16_224_imagenett"},
            "KerasHub has no preset 'vit_base_patch16_224_imagenett' for this encoder, and there is no such folder. "
            "Nearest: vit_base_patch16_224_imagenet, vit_base_patch16_224_imagenet21k, vit_base_patch16_384_imagenet.",
        ),
    ],
)
def test_what_cannot_be_built_is_said(options, message):
    with pytest.raises(StreamError) as raised:
        vit(PIXELS, **options)
    assert str(raised.value).partition(" Known: ")[0] == message  # all names follow, which are KerasHub's


def test_weights_that_do_not_fit_are_said(tmp_path):
    vit(SQUARE).backbone.save_to_preset(tmp_path)
    with pytest.raises(StreamError) as raised:
        ViT(features=features(8, 12, 3), weights=str(tmp_path))
    assert str(raised.value) == (
        f"the preset '{tmp_path}' cannot be used here: its weights do not fit the shape asked for: "
        "'vit_patching_and_embedding/position_embedding/embeddings' is (5, 8) among the weights and (7, 8) in the model."
    )
