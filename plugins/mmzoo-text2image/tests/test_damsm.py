"""The head `damsm`: training outputs and signatures against the paper's equations."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from damsm_formulas import attention, unit
from mmzoo_text2image.damsm import DAMSM
from mmzoo_text2image.damsm_loss import damsm

from mmzoo import Gallery, StreamError, make_stream

BATCH, REGIONS, WORDS = 4, 5, 6
LENGTHS = np.array([2, 6, 1, 4])
MASK = np.arange(WORDS) < LENGTHS[:, None]


def stream(*shape, seed=0, mask=None):
    return make_stream(np.random.default_rng(seed).normal(size=shape).astype("float32"), mask)


def pair(words=8, image=7, mask=MASK):
    seen = np.ones((BATCH, REGIONS), bool)
    return {"image": stream(BATCH, REGIONS, image, mask=seen), "caption": stream(BATCH, WORDS, words, seed=1, mask=mask)}


def mean(tokens, mask):
    return np.array([row[real].mean(axis=0) for row, real in zip(tokens, mask, strict=True)])


def kernels(head):
    return {weight.path.rpartition("damsm")[2].partition("/")[2]: weight.numpy() for weight in head.trainable_variables}


@pytest.mark.parametrize("sentence", ["states", "mean"])
def test_outputs_without_projection_of_the_words(sentence):
    given = pair()
    found = (head := DAMSM(dim=8, sentence=sentence))(given)
    weights, image, caption = kernels(head), np.array(given["image"]["tokens"]), np.array(given["caption"]["tokens"])
    assert set(weights) == {"to_region/kernel", "to_image/kernel", "to_image/bias"}
    np.testing.assert_allclose(found["regions"], image @ weights["to_region/kernel"], atol=1e-5)
    expected = image.mean(axis=1) @ weights["to_image/kernel"] + weights["to_image/bias"]
    np.testing.assert_allclose(found["image_embedding"], unit(expected), atol=1e-5)
    np.testing.assert_allclose(found["words"], caption * MASK[..., None], atol=1e-6)
    np.testing.assert_array_equal(found["words_mask"], MASK)
    assert np.all(found["regions_mask"])
    states = [np.concatenate([row[length - 1, :4], row[0, 4:]]) for row, length in zip(caption, LENGTHS, strict=True)]
    sentences = np.array(states) if sentence == "states" else mean(caption, MASK)
    np.testing.assert_allclose(found["caption_embedding"], unit(sentences), atol=1e-5)


@pytest.mark.parametrize("sentence", ["states", "mean"])
def test_words_of_another_size_are_projected(sentence):
    given = pair(words=6)
    found = (head := DAMSM(dim=8, sentence=sentence))(given)
    weights, caption = kernels(head), np.array(given["caption"]["tokens"])
    assert len(weights) == 6
    np.testing.assert_allclose(found["words"], caption @ weights["to_word/kernel"] * MASK[..., None], atol=1e-5)
    states = [np.concatenate([row[length - 1, :3], row[0, 3:]]) for row, length in zip(caption, LENGTHS, strict=True)]
    sentences = np.array(states) if sentence == "states" else mean(caption, MASK)
    expected = sentences @ weights["to_caption/kernel"] + weights["to_caption/bias"]
    np.testing.assert_allclose(found["caption_embedding"], unit(expected), atol=1e-5)


def test_the_sentence_does_not_depend_on_padding():
    given = pair(mask=MASK & (LENGTHS < WORDS)[:, None])  # one caption is absent
    (head := DAMSM(dim=8))(given)
    longer = {
        "tokens": np.pad(given["caption"]["tokens"], [(0, 0), (0, 2), (0, 0)], constant_values=4),
        "mask": np.pad(given["caption"]["mask"], [(0, 0), (0, 2)]),
    }
    embeddings = [head.call(given | {"caption": one})["caption_embedding"] for one in (given["caption"], longer)]
    np.testing.assert_allclose(*embeddings, atol=1e-6)
    np.testing.assert_array_equal(embeddings[0][1], 0)


@pytest.mark.usefixtures("uninitialized")
def test_the_counts_are_those_of_attngan():
    """InceptionV3's `mixed_6e` gives 768 numbers for each of 17 x 17 regions, the text encoder 256 for each word."""
    head = DAMSM()
    symbols = {
        name: {"tokens": keras.KerasTensor((None, *shape)), "mask": keras.KerasTensor((None, shape[0]), "bool")}
        for name, shape in {"image": (289, 768), "caption": (18, 256)}.items()
    }
    outputs = head(symbols)
    assert head.to_region.count_params() == 768 * 256  # a 1 x 1 convolution without bias
    assert head.to_image.count_params() == 768 * 256 + 256
    assert head.count_params() == head.to_region.count_params() + head.to_image.count_params()
    assert outputs["regions"].shape == (None, 289, 256)
    assert outputs["words"].shape == (None, 18, 256)


