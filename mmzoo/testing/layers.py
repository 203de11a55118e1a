"""The properties of encoders, fusions and heads."""

import inspect
import json
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from mmzoo.contracts.head import Signature
from mmzoo.contracts.streams import check_stream, describe, without_absent
from mmzoo.recipe.plan import BoundComponent
from mmzoo.testing.cases import EncoderCase, FusionCase, HeadCase
from mmzoo.testing.subject import ConformanceError, Subject, require, shared
from mmzoo.testing.tensors import PADDING, batch_of, finite, named, numbers, same, streams_of
from mmzoo.training.process import configure, unchanged

SEED = 1


class Trial:
    """A new, built layer and a batch of its inputs. Properties share one where they can, since Keras is slow to make layers.

    Args:
        subject: A case of a layer.
    """

    def __init__(self, subject: Subject):
        keras.utils.set_random_seed(SEED)
        self.case = subject.case
        self.layer = _make(subject)
        self.batch = _batch(self.case, self.layer)
        self.call(self.batch)
        self.state = [variable.numpy() for variable in self.layer.non_trainable_variables]

    def call(self, batch: Any, training: bool = False) -> Any:
        """Calls the layer as a task does."""
        return self.layer(*batch, training=training)

    def restore(self) -> None:
        """Sets the state, such as that of random numbers, to what it was after the first call."""
        for variable, value in zip(self.layer.non_trainable_variables, self.state, strict=True):
            variable.assign(value)

    def answers(self, batch: Any) -> Any:
        """Returns what is served: the answers of a head by signature, the streams of another layer."""
        if not isinstance(self.case, HeadCase):
            return self.call(batch)
        return {name: self.answer(one, batch[0]) for name, one in self.layer.signatures().items()}

    def answer(self, signature: Signature, streams: Any) -> Any:
        """Returns a signature's answer to its streams, with a gallery of other examples if it searches one."""
        taken = {signature.reads.get(name, name) for name in signature.inputs}
        seen = {name: value for name, value in streams.items() if not taken or name in taken or name not in self.case.inputs}
        rows = keras.ops.shape(next(iter(seen.values()))["mask"])[0]
        seed = {"seed": keras.ops.full((rows,), SEED, dtype="int64")} if signature.seed else {}
        return signature.answer(seen, *([self.entries()] if signature.gallery else []), **seed)

    def entries(self) -> Any:
        """Returns embeddings for a gallery, `(entries, dim)`: those of the trial's own batch in reverse order."""
        wanted = self.layer.gallery
        require(wanted is not None, "a signature names `gallery`, but the head's property `gallery` says nothing of one.")
        found = self.answer(self.layer.signatures()[wanted.signature], self.batch[0])
        require(
            wanted.output in found, f"its gallery is made of the output '{wanted.output}', which there is not: {sorted(found)}."
        )
        return keras.ops.flip(found[wanted.output], axis=0)

    def everything(self, batch: Any) -> Any:
        """Returns the outputs of training and of serving, always with the same random numbers."""
        self.restore()
        called = self.call(batch)
        return {"call": called, "answers": self.answers(batch) if isinstance(self.case, HeadCase) else called}

    @cached_property
    def usual(self) -> Any:
        """What `everything` returns for the trial's own batch."""
        return self.everything(self.batch)


_built = shared(Trial)


def trial_of(subject: Subject) -> Trial:
    """Returns the trial that the properties of a case share, in the state after its first call."""
    trial = _built(subject)
    trial.restore()
    return trial


@shared
def _symbolic(subject: Subject) -> tuple[Any, Any, Any]:
    """Returns a new layer that is first called on symbolic tensors, these tensors, and its outputs."""
    layer, inputs = _make(subject), _symbols(trial_of(subject).batch)
    return layer, inputs, layer(*inputs, training=False)


def _make(subject: Subject) -> Any:
    case = subject.case
    known = {name: dict(value) for name, value in getattr(case, "inputs", {}).items()}
    return subject.bound.make(features=getattr(case, "reads", None), inputs=known, backbone_config=None)


def _batch(case: Any, layer: Any) -> list[Any]:
    rng = np.random.default_rng(SEED)
    if isinstance(case, EncoderCase):
        return [batch_of(case.reads, rng)]
    streams = streams_of(case.streams, rng)
    if isinstance(case, FusionCase):
        return [streams]
    missing = [name for name in layer.targets if name not in case.inputs]
    require(not missing, f"its targets {missing} are no inputs; the case's are {sorted(case.inputs)}.")
    return [streams, {name: batch_of(case.inputs[name], rng) for name in layer.targets}]


