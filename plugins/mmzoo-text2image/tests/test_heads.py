"""Heads that draw: who learns from which loss, what a seed means, what is frozen, and what is said when training goes wrong."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from mmzoo_text2image.attngan import AttnGAN
from mmzoo_text2image.damsm import DAMSM
from mmzoo_text2image.losses import discriminator, generator, kl, matching
from mmzoo_text2image.noise import normals
from mmzoo_text2image.stackgan import StackGAN

from mmzoo import MASKED_LOGIT, FeatureSpec, StreamError, make_stream

BATCH = 4
SMALL = {"discriminator_width": 4, "noise": 3, "condition": 4}
INPUTS = {
    "image": FeatureSpec(shape=[16, 16, 3], dtype="uint8", vocabulary=None),
    "caption": FeatureSpec(shape=[5], dtype="int32", vocabulary=9),
}
Streams = dict[str, Any]


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(1)


def streams_of(batch: int = BATCH, seed: int = 0) -> Streams:
    tokens = np.random.default_rng(seed).normal(size=(batch, 5, 6)).astype("float32")
    return {"caption": make_stream(ops.convert_to_tensor(tokens), ops.convert_to_tensor([[True] * 3 + [False] * 2] * batch))}


def pictures(batch: int = BATCH) -> Streams:
    return {"image": ops.convert_to_tensor(np.random.default_rng(1).integers(0, 256, (batch, 16, 16, 3)), "uint8")}


def stackgan(**options: Any) -> StackGAN:
    return StackGAN(inputs=INPUTS, **{"width": 2, **SMALL, **options})


def attngan(**options: Any) -> AttnGAN:
    return AttnGAN(inputs=INPUTS, **{"width": 8, "residuals": 1, "scales": [16], **SMALL, **options})


class Tiles(keras.layers.Layer):
    """An encoder of pictures: a 4 x 4 map of the mean of each tile, times a weight."""

    def __init__(self, features: FeatureSpec):
        super().__init__()
        self.tile = features["shape"][0] // 4

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, features: Any, training: bool = False) -> Any:
        means = ops.average_pool(ops.cast(features, "float32"), self.tile) / 255 * self.gain
        return make_stream(ops.reshape(means, (-1, 16, 3)))


@pytest.mark.parametrize("make", [stackgan, attngan])
def test_each_player_learns_from_its_own_loss_alone(make):
    head = make(discriminator_norm="none", hard_mismatches=2, projection=4, feature_network=Tiles)
    head(streams_of(), targets=pictures())
    mine, theirs = (layers[0].trainable_variables for layers in head.players.values())
    with tf.GradientTape(persistent=True) as tape:
        found = head(streams_of(), targets=pictures(), training=True)
        fooled = generator(found["fooling"], found.get("fooling_alone"))
        fitted = matching(found["fooling"], found["fooling_mismatched"])
        alone = (found.get("real_alone"), found.get("generated_alone"))
        told = discriminator(found["real"], found["mismatched"], found["generated"], *alone)
        near = kl(found["mean"], found["log_variance"])
    assert all(one is not None for one in tape.gradient(fooled, mine) + tape.gradient(fitted, mine))
    assert all(one is None for one in tape.gradient(fooled, theirs) + tape.gradient(fitted, theirs))
    assert all(one is None for one in tape.gradient(told, mine) + tape.gradient(near, theirs))
    assert all(one is not None for one in tape.gradient(told, theirs))
    assert {*map(id, mine), *map(id, theirs)} == {*map(id, head.trainable_variables)}


def test_real_pictures_are_mismatched_with_the_texts_of_the_next_rows_but_not_with_equal_ones():
    head, streams = stackgan(scored="sentence", mismatches=2, discriminator_norm="none"), streams_of()
    same = np.array(streams["caption"]["tokens"])
    same[1] = same[0]
    streams["caption"]["tokens"] = ops.convert_to_tensor(same)
    found = {name: np.array(value) for name, value in head(streams, targets=pictures()).items()}
    assert found["mismatched"].shape == (BATCH, 1, 2)
    assert found["mismatched"][0, 0, 0] == MASKED_LOGIT  # the next row has the text of this one
    judge, real = head.adversary.discriminators[0], ops.cast(pictures()["image"], "float32") / 127.5 - 1
    sentences = head.read(streams)[0]
    rolled = np.array(judge.score(judge.features(real), ops.roll(sentences, -2, axis=0)))
    np.testing.assert_allclose(found["mismatched"][:, 0, 1], rolled, rtol=1e-4)


def test_real_pictures_are_mismatched_with_the_texts_of_a_further_input_first():
    head = stackgan(scored="sentence", mismatched_text="other", discriminator_norm="none")
    streams = streams_of() | {"other": streams_of(seed=1)["caption"]}
    found = np.array(head(streams, targets=pictures())["mismatched"])
    judge, real = head.adversary.discriminators[0], ops.cast(pictures()["image"], "float32") / 127.5 - 1
    others = head.read(streams_of(seed=1))[0]
    assert found.shape == (BATCH, 1, 2)
    np.testing.assert_allclose(found[:, 0, 0], np.array(judge.score(judge.features(real), others)), rtol=1e-4)


def test_the_second_stage_draws_on_the_frozen_picture_of_the_first():
    def first(inputs: Any) -> StackGAN:
        return StackGAN(inputs=inputs, width=2, **SMALL)

    inputs = INPUTS | {"image": FeatureSpec(shape=[32, 32, 3], dtype="uint8", vocabulary=None)}
    head = StackGAN(inputs=inputs, stage=2, stage1=first, stage1_size=16, width=2, residuals=1, **SMALL)
    head.stage1.trainable = False  # as the core does with a part of a needed run
    large = {"image": ops.convert_to_tensor(np.zeros((BATCH, 32, 32, 3)), "uint8")}
    found = head(streams_of(), targets=large, training=True)
    before = [np.array(one) for one in head.stage1.weights]
    assert found["real_alone"].shape == (BATCH, 1)
    assert head.signatures()["generate"].answer(streams_of(), seed=ops.arange(BATCH))["image_bytes"].shape == (BATCH, 32, 32, 3)
    assert not {id(one) for one in head.stage1.weights} & {id(one) for one in head.trainable_variables}
    for one, old in zip(head.stage1.weights, before, strict=True):
        np.testing.assert_array_equal(one, old)


def test_a_text_and_a_seed_give_one_picture_whatever_else_is_in_the_batch():
    head, streams = stackgan(), streams_of()
    head(streams, targets=pictures(), training=True)
    draw = head.signatures()["generate"].answer
    whole = np.array(draw(streams, seed=ops.convert_to_tensor([3, 4, -5, 2**40], "int64"))["image_bytes"])
    row = {"caption": {key: value[2:3] for key, value in streams["caption"].items()}}
    np.testing.assert_allclose(whole[2:3], draw(row, seed=ops.convert_to_tensor([-5], "int64"))["image_bytes"], atol=1e-4)
    other = np.array(draw(row, seed=ops.convert_to_tensor([5], "int64"))["image_bytes"])
    assert np.abs(other - whole[2:3]).max() > 0.01


def test_noise_is_standard_normal_and_differs_between_seeds():
    seeds = [*range(300), -1, -2, 2**40, 2**40 + 1]
    drawn = np.array(normals(ops.convert_to_tensor(seeds, "int64"), 64)).astype("float64")
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1) < 0.02
    assert abs(np.mean(drawn**4) - 3) < 0.2
    assert np.abs(np.corrcoef(drawn) - np.eye(len(seeds))).max() < 0.65  # 64 numbers each: 0.125 is one standard deviation
    assert np.abs(np.corrcoef(drawn.T) - np.eye(64)).max() < 0.3
    np.testing.assert_array_equal(drawn[3], np.array(normals(ops.convert_to_tensor([3], "int32"), 64))[0])


@pytest.mark.parametrize("make", [stackgan, attngan])
def test_damsm_judges_the_generated_picture_and_stays_as_it_is(make):
    head = make(picture_encoder=Tiles, damsm=lambda **_: DAMSM(dim=6))
    for part in (head.picture_encoder, head.damsm):
        part.trainable = False
    streams = streams_of()
    head(streams, targets=pictures())
    with tf.GradientTape() as tape:
        found = head(streams, targets=pictures(), training=True)
        near = ops.sum(found["candidate_embedding"] * found["query_embedding"])
    assert found["words"].shape == (BATCH, 5, 6)
    assert all(one is not None for one in tape.gradient(near, head.players["generator"][0].trainable_variables))
    assert not {id(one) for one in head.damsm.weights} & {id(one) for one in head.trainable_variables}


def test_explain_tells_which_words_were_looked_at_and_none_of_the_padding():
    head, streams = attngan(scales=[8, 16]), streams_of()
    head(streams, targets=pictures(), training=True)
    found = head.signatures()["explain"].answer(streams, seed=ops.arange(BATCH))
    attention = np.array(found["attention"])
    assert attention.shape == (BATCH, 5, 64)
    np.testing.assert_allclose(attention[:, :3].sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(attention[:, 3:], 0, atol=1e-6)
    assert np.ptp(attention[:, :3], axis=2).max() > 1e-4  # not the same at all places
    drawn = head.signatures()["generate"].answer(streams, seed=ops.arange(BATCH))
    np.testing.assert_allclose(found["image_bytes"], drawn["image_bytes"], atol=1e-4)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"stage": 2}, "`stage1` goes with `stage: 2`"),
        ({"mismatched_text": "other"}, "`mismatched_text` goes with `scored: sentence`"),
        ({"scales": [16, 32]}, "ends with the size of 'image', 16; received [16, 32]"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_words(options, text):
    with pytest.raises(StreamError, match=r".*") as raised:
        stackgan(**options)
    assert text in str(raised.value)


def test_a_picture_that_is_not_square_is_refused_in_words():
    inputs = INPUTS | {"image": FeatureSpec(shape=[16, 32, 3], dtype="uint8", vocabulary=None)}
    with pytest.raises(StreamError, match=r"draws square pictures in colour, received 'image' of the shape \[16, 32, 3\]"):
        StackGAN(inputs=inputs)


@pytest.mark.parametrize(
    ("diversity", "real", "generated", "text"),
    [(0.5, 1.0, -1.0, ""), (0.01, 1.0, -1.0, "has collapsed"), (0.5, 8.0, -6.0, "discriminator has won")],
)
def test_what_goes_wrong_is_said(diversity, real, generated, text):
    watched = {"diversity": np.array(diversity), "real": np.full(3, real), "generated": np.full(3, generated)}
    said = stackgan().warn(watched)
    assert (text in said) if text else said == ""


def test_a_generator_that_ignores_its_noise_is_not_diverse():
    head = stackgan()
    head(streams_of(), targets=pictures(), training=True)
    sound = float(head.watch(streams_of(), pictures())["diversity"])
    head.draw = lambda sentence, noise, words, mask, training=False: StackGAN.draw(head, sentence, 0 * noise, words, mask)
    assert float(head.watch(streams_of(), pictures())["diversity"]) < 1e-3 < sound
