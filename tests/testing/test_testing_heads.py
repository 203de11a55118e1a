"""What the conformance kit says of broken heads."""

from typing import Any

import keras
import pytest
from keras import ops
from one_component import catalog_with, said

from mmzoo import Head, Signature, only_stream, pool
from mmzoo.testing import HeadCase, check, features, properties


class PlainHead(Head):
    """Scores the mean token."""

    needs: tuple[str, ...] = ()
    wired = Signature(lambda streams: {})

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(3)

    @property
    def targets(self) -> tuple[str, ...]:
        return self.needs

    def call(self, streams: Any, targets: Any = None) -> Any:
        return {"logits": self.dense(pool(only_stream(streams, "it")))}

    def signatures(self) -> dict[str, Signature]:
        return {"score": Signature(lambda streams: {"score": self(streams)["logits"]})}


class Undeclared(PlainHead):
    """Reads a target that it does not declare."""

    def call(self, streams: Any, targets: Any = None) -> Any:
        return {"logits": ops.cast(targets["answer"], "float32")}


class Unknown(PlainHead):
    """Declares a target that is no input."""

    needs = ("reply",)


class Nameless(PlainHead):
    """Gives a tensor without a name."""

    def call(self, streams: Any, targets: Any = None) -> Any:
        return self.dense(pool(only_stream(streams, "it")))


class Scalar(PlainHead):
    """Answers with one number for the whole batch."""

    def signatures(self) -> dict[str, Signature]:
        return {"score": Signature(lambda streams: {"score": ops.mean(self(streams)["logits"])})}


class Misnamed(PlainHead):
    """Decodes an output by an input that is not there."""

    def signatures(self) -> dict[str, Signature]:
        return {"score": Signature(lambda streams: {"score": self(streams)["logits"]}, decode={"score": "anser"})}


class Misworded(PlainHead):
    """Returns the tokens of a target, which the served model does not read."""

    needs = ("answer",)

    def signatures(self) -> dict[str, Signature]:
        return {"score": Signature(lambda streams: {"score": self(streams)["logits"]}, tokens={"words": "answer"})}


def mean_loss(logits: Any) -> Any:
    """Averages over the batch.

    Args:
        logits: Any.
    """
    return ops.mean(logits)


INPUTS = {"answer": features(dtype="int32", vocabulary=3)}
HEAD = HeadCase("broken", {"joint": (5, 4)}, inputs=INPUTS)


@pytest.mark.parametrize(
    ("name", "component", "text"),
    [
        ("targets", Undeclared, "it raises KeyError: "),
        ("targets", Unknown, "its targets ['reply'] are no inputs; the case's are ['answer']."),
        ("targets", Nameless, "call must give a dict of tensors, received (4, 3) float32."),
        ("signatures", Scalar, "the output 'score' of the signature 'score' must start with the batch, received ()."),
        (
            "signatures",
            Misnamed,
            "`decode` of the signature 'score' names the input 'anser', which there is not. Nearest: answer. ",
        ),
        ("signatures", Misworded, "`tokens` of the signature 'score' names the output 'words', which there is not."),
    ],
)
def test_broken_head(name, component, text):
    assert said(HEAD, name, head=component).startswith(text)


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (
            {"type": "broken", "logits": "logit"},
            "the loss 'broken' needs 'logit', which there is not. Nearest: logits. Known: logits.",
        ),
        ("broken", "the loss 'broken' must give one floating point number per example, (4,), received () float32."),
    ],
)
def test_a_head_gives_the_tensors_of_its_losses(loss, text):
    case = HeadCase("broken", {"joint": (5, 4)}, inputs=INPUTS, losses=[loss])
    assert said(case, "losses", head=PlainHead, loss=mean_loss) == text


@pytest.mark.parametrize("name", properties(HEAD))
def test_sound_head(name):
    check(HEAD, name, catalog_with(head=PlainHead))