def _symbols(batch: Any) -> Any:
    return tree.map_structure(lambda array: keras.Input(array.shape[1:], dtype=array.dtype.name), batch)


def check_config(subject: Subject) -> None:
    """Every option is in `get_config`, which is JSON and recreates the same layer."""
    layer = trial_of(subject).layer
    config = layer.get_config()
    for name, value in subject.bound.options.items():
        if isinstance(value, BoundComponent):
            continue  # what makes a part of it is no JSON
        require(name in config, f"get_config leaves out the option '{name}'. Leave get_config to Keras, or give all options.")
        require(config[name] == value, f"get_config gives {config[name]!r} for the option '{name}', which is {value!r}.")
    try:
        json.dumps(config)
    except TypeError as error:
        raise ConformanceError(f"get_config gives what JSON cannot hold: {error}.") from error
    with _known(layer):
        again = type(layer).from_config(config).get_config()
    require(again == config, f"from_config(get_config()) makes another layer: {again}, not {config}.")


def check_shapes(subject: Subject) -> None:
    """Symbolic tensors have the shapes and types of real ones."""
    _check_shapes(trial_of(subject), _symbolic(subject)[-1])


def _check_shapes(trial: Trial, outputs: Any) -> None:
    promised, given = dict(named(outputs)), dict(named(_checked(trial, trial.usual["call"])))
    require(set(promised) == set(given), f"symbolic tensors give {sorted(promised)}, real ones {sorted(given)}.")
    for name, value in given.items():
        text = f"'{name}' is {describe(promised[name])} on symbolic tensors and {describe(value)} on real ones."
        require(_fits(promised[name], value), text)


def _checked(trial: Trial, gives: Any) -> Any:
    if not isinstance(trial.case, HeadCase):
        for name, stream in gives.items() if isinstance(trial.case, FusionCase) else [("", gives)]:
            check_stream(stream, f"the {trial.case.kind} '{trial.case.name}'" + (f", for '{name}'," if name else ""))
    return gives


def _fits(promised: Any, given: Any) -> bool:
    sizes = zip(promised.shape, given.shape, strict=False)
    alike = len(promised.shape) == len(given.shape) and all(size in (None, real) for size, real in sizes)
    return alike and keras.backend.standardize_dtype(promised.dtype) == keras.backend.standardize_dtype(given.dtype)


def check_mask(subject: Subject) -> None:
    """Masked tokens, missing frames and more padding of a text change nothing."""
    trial = trial_of(subject)
    if isinstance(trial.case, EncoderCase):
        (_check_missing if "mask" in trial.case.reads else _check_padding)(trial)
        return
    changed = {name: stream | {"tokens": _disturbed(stream)} for name, stream in trial.batch[0].items()}
    text = "the values of masked tokens change {name}. Mask attention, means and sums; `mmzoo.pool` averages real tokens."
    same(trial.usual, trial.everything([changed, *trial.batch[1:]]), text)


def _disturbed(stream: Any) -> Any:
    noise = np.random.default_rng(SEED + 1).normal(size=stream["tokens"].shape) * 10
    return (stream["tokens"] + noise * ~stream["mask"][..., None]).astype("float32")


def _check_padding(trial: Trial) -> None:
    ids = trial.batch[0]
    whole, less = numbers(trial.usual["call"]), numbers(trial.call([ids[:, :-PADDING]]))
    kept = {name: value[:, : less[name].shape[1]] for name, value in whole.items()}
    require(not whole["mask"][:, less["mask"].shape[1] :].any(), "the mask says that padding is real; it must be ids != PAD.")
    same(kept, less, "{name} depends on how much padding follows a text. Mask attention, means and sums.")


def _check_missing(trial: Trial) -> None:
    known, rng = trial.case.reads, np.random.default_rng(SEED + 1)
    there = rng.random((len(trial.batch[0]), *known["mask"])) < 0.5
    there[:3] = True
    there[1], there[2, ::2] = False, False  # so there are examples of which all is there, nothing, and something
    require(
        "padding_mask" in inspect.signature(trial.layer.call).parameters,
        "its call takes no `padding_mask`, which says what is missing.",
    )
    spread = there.reshape(there.shape + (1,) * (trial.batch[0].ndim - there.ndim))
    disturbed = np.where(spread, trial.batch[0], batch_of(known, rng))
    given, other = (without_absent(trial.layer(one, padding_mask=there), there) for one in (trial.batch[0], disturbed))
    same(given, other, "{name} depends on what stands in the place of a missing part. Put zeros there, and mask it.")
    finite(given, "{name} is not finite for an example of which nothing is there. Divide by at least 1.")


