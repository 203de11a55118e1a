"""The properties of heads, beside those of every layer."""

from collections.abc import Iterable

import keras

from mmzoo.contracts.head import with_aliases
from mmzoo.contracts.streams import describe
from mmzoo.errors import suggest
from mmzoo.recipe.options import tensors_of
from mmzoo.testing.layers import trial_of
from mmzoo.testing.scoring import per_example
from mmzoo.testing.subject import Subject, bind_component, require
from mmzoo.testing.tensors import BATCH, finite


def check_targets(subject: Subject) -> None:
    """The declared targets are inputs and suffice for training. The outputs are tensors by name."""
    trial = trial_of(subject)
    outputs = trial.call(trial.batch, training=True)
    named = isinstance(outputs, dict) and all(hasattr(value, "shape") for value in outputs.values())
    require(named, f"call must give a dict of tensors, received {describe(outputs)}.")
    _known("`aliases` names the output", trial.layer.aliases.values(), set(outputs))


def check_signatures(subject: Subject) -> None:
    """Signatures return named tensors whose first axis is the batch. They name only known inputs and outputs."""
    trial = trial_of(subject)
    signatures, inputs = trial.layer.signatures(), set(subject.case.inputs) | set(trial.batch[0])
    require(signatures, "signatures() is empty; give at least one, the first is the default one.")
    for name, signature in signatures.items():
        outputs = trial.answer(signature, trial.batch[0])
        for output, value in outputs.items():
            text = f"the output '{output}' of the signature '{name}' must start with the batch, received {value.shape}."
            require(len(value.shape) >= 1 and value.shape[0] == BATCH, text)
        _known(f"the signature '{name}' takes", signature.inputs, inputs | set(signature.reads))
        _known(f"`reads` of the signature '{name}' names the input", signature.reads.values(), inputs)
        _known(f"`gallery` of the signature '{name}' names the output", filter(None, [signature.gallery]), set(outputs))
        read = set(signature.inputs or subject.case.inputs) - set(trial.layer.targets)
        own = {output for output, source in signature.tokens.items() if source in read}
        for words in ("decode", "tokens", "answers"):
            given = getattr(signature, words)
            known = set(outputs) | (own if words == "tokens" else set())
            _known(f"`{words}` of the signature '{name}' names the output", given, known)
            _known(f"`{words}` of the signature '{name}' names the input", given.values(), inputs)


def _known(what: str, names: Iterable[str], known: set[str]) -> None:
    for name in names:
        require(name in known, f"{what} '{name}', which there is not. {suggest(name, sorted(known))}".rstrip())


def check_losses(subject: Subject) -> None:
    """Each loss that is made for it finds its tensors and returns one finite number per example."""
    trial = trial_of(subject)
    case = subject.case
    inputs = dict(trial.batch[1])
    for written in case.losses:
        loss = {"type": written} if isinstance(written, str) else dict(written)
        loaded = subject.catalog.get("loss", loss["type"]).load()
        found = inputs | with_aliases(trial.call(trial.batch, training=True), trial.layer.aliases)
        needed = tensors_of(loaded).items()
        wires = {name: loss.get(name, name) for name, needs in needed if needs or loss.get(name, name) in found}
        _known(f"the loss '{loss['type']}' needs", wires.values(), set(found))
        bound = bind_component(subject.catalog, "loss", loss, leave=("weight", *wires))
        value = loaded(**{name: keras.ops.convert_to_tensor(found[wire]) for name, wire in wires.items()}, **bound.options)
        per_example(value, BATCH, f"the loss '{loss['type']}'")
        finite(value, f"the loss '{loss['type']}' is not finite on the head's outputs.")
