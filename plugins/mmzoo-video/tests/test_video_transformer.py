"""The video transformer: its formulas, frames that are missing, published sizes, what it learns and what is refused."""

from functools import cache

import keras
import numpy as np
import pytest
import video_formulas as formulas
from mmzoo_video.video_transformer import VideoTransformer

from mmzoo import StreamError
from mmzoo.testing import features

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
CLIPS = RNG.integers(0, 256, (3, 4, 8, 12, 3), dtype=np.uint8)
THERE = np.array([[True, True, True, True], [True, False, True, True], [False, False, False, True]])
ATTENTIONS = ["joint", "divided", "factorised"]
TINY = {"patch": 4, "dim": 8, "depth": 2, "heads": 2, "mlp": 12}


def transformer(attention: str, shape: tuple[int, ...] = CLIPS.shape[1:], **options) -> VideoTransformer:
    keras.utils.set_random_seed(1)
    depth = {"temporal_depth": 2} if attention == "factorised" else {}
    known = {"shape": list(shape), "dtype": "uint8", "vocabulary": None, "mask": [shape[0]]}
    return VideoTransformer(features=known, attention=attention, **TINY | depth | options)


@cache
def disturbed(attention: str, tubelet: int = 1) -> VideoTransformer:
    """Makes a transformer of all tokens whose weights are all drawn."""
    encoder = transformer(attention, tubelet=tubelet, tokens="all")
    formulas.disturb(encoder)
    return encoder


@cache
def seen(attention: str, tubelet: int = 1) -> dict:
    """Returns what a disturbed transformer sees in `CLIPS`, of which `THERE` is there."""
    return compiled(disturbed(attention, tubelet))(CLIPS, padding_mask=THERE)