def check_absent(subject: Subject) -> None:
    """The result is finite for examples in which a stream is absent, which means fully masked."""
    trial = trial_of(subject)
    for name, stream in trial.batch[0].items():
        mask = stream["mask"].copy()
        mask[::2] = False
        without = {**trial.batch[0], name: stream | {"mask": mask}}
        text = f"{{name}} is not finite for examples without the stream '{name}'. Divide by at least 1; mask logits."
        finite(trial.everything([without, *trial.batch[1:]]), text)


def check_batch(subject: Subject) -> None:
    """An example's result is the same alone and among others."""
    trial = trial_of(subject)
    among = tree.map_structure(lambda array: array[1:2], numbers(trial.usual["answers"]))
    alone = trial.answers(tree.map_structure(lambda array: array[1:2], trial.batch))
    text = "{name} of an example depends on the other examples of its batch. Normalise over axes other than the first."
    same(among, alone, text)


def check_deterministic(subject: Subject) -> None:
    """Inference returns the same twice."""
    trial = trial_of(subject)
    text = "{name} differs from one call to the next in inference. Heed `training`; draw with a fixed seed."
    same(trial.answers(trial.batch), trial.answers(trial.batch), text, tolerance=0)


def check_gradients(subject: Subject) -> None:
    """Every trainable weight gets a finite gradient."""
    _check_gradients(trial_of(subject))


def _check_gradients(trial: Trial) -> None:
    rng = np.random.default_rng(SEED)
    with tf.GradientTape() as tape:
        outputs = [value for _, value in named(trial.call(trial.batch, training=True)) if _is_float(value)]
        total = sum(tf.reduce_sum(tf.cast(value, tf.float32) * rng.normal(size=value.shape)) for value in outputs)
    weights = trial.layer.trainable_variables
    for weight, gradient in zip(weights, tape.gradient(total, [weight.value for weight in weights]), strict=True):
        require(gradient is not None, f"the weight '{weight.path}' gets no gradient. Remove it, or set it not trainable.")
        finite(tf.convert_to_tensor(gradient), f"the gradient of the weight '{weight.path}' is not finite.")


def _is_float(value: Any) -> bool:
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(value.dtype))


def check_keras_file(subject: Subject) -> None:
    """A layer reloaded from a `.keras` file gives the same results."""
    layer, inputs, outputs = _symbolic(subject)
    batch = trial_of(subject).batch
    with tempfile.TemporaryDirectory() as folder, _known(layer):
        keras.Model(inputs, outputs).save(Path(folder) / "model.keras")
        again = keras.models.load_model(Path(folder) / "model.keras")
    text = "{name} is another after reloading from a .keras file. Make every weight in build or call."
    same(layer(*batch, training=False), again(batch), text)


def _known(layer: Any) -> Any:
    """Registers the class of a layer and of its inner layers, as is necessary to load a file."""
    inside = [type(one) for one in layer._flatten_layers() if not type(one).__module__.startswith("keras.")]
    return keras.saving.custom_object_scope({one.__name__: one for one in inside})


def check_saved_model(subject: Subject) -> None:
    """A SavedModel gives the same answers."""
    trial = trial_of(subject)
    module = tf.Module()
    module.weights = [variable.value for variable in trial.layer.variables]
    specs = tree.map_structure(lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), trial.batch)
    module.answer = tf.function(lambda *batch: trial.answers(list(batch)), input_signature=specs, autograph=False)
    no_saver = tf.saved_model.SaveOptions(experimental_skip_saver=True)  # only sessions of TensorFlow 1 need one
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, options=no_saver)
        again = tf.saved_model.load(folder)
        found = again.answer(*tree.map_structure(tf.constant, trial.batch))
    same(trial.usual["answers"], found, "{name} is another after reloading from a SavedModel. Use `keras.ops` alone.")


def check_mixed_precision(subject: Subject) -> None:
    """It trains and answers in `mixed_bfloat16` with finite numbers."""
    with unchanged():
        configure("mixed_bfloat16")
        trial = Trial(subject)
        _check_shapes(trial, trial.call(_symbols(trial.batch)))
        finite(trial.usual, "{name} is not finite in mixed_bfloat16.")
        _check_gradients(trial)
