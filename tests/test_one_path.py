"""The law of one path: what feeds `fit` is what is served, and what is evaluated is what is exported."""

import pytest
import tensorflow as tf

from mmzoo.contracts.progress import Screen
from mmzoo.data.batches import examples_of
from mmzoo.data.open import features_of, open_data
from mmzoo.evaluation.evaluate import evaluate
from mmzoo.modeling.assemble import assemble
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import read_recipe
from mmzoo.registry.discovery import discover
from mmzoo.run.folder import Run
from mmzoo.serving.export import export
from mmzoo.serving.served import Served


class StoppedError(Exception):
    """Ends the export once it is known what it would save."""


@pytest.fixture(scope="module")
def served_toy(toy_world):
    """Opens the data of a toy and makes its served answer, as a build does."""
    plan, screen = resolve(read_recipe("r.yaml"), discover()), Screen(quiet=True)
    data = open_data(plan, screen)
    task, _ = assemble(plan, features_of(data.processors))
    return plan, data, Served(task, data.processors), screen


def test_what_feeds_fit_is_what_is_served(served_toy):
    plan, data, served, _ = served_toy
    assert list(served.processors) == list(plan.inputs)
    assert all(served.processors[name] is data.processors[name] for name in plan.inputs)
    raw, fed = next(iter(data.raw_batches("train", 4))), next(iter(examples_of(data, "train").batch(4)))
    for name, processor in served.processors.items():
        assert (processor(raw[name]).features.numpy() == fed[name].numpy()).all()


def test_what_is_evaluated_is_what_is_exported(served_toy, tmp_path, monkeypatch):
    plan, data, served, screen = served_toy
    functions, name = dict(served.functions), served.default
    asked, saved = [], {}
    ask = served.predict
    monkeypatch.setattr(served, "predict", lambda signature, *raw: asked.append(raw) or ask(signature, *raw))
    assert evaluate(plan, served, data, screen).rows
    assert sum(len(raw[0]) for raw in asked) == data.sizes["test"]

    def save(module, folder, signatures):
        saved.update(signatures, module=module)
        raise StoppedError

    monkeypatch.setattr(tf.saved_model, "save", save)
    with pytest.raises(StoppedError):
        export(plan, Run(tmp_path), served, data, screen)
    assert saved.pop("module") is served
    assert saved.pop("serving_default") is functions[name]
    assert saved == functions