def numbers(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def compiled(encoder):
    """Compiles for JAX, which otherwise compiles every operation by itself."""
    if keras.backend.backend() != "jax":
        return encoder
    import jax

    return jax.jit(lambda pixels, padding_mask: encoder(pixels, padding_mask=padding_mask))


@pytest.mark.parametrize("tubelet", [1, 2])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_agrees_with_its_formula(attention, tubelet):
    encoder, stream = disturbed(attention, tubelet), seen(attention, tubelet)
    tokens, mask = numbers(stream["tokens"]), numbers(stream["mask"])
    for clip, there, found, real in zip(CLIPS, THERE, tokens, mask, strict=True):
        first, rest = formulas.see(clip, there, encoder.transformer, tubelet)
        np.testing.assert_allclose(found[real], np.concatenate([[first], rest.reshape(-1, 8)]), atol=2e-4)
        places = rest.shape[1]
        np.testing.assert_array_equal(real, [True, *np.repeat(there.reshape(-1, tubelet).any(1), places)])


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_frames_that_are_not_there_change_nothing(attention):
    changed = np.where(THERE[..., None, None, None], CLIPS, 255 - CLIPS)
    before, after = seen(attention), disturbed(attention)(changed, padding_mask=THERE)
    np.testing.assert_array_equal(numbers(before["tokens"]), numbers(after["tokens"]))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_all_frames_are_there_if_nothing_is_said(attention):
    encoder = disturbed(attention)
    said, unsaid = encoder(CLIPS, padding_mask=np.ones((3, 4), bool)), encoder(CLIPS)
    np.testing.assert_allclose(numbers(said["tokens"]), numbers(unsaid["tokens"]), atol=1e-5)
    assert numbers(unsaid["mask"]).all()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_clip_without_a_frame_is_an_absent_stream(attention):
    encoder = disturbed(attention, 2)
    for encoder.tokens in ("class", "frames", "all"):
        stream = encoder(CLIPS, padding_mask=np.zeros((3, 4), bool))
        assert not numbers(stream["mask"]).any()
        assert np.isfinite(numbers(stream["tokens"])).all()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_the_stream_holds_the_tokens_that_are_asked_for(attention):
    encoder = disturbed(attention, 2)
    places = 1 if attention == "factorised" else 6
    found = {}
    for encoder.tokens in ("class", "frames", "all"):
        stream = encoder(CLIPS, padding_mask=THERE)
        found[encoder.tokens] = numbers(stream["tokens"])
        assert stream["mask"].shape == stream["tokens"].shape[:2]
    assert {name: one.shape[1] for name, one in found.items()} == {"class": 1, "frames": 2, "all": 1 + 2 * places}
    np.testing.assert_array_equal(found["all"][:, :1], found["class"])
    np.testing.assert_allclose(found["all"][:, 1:].reshape(3, 2, places, 8).mean(2), found["frames"], atol=1e-5)


def millions(attention: str, time: int, classes: int, **options) -> float:
    known = {"shape": [time, 224, 224, 3], "dtype": "uint8", "vocabulary": None, "mask": [time]}
    encoder = VideoTransformer(features=known, patch=16, dim=768, depth=12, heads=12, attention=attention, **options)
    return (sum(np.prod(weight.shape) for weight in encoder.trainable_weights) + classes * 769) / 1e6


@pytest.mark.parametrize(
    ("attention", "time", "classes", "options", "published"),
    [
        ("joint", 32, 400, {"tubelet": 2}, 88.9),
        ("factorised", 32, 400, {"tubelet": 2}, 115.1),
        ("divided", 8, 174, {}, 121.4),  # the table's numbers are with the classifier of Something-Something
    ],
)
def test_published_sizes_have_the_published_number_of_weights(attention, time, classes, options, published, uninitialized):
    """Arnab et al. 2021, table 2; Bertasius et al. 2021, table 1."""
    assert millions(attention, time, classes, **options) == pytest.approx(published, abs=0.06)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_stochastic_depth_leaves_out_whole_branches_of_an_example_in_training(attention):
    encoder = transformer(attention, depth_drop=0.5, tokens="all")
    formulas.disturb(encoder)
    same = np.repeat(CLIPS[:1], 64, axis=0)
    if attention == "factorised":  # the second transformer's blocks alone
        for drop in encoder.transformer.drops:
            drop.rate = 0
    trained = numbers(encoder(same, training=True)["tokens"]).reshape(64, -1)  # of every token the same branches
    assert np.ptp(numbers(encoder(same)["tokens"]), axis=0).max() < 1e-5
    kinds = np.unique(trained.round(3), axis=0)
    branches = 3 if attention == "divided" else 2  # of the last block, each there or not
    assert 1 < len(kinds) <= 2**branches


def moving(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws clips of a bar that moves right (1) or left (0), whose three frames are the same in another order.

    Of a single frame no more than 2 / 3 can be told: only a bar near an edge tells anything.
    """
    frames = rng.integers(64, 104, (count, 3, 8, 16, 3), dtype=np.uint8)
    right, middle = rng.integers(0, 2, count), rng.integers(1, 7, count)
    for number, time in np.ndindex(count, 3):
        place = middle[number] + (time - 1) * (1 if right[number] else -1)
        frames[number, time, :, 2 * place : 2 * place + 2] += 150
    return frames, right


@pytest.mark.parametrize("attention", ["joint", "divided"])  # factorised does too, in twice the epochs
def test_learns_which_way_something_moves(attention):
    rng = np.random.default_rng(0)
    encoder = transformer(attention, (3, 8, 16, 3), patch=8, dim=32, depth=1, mlp=128)
    frames = keras.Input((3, 8, 16, 3), dtype="uint8")
    model = keras.Model(frames, keras.layers.Dense(2)(encoder(frames)["tokens"][:, 0]))
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    model.optimizer.build(model.trainable_variables)  # in the first step, TensorFlow would trace the step twice
    model.fit(*moving(512, rng), batch_size=32, epochs=5, verbose=0)
    assert model.evaluate(*moving(256, rng), verbose=0, return_dict=True)["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"patch": 5},
            "frames of 8 x 12 pixels cannot be cut into patches of 5 x 5. "
            "Choose a patch, or a size of the frames, so that one divides the other.",
        ),
        (
            {"tubelet": 3},
            "4 frames cannot be cut into tubelets of 3. "
            "Choose a tubelet, or a number of frames, so that one divides the other.",
        ),
        ({"heads": 3}, "the dim 8 cannot be divided among 3 heads. Choose a multiple of 3."),
        ({"temporal_depth": 2}, "temporal_depth is for attention: factorised, received it with divided. Leave it out."),
    ],
)
def test_what_cannot_be_built_is_said(options, message):
    with pytest.raises(StreamError) as raised:
        transformer("divided", **options)
    assert str(raised.value) == message


@pytest.mark.parametrize("known", [features(4, 5, 3, dtype="uint8"), features(), features(7, vocabulary=9)])
def test_what_is_no_clip_is_refused_before_a_preset_is_loaded(known):
    with pytest.raises(StreamError) as raised:
        VideoTransformer(features=known, weights="there is none")
    what = f"video_transformer takes frames and their mask, received features {known['shape']}. Read them by `frames`."
    assert str(raised.value) == what