def test_projections_start_as_published():
    keras.utils.set_random_seed(1)
    (head := DAMSM(dim=32))(pair(words=32, image=64))
    for name, values in kernels(head).items():
        wide = name.endswith("kernel")
        np.testing.assert_allclose([values.min(), values.max()], [-0.1 * wide, 0.1 * wide], atol=1e-3)


def test_the_loss_reads_the_outputs():
    found = DAMSM(dim=8)(pair())
    named = {name: found[name] for name in ("regions", "regions_mask", "words", "words_mask")}
    aliases = DAMSM().aliases
    assert aliases == {"candidate_embedding": "image_embedding", "query_embedding": "caption_embedding"}
    values = damsm(**named, **{alias: found[name] for alias, name in aliases.items()})
    assert values.shape == (BATCH,)
    assert np.all(np.isfinite(values))


def test_a_frozen_head_passes_gradients_to_generated_pictures():
    given = pair()
    head = DAMSM(dim=8)
    head(given)
    head.trainable = False
    tokens = tf.constant(given["image"]["tokens"])
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        found = head.call({"image": make_stream(tokens), "caption": given["caption"]})
        values = damsm(
            found["regions"], found["words"], found["words_mask"], found["image_embedding"], found["caption_embedding"]
        )
    gradient = tape.gradient(values, tokens).numpy()
    assert np.all(np.isfinite(gradient))
    assert np.all(np.abs(gradient).sum(axis=(1, 2)) > 0)
    assert head.trainable_variables == []


# Signatures


def answer(head, signature, streams, *entries):
    found = head.signatures()[signature].answer(streams, *map(tf.constant, entries))
    return {name: value.numpy() for name, value in found.items()}


def test_embeddings_are_those_of_training():
    given = pair()
    trained = (head := DAMSM(dim=8))(given)
    for name in ("image", "caption"):
        (output,) = answer(head, f"embed_{name}", {name: given[name]}).items()
        assert output[0] == f"{name}_embedding"
        np.testing.assert_array_equal(output[1], trained[output[0]])


def test_explain_is_the_attention_of_the_equations():
    given = pair()
    found = (head := DAMSM(dim=8, gamma1=2.0))(given)
    weights = answer(head, "explain", given)["attention"]
    assert weights.shape == (BATCH, WORDS, REGIONS)
    words, regions = (np.array(found[name], "float64") for name in ("words", "regions"))
    for row, length in enumerate(LENGTHS):
        expected = attention(words[row, :length], regions[row], 2.0)
        np.testing.assert_allclose(weights[row, :length], expected, atol=1e-5)
        np.testing.assert_array_equal(weights[row, length:], 0)


@pytest.mark.parametrize("name", ["search", "search_by_image"])
@pytest.mark.parametrize(("top_k", "count"), [(3, 3), (50, 7)])
def test_search_gives_the_nearest_of_the_gallery(name, top_k, count):
    given = pair()
    found = (head := DAMSM(dim=8, gallery="test", top_k=top_k))(given)
    (taken,) = head.signatures()[name].inputs
    entries = unit(np.random.default_rng(5).normal(size=(7, 8)))
    answered = answer(head, name, {taken: given[taken]}, entries.astype("float32"))
    cosines = np.array(found[f"{taken}_embedding"], "float64") @ entries.T
    order = np.argsort(-cosines, axis=1)[:, :count]
    np.testing.assert_array_equal(answered["place"], order)
    np.testing.assert_allclose(answered["score"], np.take_along_axis(cosines, order, axis=1), atol=1e-6)


def test_everything_is_named_after_the_inputs():
    plain, searching = DAMSM(), DAMSM(candidate="photo", query="words", gallery="test", key="code")
    assert plain.gallery is None
    assert list(plain.signatures()) == ["embed_image", "embed_caption", "explain"]
    assert list(searching.signatures()) == ["search", "search_by_photo", "embed_photo", "embed_words", "explain"]
    assert searching.gallery == Gallery("test", "embed_photo", "photo_embedding", ("words",), "code")
    taken = [signature.inputs for signature in searching.signatures().values()]
    assert taken == [("words",), ("photo",), ("photo",), ("words",), ("photo", "words")]
    assert searching.signatures()["explain"].attention == "attention"


ODD = (
    "the head 'damsm' takes the states of two directions, one after the other, but caption has the odd dim 5. "
    "Set `bidirectional: true` and `merge: concatenate` in its encoder, or `sentence: mean` here."
)
MISSING = "the head 'damsm' takes the stream 'caption', which is not there. Known: image."


@pytest.mark.parametrize(("streams", "text"), [(pair(words=5), ODD), ({"image": pair()["image"]}, MISSING)])
def test_streams_that_do_not_fit(streams, text):
    with pytest.raises(StreamError) as caught:
        DAMSM()(streams)
    assert str(caught.value) == text
