"""A video transformer's start from an image transformer that somebody saved."""

import json

import keras
import keras_hub
import numpy as np
import pytest
import video_formulas as formulas
from mmzoo_video.video_transformer import VideoTransformer

from mmzoo import StreamError

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
CLIPS = RNG.integers(0, 256, (2, 6, 8, 12, 3), dtype=np.uint8)
STILL = np.repeat(CLIPS[:, :1], 6, axis=1)
FRAMES = {"shape": [6, 8, 12, 3], "dtype": "uint8", "vocabulary": None, "mask": [6]}
SIGNED = CLIPS / np.float32(127.5) - 1


def backbone(**options):
    shape = {"image_shape": (8, 12, 3), "patch_size": 4, "hidden_dim": 8, "num_layers": 2, "num_heads": 2, "mlp_dim": 12}
    image = keras_hub.models.ViTBackbone(**shape | options)
    formulas.disturb(image)
    return image


@pytest.fixture(scope="module")
def image():
    return backbone()


@pytest.fixture(scope="module")
def folder(image, tmp_path_factory):
    folder = tmp_path_factory.mktemp("image")
    image.save_to_preset(folder)
    return str(folder)


def numbers(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def test_divided_attention_sees_of_a_still_clip_what_the_image_transformer_sees(image, folder):
    """Bertasius et al. 2021: attention over time adds nothing at first, and the class token is averaged over equal frames."""
    tokens = numbers(VideoTransformer(features=FRAMES, weights=folder, tokens="all")(STILL)["tokens"])
    expected = numbers(image(SIGNED[:, 0]))
    np.testing.assert_allclose(tokens[:, :1], expected[:, :1], atol=1e-5)
    np.testing.assert_allclose(tokens[:, 1:].reshape(2, 6, 6, 8), np.repeat(expected[:, None, 1:], 6, axis=1), atol=1e-5)


def test_divided_attention_sees_no_order_before_training_and_some_after(folder):
    encoder = VideoTransformer(features=FRAMES, weights=folder)
    before, shuffled = (numbers(encoder(clip)["tokens"]) for clip in (CLIPS, CLIPS[:, ::-1]))
    np.testing.assert_allclose(before, shuffled, atol=1e-5)
    encoder.transformer.time.assign(RNG.normal(size=encoder.transformer.time.shape))
    assert not np.allclose(numbers(encoder(CLIPS)["tokens"]), numbers(encoder(CLIPS[:, ::-1])["tokens"]), atol=1e-2)


def test_attention_over_time_starts_as_a_copy_of_that_over_places(image, folder):
    encoder = VideoTransformer(features=FRAMES, weights=folder)
    rows = RNG.normal(size=(3, 6, 8)).astype("float32")
    for block, over_time in zip(image.get_layer("vit_encoder").encoder_layers, encoder.transformer.over_time, strict=True):
        expected = formulas.attend(formulas.norm(rows[0], block.layer_norm_1), block.mha)
        over_time.dense.kernel.assign(np.eye(8))
        found = numbers(over_time(rows[:1, :, None]))[0, :, 0]
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("attention", "tubelet"),
    [("joint", 2), ("joint", 3), ("divided", 1), ("divided", 2), ("divided", 3), ("factorised", 2)],
)
def test_a_tubelet_starts_as_its_middle_frame(image, folder, attention, tubelet):
    """Arnab et al. 2021, section 3.4: at index floor(t / 2); the positions of a frame are repeated over time."""
    encoder = VideoTransformer(features=FRAMES, weights=folder, tubelet=tubelet, attention=attention)
    times = 6 // tubelet
    tubelets = SIGNED.reshape(2, times, tubelet, 8, 12, 3).transpose(0, 1, 3, 4, 2, 5)
    pictures = tubelets.reshape(2, times * 8, 12, -1) if attention == "joint" else tubelets.reshape(2 * times, 8, 12, -1)
    found = numbers(encoder.transformer.embedding(pictures))
    middle = SIGNED[:, tubelet // 2 :: tubelet]
    expected = numbers(image.get_layer("vit_patching_and_embedding")(middle.reshape(-1, 8, 12, 3)))
    np.testing.assert_allclose(found[0, 0], expected[0, 0], atol=1e-6)
    places = found[:, 1:].reshape(2 * times, 6, 8)
    np.testing.assert_allclose(places, expected[:, 1:], atol=1e-5)


def test_the_presets_own_scale_of_pixels_holds(image, tmp_path):
    image.save_to_preset(tmp_path)
    keras_hub.layers.ViTImageConverter(scale=2 / 127.5, offset=[-2.0, -1.0, 0.0]).save_to_preset(tmp_path)
    found = VideoTransformer(features=FRAMES, weights=str(tmp_path))(STILL)["tokens"]
    pixels = STILL[:, 0] * np.float32(2 / 127.5) + np.float32([-2, -1, 0])
    np.testing.assert_allclose(numbers(found), numbers(image(pixels))[:, :1], atol=1e-5)


@pytest.mark.parametrize("attention", ["joint", "divided", "factorised"])
def test_a_run_is_reopened_without_the_preset(folder, attention):
    begun = VideoTransformer(features=FRAMES, weights=folder, tubelet=2, attention=attention, dropout=0.1)
    kept = json.loads(json.dumps(begun.backbone_config))
    again = VideoTransformer(features=FRAMES, weights="gone", tubelet=2, attention=attention, dropout=0.1, backbone_config=kept)
    again.set_weights(begun.get_weights())
    np.testing.assert_array_equal(numbers(again(CLIPS)["tokens"]), numbers(begun(CLIPS)["tokens"]))
    assert again.backbone_config == kept


def test_a_transformer_without_a_class_token_is_refused(tmp_path):
    backbone(use_class_token=False).save_to_preset(tmp_path)
    with pytest.raises(StreamError) as raised:
        VideoTransformer(features=FRAMES, weights=str(tmp_path))
    expected = f"the preset '{tmp_path}' has no class token, which a video transformer starts from. Choose another."
    assert str(raised.value) == expected


def test_weights_that_do_not_fit_are_said(folder):
    with pytest.raises(StreamError) as raised:
        VideoTransformer(features=FRAMES | {"shape": [6, 8, 8, 3]}, weights=folder)
    assert str(raised.value) == (
        f"the preset '{folder}' cannot be used here: its weights do not fit the shape asked for: "
        "'vit_patching_and_embedding/position_embedding/embeddings' is (7, 8) among the weights and (5, 8) in the model."
    )


def test_a_preset_that_is_not_there_is_said():
    with pytest.raises(StreamError) as raised:
        VideoTransformer(features=FRAMES, weights="vit_base_patch16_224_imagenett")
    assert str(raised.value).partition(" Known: ")[0] == (
        "KerasHub has no image transformer 'vit_base_patch16_224_imagenett', and there is no such folder. "
        "Nearest: vit_base_patch16_224_imagenet, vit_base_patch16_224_imagenet21k, vit_base_patch16_384_imagenet."
    )


def test_a_folder_that_holds_no_preset_is_said(tmp_path):
    with pytest.raises(StreamError, match=r"^the preset '.*' cannot be used here: .*\.$"):
        VideoTransformer(features=FRAMES, weights=str(tmp_path))
