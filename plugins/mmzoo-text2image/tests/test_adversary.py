"""Which texts a real picture is mismatched with: those of the batch, of earlier batches, and of an input of their own."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from mmzoo_text2image.adversary import Adversary
from mmzoo_text2image.discriminators import Discriminator

from mmzoo import MASKED_LOGIT, StreamError

TEXT_DIM = 3


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(1)


def adversary(**options: Any) -> Adversary:
    return Adversary([Discriminator(8, width=2, text_dim=TEXT_DIM, norm="none", projection=4)], **options)


def mismatched(judge: Adversary, text: np.ndarray, other: np.ndarray | None = None, training: bool = True) -> np.ndarray:
    """Scores one picture, the same for each text, with the texts that it is mismatched with: `(batch, mismatches)`."""
    pictures = [ops.ones((len(text), 8, 8, 3))]
    given = None if other is None else ops.convert_to_tensor(other)
    scores = judge(pictures, pictures, ops.convert_to_tensor(text), mismatched=given, training=training)
    return np.array(scores["mismatched"])[:, 0]


def scores_of(judge: Adversary, texts: np.ndarray) -> np.ndarray:
    """Scores the same picture with each text alone."""
    (discriminator,) = judge.discriminators
    features = discriminator.features(ops.ones((len(texts), 8, 8, 3)))
    return np.array(discriminator.score(features, ops.convert_to_tensor(texts)))


def texts(*rows: list[float]) -> np.ndarray:
    return np.array(rows, "float32")


def test_the_most_similar_texts_of_earlier_batches_are_mismatched_newest_first():
    judge = adversary(mismatches=1, hard_mismatches=1, memory=3)
    first = texts([1, 0, 0], [0, 1, 0])
    found = mismatched(judge, first)
    np.testing.assert_allclose(found[:, 1], scores_of(judge, first[::-1]), rtol=1e-4)  # of this batch: the memory is empty
    second = texts([1, 0.1, 0], [0, 0, 1])
    found = mismatched(judge, second)
    np.testing.assert_allclose(found[0, 1], scores_of(judge, first[:1])[0], rtol=1e-4)  # [1, 0, 0] is nearest to [1, 0.1, 0]
    np.testing.assert_array_equal(np.array(judge.memory), np.concatenate([second, first[:1]]))
    mismatched(judge, first, training=False)
    np.testing.assert_array_equal(np.array(judge.memory), np.concatenate([second, first[:1]]))


def test_a_place_of_the_memory_that_is_still_empty_costs_nothing():
    judge = adversary(mismatches=1, hard_mismatches=3, memory=4)
    found = mismatched(judge, texts([1, 0, 0], [0, 1, 0]))
    assert (found[:, 2:] == MASKED_LOGIT).all()
    assert (found[:, :2] != MASKED_LOGIT).all()


def test_a_memory_that_nothing_reads_is_refused_in_words():
    with pytest.raises(StreamError, match=r"`memory` is where `hard_mismatches` looks for similar texts"):
        adversary(mismatches=1, memory=4)


def test_each_picture_is_scored_with_the_mismatched_text_that_is_given():
    judge, own = adversary(mismatches=1), texts([1, 0, 0], [0, 1, 0])
    others = texts([0, 0, 1], [0, 1, 0])
    found = mismatched(judge, own, others)
    np.testing.assert_allclose(found[0, 0], scores_of(judge, others[:1])[0], rtol=1e-4)
    assert found[1, 0] == MASKED_LOGIT  # it is the picture's own
    np.testing.assert_allclose(found[:, 1], scores_of(judge, own[::-1]), rtol=1e-4)


def test_the_memory_is_kept_in_a_compiled_training_step():
    class Player(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.judge = adversary(mismatches=1, hard_mismatches=1, memory=2)

        def call(self, text: Any, training: bool = False) -> Any:
            pictures = [ops.ones((2, 8, 8, 3))]
            scores = self.judge(pictures, pictures, text, training=training)
            return ops.sum(scores["mismatched"], axis=2) + scores["real_alone"]

    player, own = Player(), texts([1, 0, 0], [0, 1, 0])
    player.compile("sgd", "mse")
    player.fit(own, np.zeros(2, "float32"), batch_size=2, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(np.array(player.judge.memory), own)
