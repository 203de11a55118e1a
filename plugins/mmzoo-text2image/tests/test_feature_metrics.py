"""Fréchet distance, kernel distance and inception score on pictures whose features are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from coloured_pictures import MANY, Judge, flat, mean_colour, pairs, scored, speckled, training
from mmzoo_text2image import distances, inception
from mmzoo_text2image.feature_distances import FrechetDistance, KernelDistance
from mmzoo_text2image.inception_score import InceptionScore, by_class
from mmzoo_text2image.pictures import decode, encode, fitted

from mmzoo import DataError


def test_distances_are_those_of_the_features():
    generated, real, judge = MANY[:4], [speckled(seed) for seed in range(20, 24)], Judge()
    one, two = (np.array([mean_colour(data) for data in pictures]) for pictures in (real, generated))
    found = scored(FrechetDistance(judge=judge, training_examples=training(MANY)), pairs(generated, real))
    assert found["clip_frechet_distance"] == pytest.approx(distances.frechet_distance(one, two), rel=1e-5)
    assert judge.calls == [("embed_image", 4)] * 3
    found = scored(KernelDistance(judge=judge, training_examples=training(MANY)), pairs(generated, real))
    assert found["clip_kernel_distance"] == pytest.approx(distances.kernel_distance(one, two)[0], abs=1e-6)
    assert found["clip_kernel_distance_std"] == 0


class Edges(Judge):
    """Embeds a picture as its contrast between neighbouring pixels, which a blur removes."""

    def __call__(self, signature, **raw):
        pixels = [tf.io.decode_png(data, channels=3).numpy() / 255 for data in raw["photo"]]
        assert {one.shape for one in pixels} == {(8, 8, 3)}
        return {"edges": np.array([[np.abs(np.diff(one, axis=axis)).mean() for axis in (0, 1)] for one in pixels])}


@pytest.mark.parametrize("kind", [FrechetDistance, KernelDistance])
def test_blurred_training_pictures_are_a_bar_between_right_and_wrong(kind):
    words = {"signature": "edges_of", "input": "photo", "output": "edges"}
    real, other = ([speckled(seed, 16) for seed in range(start, start + 30)] for start in (0, 100))
    right = [encode(fitted(decode(data, ""), (8, 8), "pad")) for data in other]
    metric = kind(judge=Edges(), training_examples=training(other), **words)
    found = scored(metric, pairs(right, real))  # the real pictures are compared at 8 x 8 too
    name = f"clip_{kind.measure}"
    assert found[name] < 0.1 * found[f"{name}_blurred"]
    assert set(metric.lower_is_better) == set(found)


def test_the_extractor_is_given_once():
    advice = "; expected one. Name a needed run as `judge`, or a weights file as `inception`."
    with pytest.raises(DataError) as error:
        KernelDistance(training_examples=training([]))
    assert str(error.value) == "the metric 'kernel_distance' has neither `judge` nor `inception`" + advice
    with pytest.raises(DataError) as error:
        InceptionScore(judge=Judge(), inception="weights.h5")
    assert str(error.value) == "the metric 'inception_score' has both `judge` and `inception`" + advice


def test_without_training_pictures_the_bar_is_zero():
    found = scored(FrechetDistance(judge=Judge(), training_examples=training([])), pairs(MANY[:2], MANY[2:4]))
    assert found["clip_frechet_distance_blurred"] == 0 < found["clip_frechet_distance"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"signature": "embed_photo"},
            "the metric 'frechet_distance' asks the model 'clip' for the signature 'embed_photo', and it has no 'embed_photo'. "
            "Set the metric's `signature` and `input` to what the model serves.",
        ),
        (
            {"output": "embedding"},
            "the metric 'frechet_distance' needs the output 'embedding' of 'embed_image' of the model 'clip', which it does "
            "not have. Nearest: image_embedding. Known: image_embedding.",
        ),
        (
            {"training_input": "photo"},
            "the metric 'frechet_distance' looks for training pictures in the input 'photo', which the examples do not have. "
            "Set `training_input`. Nearest: caption. Known: image, caption.",
        ),
    ],
)
def test_wrong_names_are_said(options, message):
    with pytest.raises(DataError) as error:
        scored(FrechetDistance(judge=Judge(), training_examples=training(MANY), **options), pairs(MANY[:1], MANY[1:2]))
    assert str(error.value) == message


# Inception


class Network:
    """Stands for InceptionV3: its features are the mean of each channel of its input."""

    made: list[dict[str, object]] = []

    def __call__(self, **options):
        self.made.append(options)
        if options["weights"] == "with_top.h5" and not options["include_top"]:
            raise ValueError("Layer count mismatch.\nMore.")
        if not options["weights"].endswith(".h5"):
            raise ValueError("The `weights` argument should be a file.")
        inputs = keras.Input((299, 299, 3))
        pooled = keras.layers.GlobalAveragePooling2D(name="avg_pool")(inputs)
        return keras.Model(inputs, keras.layers.Softmax()(pooled) if options["include_top"] else pooled)


@pytest.mark.parametrize("path", ["no_top.h5", "with_top.h5"])
def test_inception_reads_pictures_of_299_pixels_from_minus_one_to_one(monkeypatch, path):
    monkeypatch.setattr(keras.applications, "InceptionV3", Network())
    found = inception.Inception(path, "it").features([flat((255, 0, 51)), flat((0, 255, 204), side=20)])
    assert found == pytest.approx(np.array([[1, -1, -0.6], [-1, 1, 0.6]]), abs=1e-3)
    made = scored(FrechetDistance(inception=path, training_examples=training(MANY)), pairs(MANY[:2], MANY[2:4]))
    assert list(made) == ["inception_v3_frechet_distance", "inception_v3_frechet_distance_blurred"]


def test_inception_classifies_for_the_inception_score(monkeypatch):
    monkeypatch.setattr(keras.applications, "InceptionV3", Network())
    found = scored(InceptionScore(inception="with_top.h5", splits=1), [{"image_bytes": flat(c)} for c in ("red", "blue")])
    rows = np.exp([[1, -1, -1], [-1, -1, 1]])
    assert found["inception_v3_inception_score"] == pytest.approx(distances.inception_score(rows, 1)[0], rel=1e-5)


def test_weights_that_are_not_inception_are_refused(monkeypatch):
    monkeypatch.setattr(keras.applications, "InceptionV3", Network())
    with pytest.raises(DataError) as error:
        inception.Inception("weights", "the metric 'x'").probabilities([flat("red")])
    assert str(error.value) == (
        "the metric 'x' cannot read weights of InceptionV3 from 'weights': The `weights` argument should be a file.\n"
        "Set `inception` to a weights file of keras.applications.InceptionV3, with the layer that classifies."
    )


@pytest.mark.slow
def test_features_of_a_real_weights_file(tmp_path):
    path = str(tmp_path / "all.weights.h5")
    model = keras.applications.InceptionV3(weights=None, include_top=True)
    model.save_weights(path)
    found = inception.Inception(path, "it").features([flat("red", 299)])
    assert found.shape == (1, 2048)
    pixels = np.broadcast_to(np.array([1, -1, -1], "float32"), (1, 299, 299, 3))
    logits = found @ np.asarray(model.layers[-1].kernel) + np.asarray(model.layers[-1].bias)
    expected = np.exp(logits) / np.exp(logits).sum()
    assert np.asarray(model(pixels, training=False)) == pytest.approx(expected, rel=1e-4)


def test_inception_score_of_the_most_probable_classes():
    """The two best of red, green and blue, each 3/4 and 1/4 sure."""
    table = by_class([[0.75, 0.25], [0.5, 0.125]], [[b"red", b"blue"], [b"green", b"red"]])
    assert table == pytest.approx(np.array([[0.25, 0, 0.75, 0], [0, 0.5, 0.125, 0.375]]))
    rows = [{"image_bytes": flat(colour)} for colour in ("red", "green", "blue")]
    found = scored(InceptionScore(judge=Judge(), splits=1), rows)
    answers = [Judge()("classify", image=[row["image_bytes"]]) for row in rows]
    table = by_class(*(np.concatenate([answer[name] for answer in answers]) for name in ("score", "label")))
    assert found["clip_inception_score"] == pytest.approx(distances.inception_score(table, 1)[0], rel=1e-9)
    whole = scored(InceptionScore(judge=Judge(), label_output="", splits=1), rows)
    assert whole["clip_inception_score"] == pytest.approx(1)  # by columns, all three answers are alike


def test_equal_pictures_are_spread_over_the_parts():
    """Two pictures, five of each: sorted by value, each part would hold one of them and score 1."""
    rows = [{"image_bytes": flat(colour)} for colour in ("red", "blue") for _ in range(20)]
    assert scored(InceptionScore(judge=Judge(), splits=2), rows)["clip_inception_score"] > 1.1
