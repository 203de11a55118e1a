"""The loss `damsm` against the paper's equations."""

import numpy as np
import pytest
import tensorflow as tf
from damsm_formulas import GAMMA, formula, unit
from mmzoo_text2image.damsm_loss import damsm

BATCH, REGIONS, WORDS, DIM = 4, 5, 6, 3
LENGTHS = np.array([2, 6, 1, 4])
MASK = np.arange(WORDS) < LENGTHS[:, None]


def tensors(seed=0, **more):
    rng = np.random.default_rng(seed)
    given = {
        "regions": rng.normal(size=(BATCH, REGIONS, DIM)),
        "words": rng.normal(size=(BATCH, WORDS, DIM)),
        "candidate_embedding": unit(rng.normal(size=(BATCH, DIM))),
        "query_embedding": unit(rng.normal(size=(BATCH, DIM))),
    }
    return {name: value.astype("float32") for name, value in given.items()} | {"words_mask": MASK} | more


def exact(given):
    return {name: value.astype("float64") if value.dtype.kind == "f" else value for name, value in given.items()}


def loss_and_gradients(given, **options):
    constants = {name: tf.convert_to_tensor(value) for name, value in given.items()}
    moving = {name: value for name, value in constants.items() if value.dtype.is_floating}
    with tf.GradientTape() as tape:
        tape.watch(moving)
        values = damsm(**constants, **options)
    return values, tape.gradient(values, moving)


ID = np.array([7, 3, 7, 5], "int32")
SEEN = np.arange(REGIONS) < np.array([[5], [2], [1], [4]])


@pytest.mark.parametrize("more", [{}, {"id": ID}, {"regions_mask": SEEN}, {"id": ID, "regions_mask": SEEN}])
@pytest.mark.parametrize("gamma", [{}, {"gamma1": 5.0, "gamma2": 2.0, "gamma3": 0.5}])
@pytest.mark.parametrize("word_score", ["log_sum", "soft_maximum"])
def test_the_loss_is_its_formula(more, gamma, word_score):
    given = tensors(**more)
    found = damsm(**given, **gamma, word_score=word_score)
    expected = formula(**exact(given), **gamma, root=word_score == "soft_maximum")
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_the_defaults_are_those_of_the_authors_code():
    given = tensors()
    np.testing.assert_array_equal(damsm(**given), damsm(**given, **GAMMA, word_score="log_sum"))


def test_the_gradients_are_those_of_the_formula():
    given = tensors(id=ID, regions_mask=SEEN)
    gamma = {"gamma3": 1.0}
    _, gradients = loss_and_gradients(given, **gamma)
    assert set(gradients) == {"regions", "words", "candidate_embedding", "query_embedding"}
    for name, gradient in gradients.items():
        start = exact(given)
        expected = np.zeros_like(start[name])
        for place in np.ndindex(expected.shape):
            ends = [start[name].copy(), start[name].copy()]
            ends[0][place] += 1e-6
            ends[1][place] -= 1e-6
            ahead, behind = (formula(**start | {name: end}, **gamma).sum() for end in ends)
            expected[place] = (ahead - behind) / 2e-6
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4, err_msg=name)


def test_more_padding_changes_nothing():
    given = tensors(id=ID)
    rest = np.full((BATCH, 3, DIM), 50.0, "float32")
    longer = given | {
        "words": np.concatenate([given["words"], rest], axis=1),
        "words_mask": np.pad(MASK, [(0, 0), (0, 3)]),
        "regions": np.concatenate([given["regions"], rest], axis=1),
        "regions_mask": np.pad(np.ones((BATCH, REGIONS), bool), [(0, 0), (0, 3)]),
    }
    (values, gradients), (found, changed) = loss_and_gradients(given), loss_and_gradients(longer)
    np.testing.assert_allclose(found, values, rtol=1e-5)
    for name, gradient in gradients.items():
        kept = changed[name][:, : gradient.shape[1]]
        np.testing.assert_allclose(kept, gradient, rtol=1e-4, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(changed[name][:, gradient.shape[1] :], 0)


@pytest.mark.parametrize("caption", range(BATCH))
def test_no_caption_gets_the_mask_of_another(caption):
    """The mask of the authors' code belongs to another example (issue 93 of taoxugit/AttnGAN)."""
    given = tensors()
    noise = np.zeros_like(given["words"])
    noise[caption, LENGTHS[caption] :] = 9
    np.testing.assert_allclose(damsm(**given | {"words": given["words"] + noise}), damsm(**given), rtol=1e-6)
    noise[caption, LENGTHS[caption] - 1] = 9, -9, 4  # its last real word counts
    assert not np.allclose(damsm(**given | {"words": given["words"] + noise}), damsm(**given), rtol=1e-2)


def test_the_order_of_the_batch_does_not_matter():
    given, order = tensors(id=ID, regions_mask=SEEN), [2, 0, 3, 1]
    found = damsm(**{name: value[order] for name, value in given.items()})
    np.testing.assert_allclose(found, np.array(damsm(**given))[order], rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 30])
def test_equal_scores_cost_four_logarithms_of_the_batch(batch):
    same = {name: np.repeat(value[:1], batch, axis=0) for name, value in tensors().items()}
    np.testing.assert_allclose(damsm(**same), np.full(batch, 4 * np.log(batch)), rtol=1e-5, atol=1e-5)


def test_pairs_with_one_id_are_not_compared():
    np.testing.assert_allclose(damsm(**tensors(id=np.full(BATCH, 5, "int32"))), np.zeros(BATCH), atol=1e-5)
    given = tensors()
    np.testing.assert_array_equal(damsm(**given, id=np.arange(BATCH, dtype="int32")), damsm(**given))


def test_absent_captions_and_images_have_finite_gradients():
    words, regions = MASK.copy(), SEEN.copy()
    words[1], regions[2] = False, False
    given = tensors(regions_mask=regions) | {"words_mask": words}
    for name, mask in (("words", words), ("regions", regions)):
        given[name] = given[name] * mask[..., None]
    given["query_embedding"][1] = given["candidate_embedding"][2] = 0
    values, gradients = loss_and_gradients(given)
    assert np.all(np.isfinite(values))
    assert np.all(np.array(values) < 1000)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients.values())


@pytest.mark.parametrize("compiled", [False, True])
def test_the_same_in_a_graph_of_any_batch(compiled):
    given = tensors(id=ID)
    specs = {name: tf.TensorSpec((None, *value.shape[1:]), value.dtype) for name, value in given.items()}
    graph = tf.function(loss_and_gradients, jit_compile=compiled, autograph=False)
    values, gradients = graph.get_concrete_function(specs)(given)
    expected, right = loss_and_gradients(given)
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    for name, gradient in right.items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=1e-3, atol=1e-5)


def test_the_loss_compares_the_global_batch():
    assert damsm.global_batch
