"""The head `match`: training outputs and signatures against their formulas in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from mmzoo_matching.match import Match

from mmzoo import Gallery, StreamError, make_stream


def stream(*shape: int, seed: int = 0, mask: np.ndarray | None = None) -> dict:
    return make_stream(np.random.default_rng(seed).normal(size=shape).astype("float32"), mask)


def pair(batch: int = 4, dim: int = 3) -> dict:
    mask = np.arange(5) < np.array([[1], [5], [3], [2]])[:batch]
    return {"image": stream(batch, dim), "caption": stream(batch, 5, dim, seed=1, mask=mask)}


def embedded(given: dict) -> np.ndarray:
    """Averages the real tokens and scales the mean to length 1, in float64."""
    real = np.asarray(given["mask"], "float64")[..., None]
    mean = (np.asarray(given["tokens"], "float64") * real).sum(1) / np.maximum(real.sum(1), 1)
    return mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-6)


def answer(head: Match, signature: str, streams: dict, *entries: np.ndarray) -> dict:
    found = head.signatures()[signature].answer(streams, *map(tf.constant, entries))
    return {name: value.numpy() for name, value in found.items()}


def test_outputs_of_training() -> None:
    found = Match()(given := pair())
    np.testing.assert_allclose(found["image_embedding"], embedded(given["image"]), atol=1e-6)
    np.testing.assert_allclose(found["caption_embedding"], embedded(given["caption"]), atol=1e-6)
    np.testing.assert_allclose(found["logit_scale"], 1 / 0.07, rtol=1e-6)
    assert found["logit_bias"] == 0


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["log_scale"]),
        ({"bias": -10.0}, ["log_scale", "bias"]),
        ({"learned": False}, []),
        ({"max_logit_scale": 10.0}, None),
    ],
)
def test_what_is_learned(options: dict, names: list[str] | None) -> None:
    head = Match(temperature=0.1, **options)
    found = head(pair())
    np.testing.assert_allclose(found["logit_scale"], 10, rtol=1e-6)
    assert found["logit_bias"] == options.get("bias", 0)
    assert [weight.name for weight in head.trainable_variables] == (["log_scale"] if names is None else names)


def test_the_gradient_of_the_scale_is_that_of_the_formula() -> None:
    """The gradient of `sum scale * cosine + bias` by the logarithm of the scale is `scale * sum cosine`."""
    head, given = Match(temperature=0.5, bias=1.0), pair()
    head(given)
    with tf.GradientTape() as tape:
        found = head(given, training=True)
        cosines = tf.reduce_sum(found["image_embedding"] * found["caption_embedding"], axis=1)
        total = tf.reduce_sum(found["logit_scale"] * cosines + found["logit_bias"])
    by_scale, by_bias = tape.gradient(total, [weight.value for weight in head.trainable_variables])
    expected = 2 * (embedded(given["image"]) * embedded(given["caption"])).sum()
    np.testing.assert_allclose([by_scale, by_bias], [expected, 4], rtol=1e-5)


def test_the_scale_is_clipped_after_each_update() -> None:
    head = Match()
    head(pair())
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.apply([tf.constant(-3.0)], head.trainable_variables)
    np.testing.assert_allclose(head(pair())["logit_scale"], 100, rtol=1e-6)
    optimizer.apply([tf.constant(np.log(4).astype("float32"))], head.trainable_variables)
    np.testing.assert_allclose(head(pair())["logit_scale"], 25, rtol=1e-6)  # it can fall again


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("size", [1.0, 1e-4])
def test_half_precision_keeps_the_scale_and_the_lengths_in_float32(policy: str, size: float) -> None:
    half = policy.removeprefix("mixed_")
    given = {name: made | {"tokens": tf.cast(made["tokens"] * size, half)} for name, made in pair().items()}
    found = Match(bias=-10.0, dtype=policy)(given)
    assert {value.dtype for value in found.values()} == {tf.float32}
    np.testing.assert_allclose(found["logit_scale"], 1 / 0.07, rtol=1e-6)
    for name in ("image_embedding", "caption_embedding"):
        np.testing.assert_allclose(np.linalg.norm(found[name], axis=1), 1, atol=1e-6)


def test_embeddings_are_those_of_training() -> None:
    head, given = Match(), pair()
    trained = head(given)
    one = answer(head, "embed_image", {"image": given["image"]}) | answer(head, "embed_caption", {"caption": given["caption"]})
    assert set(one) == {"image_embedding", "caption_embedding"}
    for name, value in one.items():
        np.testing.assert_array_equal(value, trained[name])


def test_zero_shot_compares_the_labels_of_a_row() -> None:
    head, image = Match(temperature=0.25, learned=False), stream(3, 4)
    mask = np.array([[1, 1], [1, 0], [0, 0], [1, 1], [0, 0], [0, 0], [0, 0], [0, 0], [0, 0]], bool)  # three labels a row
    labels = stream(9, 2, 4, seed=1, mask=mask)
    score = answer(head, "zero_shot", {"image": image, "caption": labels})["score"]
    pictures, texts = embedded(image), embedded(labels).reshape(3, 3, 4)
    first = np.exp(4 * texts[0, :2] @ pictures[0])
    np.testing.assert_allclose(score, [[*first / first.sum(), 0], [1, 0, 0], [0, 0, 0]], atol=1e-6)


def test_zero_shot_with_a_bias_is_the_sigmoid_of_each_label() -> None:
    head, image = Match(temperature=0.25, learned=False, bias=-1.5), stream(2, 4)
    labels = stream(4, 1, 4, seed=1, mask=np.array([[1], [1], [1], [0]], bool))  # two labels a row
    score = answer(head, "zero_shot", {"image": image, "caption": labels})["score"]
    cosines = np.einsum("nd,nld->nl", embedded(image), embedded(labels).reshape(2, 2, 4))
    np.testing.assert_allclose(score, 1 / (1 + np.exp(1.5 - 4 * cosines)) * [[1, 1], [1, 0]], rtol=1e-5)


def test_zero_shot_with_one_label_and_with_none() -> None:
    head, image = Match(), stream(2, 4)
    one = answer(head, "zero_shot", {"image": image, "caption": stream(2, 1, 4)})["score"]
    np.testing.assert_array_equal(one, [[1], [1]])
    assert answer(head, "zero_shot", {"image": image, "caption": stream(0, 1, 4)})["score"].shape == (2, 0)


@pytest.mark.parametrize("name", ["search", "search_by_image"])
@pytest.mark.parametrize(("top_k", "found"), [(3, 3), (7, 7), (50, 7)])
def test_search_gives_the_nearest_of_the_gallery(name: str, top_k: int, found: int) -> None:
    head, given = Match(gallery="test", top_k=top_k), pair()
    signature = head.signatures()[name]
    entries = embedded(stream(7, 3, seed=5))
    answered = answer(head, name, {one: given[one] for one in signature.inputs}, entries.astype("float32"))
    cosines = embedded(given[signature.inputs[0]]) @ entries.T
    order = np.argsort(-cosines, axis=1)[:, :found]
    np.testing.assert_array_equal(answered["place"], order)
    np.testing.assert_allclose(answered["score"], np.take_along_axis(cosines, order, axis=1), atol=1e-6)


def test_entries_that_are_the_same_stand_in_the_order_of_the_gallery() -> None:
    head, entries = Match(gallery="test", top_k=4), np.eye(3, dtype="float32")[[1, 0, 0, 1, 0]]
    text = make_stream(np.array([[2.0, 0, 0], [0, 3, 0]], "float32"))
    np.testing.assert_array_equal(answer(head, "search", {"caption": text}, entries)["place"], [[1, 2, 4, 0], [0, 3, 1, 2]])


def test_a_gallery_adds_the_searches() -> None:
    plain, searching = Match(), Match(candidate="photo", query="words", gallery="test", key="code")
    assert plain.gallery is None
    assert list(plain.signatures()) == ["embed_image", "embed_caption", "zero_shot"]
    assert list(searching.signatures()) == ["search", "search_by_photo", "embed_photo", "embed_words", "zero_shot"]
    assert searching.gallery == Gallery("test", "embed_photo", "photo_embedding", ("words",), "code")
    signatures = searching.signatures().values()
    assert [signature.inputs for signature in signatures] == [
        ("words",),
        ("photo",),
        ("photo",),
        ("words",),
        ("photo", "labels"),
    ]
    assert searching.signatures()["zero_shot"].reads == {"labels": "words"}


def test_everything_is_named_after_the_inputs() -> None:
    head = Match(candidate="sound", query="caption", gallery="test")
    outputs = head({"sound": stream(4, 3), "caption": pair()["caption"]})
    assert set(outputs) == {"sound_embedding", "caption_embedding", "logit_scale", "logit_bias"}
    assert head.aliases == {"candidate_embedding": "sound_embedding", "query_embedding": "caption_embedding"}
    assert list(head.signatures()) == ["search", "search_by_sound", "embed_sound", "embed_caption", "zero_shot"]
    assert set(answer(head, "embed_sound", {"sound": stream(4, 3)})) == {"sound_embedding"}


@pytest.mark.parametrize(
    ("streams", "text"),
    [
        (
            {"image": (2, 4), "caption": (2, 3)},
            "the head 'match' takes streams of the same dim, but image has 4, caption has 3. "
            "Set it in their encoders, or add a fusion that projects them.",
        ),
        ({"image": (2, 4)}, "the head 'match' takes the stream 'caption', which is not there. Known: image."),
    ],
)
def test_streams_that_do_not_fit(streams: dict, text: str) -> None:
    with pytest.raises(StreamError) as caught:
        Match().call({name: stream(*shape) for name, shape in streams.items()})
    assert str(caught.value) == text


def test_a_temperature_below_the_bound() -> None:
    with pytest.raises(StreamError) as caught:
        Match(temperature=0.001)
    assert str(caught.value) == "its temperature 0.001 is a scale of 1000, expected at most 100; raise `max_logit_scale`."
    Match(temperature=0.001, learned=False)
    Match(temperature=0.01)
