"""Every installed fusion with every installed head, on one stream and on several: it trains and answers, or is refused."""

from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import pytest

from mmzoo import FeatureSpec
from mmzoo.contracts.streams import mask_of
from mmzoo.errors import RecipeError
from mmzoo.modeling.assemble import assemble
from mmzoo.modeling.task import Task
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import parse_recipe
from mmzoo.registry.catalog import Catalog
from mmzoo.registry.discovery import discover
from mmzoo.testing.tensors import batch_of, finite

pytestmark = pytest.mark.slow

BATCH = 4
STREAMS = ("image", "caption", "question")
ENCODED = {
    "image": ("image", "{type: toy_flat, dim: 6}", FeatureSpec(shape=[4, 4, 3], dtype="uint8", vocabulary=None)),
    "caption": ("words", "{type: toy_embedding, dim: 5}", FeatureSpec(shape=[3], dtype="int32", vocabulary=9)),
    "question": ("words", "{type: toy_embedding, dim: 8}", FeatureSpec(shape=[4], dtype="int32", vocabulary=9)),
}
LABEL = FeatureSpec(shape=[], dtype="int32", vocabulary=5, labels=list("abcde"), counts=[1] * 5)
HEADS = {
    "classify": ("{type: classify, target: target}", "cross_entropy", "label", LABEL),
    "gru_captioner": (
        "{type: gru_captioner, target: target, units: 8, beam: 1}",
        "token_cross_entropy",
        "words",
        FeatureSpec(shape=[2], dtype="int32", vocabulary=9),
    ),
    "match": ("{type: match}", "info_nce", "", None),
}
"""Head -> how a recipe writes it, its loss, the processor of its target and what that gives."""
OF_WORDS = ["attngan", "damsm", "stackgan"]
"""Heads that read the words of a text, which a fusion would mix with other streams."""
FUSIONS = dict.fromkeys(("concat", "gated", "late", "project"), "dim: 8")
FUSIONS |= dict.fromkeys(("cross_attention", "early", "hybrid"), "dim: 8, heads: 2, depth: 1")
FUSIONS |= {"bottleneck": "dim: 8, heads: 2, depth: 2", "film": "dim: 8, condition: image, depth: 1"}
"""Fusion -> its options."""

SEVERAL = {"classify": 2, "gru_captioner": 3, "match": 3}
"""Head -> on how many streams it is tried, besides one: two or three, of which `match` leaves the third."""
JOINT = ("concat", "early", "gated")
EXCHANGE = ("bottleneck", "cross_attention", "film", "hybrid")


def installed(kind: str) -> list[str]:
    return sorted(component.name for component in discover().of(kind))


def refusal(fusion: str, head: str, count: int) -> str:
    """Says why parts do not go together; empty if they do."""
    if head == "match" and count == 1:
        return "head: the recipe has no input 'caption'."
    if fusion in EXCHANGE and count == 1:
        text = f"the fusion '{fusion}' takes at least two streams, received one (image)."
        return f"fusion: {text} Encode another input, or leave the fusion out."
    if head == "match" and fusion in JOINT:
        return "head: the head 'match' takes the stream 'image', which is not there. Known: joint."
    return ""


def idle(fusion: str, head: str) -> bool:
    """Says whether a head leaves something that it is given: `match` the third stream and what is joint."""
    return head == "match" and fusion != "cross_attention"


def recipe(fusion: str, head: str, count: int) -> tuple[str, dict[str, FeatureSpec]]:
    written, loss, processor, target = HEADS[head]
    inputs = {name: (ENCODED[name][0], ENCODED[name][2]) for name in STREAMS[:count]}
    if target is not None:
        inputs["target"] = (processor, target)
    lines = ["name: matrix", "data: {type: toy_squares}", "inputs:"]
    lines += [f"  {name}: {{type: {reader}, field: answer}}" for name, (reader, _) in inputs.items()]
    lines += ["encoders:"] + [f"  {name}: {ENCODED[name][1]}" for name in STREAMS[:count]]
    lines += [f"fusion: {{type: {fusion}, {FUSIONS[fusion]}}}", f"head: {written}", f"loss: {{type: {loss}}}"]
    return "\n".join(lines), {name: known for name, (_, known) in inputs.items()}


def batch(features: dict[str, FeatureSpec]) -> dict[str, Any]:
    """Draws a batch: the first example lacks the first input, the second the second, and so on; the last lacks all."""
    rng = np.random.default_rng(3)
    drawn = {name: batch_of(known, rng) for name, known in features.items()}
    encoded = [name for name in STREAMS if name in features]
    there = {mask_of(name): (np.arange(BATCH) != row) & (np.arange(BATCH) < BATCH - 1) for row, name in enumerate(encoded)}
    return drawn | there


def trains(task: Task, given: dict[str, Any]) -> None:
    task.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    before = [weight.numpy() for weight in task.trainable_weights]
    assert np.all(np.isfinite(task.train_on_batch(given)))
    assert any(np.any(weight.numpy() != old) for weight, old in zip(task.trainable_weights, before, strict=True))
    finite({weight.path: weight.value for weight in task.trainable_weights}, "{name} is not finite after a step.")


def answers(task: Task, given: dict[str, Any]) -> None:
    for name, signature in task.signatures().items():
        seen: dict[str, Any] = {}
        for one in signature.inputs:
            reader = signature.reads.get(one, one)
            count = 3 if one in signature.reads else 1
            seen |= {key: np.repeat(given[key], count, axis=0) for key in (reader, mask_of(reader))}
        streams = task.streams(seen, apart=signature.reads.values())
        finite(signature.answer(streams), f"{{name}} of '{name}' is not finite.")


@pytest.fixture(scope="module")
def catalog(toy_world: Any) -> Catalog:
    return discover()


def test_all_are_here() -> None:
    assert sorted(FUSIONS) == installed("fusion")
    assert sorted([*HEADS, *OF_WORDS]) == installed("head")


@pytest.mark.parametrize(("head", "count"), [(head, count) for head, most in SEVERAL.items() for count in (1, most)])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_goes_together_or_says_why_not(catalog: Catalog, fusion: str, head: str, count: int) -> None:
    keras.utils.set_random_seed(1)
    text, features = recipe(fusion, head, count)
    if refused := refusal(fusion, head, count):
        with pytest.raises(RecipeError) as raised:
            assemble(resolve(parse_recipe(text), catalog), features)
        assert refused in str(raised.value)
        return
    task, _ = assemble(resolve(parse_recipe(text), catalog), features)
    given = batch(features)
    unused = pytest.warns(UserWarning, match="^Gradients do not exist") if idle(fusion, head) else nullcontext()
    with unused:
        trains(task, given)
    answers(task, given)
