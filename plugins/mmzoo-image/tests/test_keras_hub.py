"""Any backbone of KerasHub: pictures and text, from folders that KerasHub wrote; presets that cannot be had."""

import keras
import keras_hub
import numpy as np
import pytest
from mmzoo_image.keras_hub import KerasHub

from mmzoo import StreamError
from mmzoo.testing import EncoderCase, check, properties
from mmzoo.testing import features as known

pytestmark = pytest.mark.slow

IDS = np.array([[4, 5, 6, 3, 0, 0], [7, 3, 0, 0, 0, 0]], "int32")
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
PICTURES, TEXT = known(32, 32, 3, dtype="uint8"), known(6, dtype="int32", vocabulary=20)


@pytest.fixture(scope="module")
def presets(tmp_path_factory):
    """Folders as KerasHub writes them."""
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("presets")
    models = keras_hub.models
    width = {"num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
    made = {
        "bert": models.BertBackbone(vocabulary_size=20, num_layers=1, max_sequence_length=6, dropout=0.0, **width),
        "gpt2": models.GPT2Backbone(vocabulary_size=20, num_layers=1, max_sequence_length=6, **width),
        "densenet": models.DenseNetBackbone(stackwise_num_repeats=[1], growth_rate=8, image_shape=(None, None, 3)),
        "dinov2": models.DINOV2Backbone(16, 1, 8, 2, 16, image_shape=(32, 32, 3)),
        "clip": models.CLIPBackbone(
            models.CLIPVisionEncoder(8, 8, 1, 2, 16, image_shape=(32, 32, 3)),
            models.CLIPTextEncoder(20, 8, 8, 1, 2, 16, max_sequence_length=6),
            projection_dim=4,
        ),
        "siglip": models.SigLIPBackbone(
            models.SigLIPVisionEncoder(8, 8, 2, 1, 16, image_shape=(32, 32, 3)),
            models.SigLIPTextEncoder(20, 8, 8, 2, 1, 16, max_sequence_length=6),
        ),
    }
    for name, backbone in made.items():
        backbone.save_to_preset(folder / name)
    keras_hub.layers.DINOV2ImageConverter(scale=[1 / 50, 1 / 60, 1 / 70], offset=[-1.0, -2.0, -3.0]).save_to_preset(
        folder / "dinov2"
    )
    return made, folder


def encoder(presets, name, **options) -> KerasHub:
    reads = TEXT if name in ("bert", "gpt2") else PICTURES
    return KerasHub(**{"features": reads, "preset": str(presets[1] / name)} | options)


@pytest.mark.parametrize("tokens", ["all", "first", "last", "pooled"])
@pytest.mark.parametrize(("reads", "values"), [(TEXT, IDS), (PICTURES, PIXELS)])
def test_a_vector_is_one_token(presets, tokens, reads, values):
    made = encoder(presets, "siglip", features=reads, tokens=tokens)
    whole = presets[0]["siglip"]
    tower, inputs = whole.vision_encoder, {"images": PIXELS / 127.5 - 1}
    if reads is TEXT:
        tower, inputs = whole.text_encoder, {"token_ids": IDS}
    stream = made(values)
    np.testing.assert_allclose(stream["tokens"], np.asarray(tower(inputs))[:, None], atol=1e-5)
    assert np.asarray(stream["mask"]).tolist() == [[True], [True]]


def test_bert_gives_what_its_backbone_gives(presets):
    backbone = presets[0]["bert"]
    seen = backbone({"token_ids": IDS, "padding_mask": (IDS != 0).astype("int32"), "segment_ids": np.zeros_like(IDS)})
    stream = encoder(presets, "bert")(IDS)
    np.testing.assert_array_equal(stream["mask"], IDS != 0)
    np.testing.assert_allclose(stream["tokens"], seen["sequence_output"], atol=1e-6)
    first = encoder(presets, "bert", tokens="first")(IDS)
    np.testing.assert_allclose(first["tokens"], seen["sequence_output"][:, :1], atol=1e-6)
    pooled = encoder(presets, "bert", tokens="pooled")(IDS)
    np.testing.assert_allclose(np.asarray(pooled["tokens"])[:, 0], seen["pooled_output"], atol=1e-6)


def test_the_last_token_is_the_last_real_one(presets):
    seen = presets[0]["gpt2"]({"token_ids": IDS, "padding_mask": (IDS != 0).astype("int32")})
    stream = encoder(presets, "gpt2", tokens="last")(IDS)
    np.testing.assert_allclose(np.asarray(stream["tokens"])[:, 0], np.asarray(seen)[[0, 1], [3, 1]], atol=1e-6)


def test_a_text_of_padding_alone_is_absent(presets):
    for tokens in ("first", "last", "pooled"):
        stream = encoder(presets, "bert", tokens=tokens)(np.zeros((1, 6), "int32"))
        assert not np.asarray(stream["mask"]).any()
        assert np.isfinite(np.asarray(stream["tokens"])).all()


def test_pixels_are_scaled_as_the_preset_says(presets):
    factor, offset = np.array([1 / 50, 1 / 60, 1 / 70]), np.array([-1.0, -2.0, -3.0])
    seen = presets[0]["dinov2"]({"images": (PIXELS * factor + offset).astype("float32")})
    np.testing.assert_allclose(encoder(presets, "dinov2")(PIXELS)["tokens"], seen, atol=1e-4)
    np.testing.assert_allclose(encoder(presets, "dinov2", tokens="first")(PIXELS)["tokens"], seen[:, :1], atol=1e-4)


def test_a_map_is_read_row_by_row_at_any_size(presets):
    wide = np.concatenate([PIXELS, PIXELS], axis=2)
    stream = encoder(presets, "densenet", features=known(32, 64, 3, dtype="uint8"))(wide)
    seen = np.asarray(presets[0]["densenet"](wide / 127.5 - 1))
    np.testing.assert_allclose(stream["tokens"], seen.reshape(2, -1, seen.shape[-1]), atol=1e-4)


def test_of_clip_the_part_that_reads_the_input_is_taken(presets):
    clip = presets[0]["clip"]
    text = encoder(presets, "clip", features=TEXT)(IDS)
    np.testing.assert_allclose(text["tokens"], clip.text_encoder({"token_ids": IDS}), atol=1e-5)
    picture = encoder(presets, "clip", tokens="first")(PIXELS)
    seen = clip.vision_encoder({"images": (PIXELS / 127.5 - 1).astype("float32")})
    np.testing.assert_allclose(picture["tokens"], seen[:, :1], atol=1e-5)


@pytest.mark.parametrize(("name", "reads"), [("bert", TEXT), ("densenet", PICTURES)])
def test_it_holds_what_every_encoder_must(presets, name, reads):
    case = EncoderCase("keras_hub", reads, options={"preset": str(presets[1] / name)})
    for one in properties(case):
        check(case, one)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "bert",
            {"features": known(6, dtype="int32", vocabulary=21)},
            "the preset '{0}' knows 20 ids, received 21. Read the text with {{type: preset_tokens, preset: {0}}}.",
        ),
        (
            "bert",
            {"features": known(7, dtype="int32", vocabulary=20)},
            "the preset '{}' reads texts of at most 6 ids, received 7.",
        ),
        (
            "bert",
            {"features": PICTURES},
            "the preset '{}' reads padding_mask, segment_ids, token_ids, received pictures. "
            "Choose one that reads pictures only.",
        ),
        (
            "dinov2",
            {"features": TEXT},
            "the preset '{}' reads images, received text. Choose one that reads text only.",
        ),
        (
            "clip",
            {"features": known(40, 40, 3, dtype="uint8")},
            "the preset '{}' reads pictures of shape [32, 32, 3], received [40, 40, 3].",
        ),
        (
            "gpt2",
            {"tokens": "pooled"},
            "the preset '{}' has no pooled_output for tokens: pooled; it returns sequence_output.",
        ),
        (
            "densenet",
            {"tokens": "first"},
            "the preset '{}' returns a feature map; tokens: first does not apply. Choose all.",
        ),
        (
            "dinov2",
            {"tokens": "last"},
            "the preset '{}' returns the tokens of a picture; tokens: last does not apply. Choose all.",
        ),
    ],
)
def test_what_does_not_fit_is_said(presets, name, options, message):
    with pytest.raises(StreamError) as raised:
        encoder(presets, name, **options)
    assert str(raised.value) == message.format(presets[1] / name)


def test_a_preset_that_does_not_exist_is_said():
    with pytest.raises(StreamError) as raised:
        KerasHub(features=TEXT, preset="bert_tiny_en_uncasd")
    assert str(raised.value).startswith(
        "KerasHub has no preset 'bert_tiny_en_uncasd' for this encoder, and there is no such folder. "
        "Nearest: bert_tiny_en_uncased, "
    )


def test_a_folder_without_a_preset_is_said(tmp_path):
    with pytest.raises(StreamError) as raised:
        KerasHub(features=TEXT, preset=str(tmp_path))
    said = f"the preset '{tmp_path}' cannot be used here: Preset {tmp_path} has no config.json. "  # KerasHub says more
    assert str(raised.value).startswith(said)


def test_a_preset_that_cannot_be_fetched_is_said(monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("no route to host\nand much more")

    monkeypatch.setattr("kagglehub.model_download", unreachable)
    with pytest.raises(StreamError) as raised:
        KerasHub(features=TEXT, preset="bert_tiny_en_uncased")
    assert str(raised.value) == (
        "the preset 'bert_tiny_en_uncased' cannot be fetched or read: no route to host. "
        "Check the network, or give a folder that holds it."
    )
