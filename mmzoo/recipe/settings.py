"""The keys under `train`, `evaluate` and `export` of a recipe. A new key is a new field here. Light."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from annotated_types import Lt

from mmzoo.contracts.option_types import NonNegativeInt, PositiveFloat, PositiveInt, Rate

Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
BaselineName = Literal["most_frequent", "text_only", "nearest", "single_frame"]


@dataclass(frozen=True, kw_only=True)
class Train:
    """How the task is trained.

    Args:
        epochs: Passes over the training split.
        batch_size: Examples per training step, over all devices. Unlike in Keras, an epoch drops a last batch that is smaller,
            unless it is the only one.
        optimizer: A Keras optimizer: its identifier, or a mapping of `type` and its options. `learning_rate` is a number or, in
            the same form, a Keras learning rate schedule. The `decay_steps` of a schedule default to all training steps after
            its `warmup_steps`. `weight_decay` leaves out biases, scales of normalisation layers and scalars.
        optimizers: Instead of `optimizer`, for a head whose parts are trained against each other: the name of each part and its
            optimizer, as in `{generator: {...}, discriminator: {...}}`. Weights that are in no part go with the first name.
        global_clipnorm: As in Keras: maximum global norm of the gradient, here of the whole batch on all devices. None for no
            clipping.
        gradient_accumulation_steps: As in Keras: steps whose gradients are averaged for one update of the weights. Losses that
            compare examples still see the examples of one step; for these use `grad_cache_chunks`. The steps of a learning rate
            schedule are these steps, batches, and not updates.
        grad_cache_chunks: Chunks in which a batch is encoded, one after the other (GradCache, Gao et al. 2021). The gradient is
            that of the whole batch, the memory that of one chunk, and a step takes about a third longer. For losses that
            compare the examples of a batch. Batch normalisation sees one chunk at a time.
        modality_dropout: Probability that each stream of an example is masked in training; one always stays. So the model
            learns to answer when an input is missing. Needs at least two inputs with an encoder.
        ema_momentum: As in Keras with `use_ema`: momentum of the moving average of the weights. Unlike in Keras it applies per
            update if `gradient_accumulation_steps` is set. The average is validated, evaluated and exported. None for none.
        precision: Keras dtype policy of the layers in training. `export.precision` is that of the trained model.
        jit_compile: As in Keras: whether XLA compiles the training step. `auto` is Keras' choice: with TensorFlow, only
            on a single GPU.
        devices: GPUs to train on by data parallelism: all of them (`gpu`), all of them or else the CPU (`auto`), only the CPU
            (`cpu`), or so many; 1 may be the CPU. Losses, clipping and updates are computed as if one device had the whole
            batch. With TensorFlow, batch normalisation sees one device's share.
        backend: Keras backend of the training. `auto` takes the environment variable KERAS_BACKEND, or else tensorflow.
            Evaluation and export always use TensorFlow.
        patience: As in Keras' EarlyStopping: epochs without a lower validation loss after which training stops. The best
            weights are kept. None to train for all epochs and keep the last weights.
        checkpoint_minutes: Minutes between two checkpoints within an epoch. There is one after each epoch, and when the process
            is asked to end. None for these alone.
        seed: Seed of all random numbers: initial weights, shuffling, dropout, augmentation.
        cache: Whether processed examples are kept in memory. `auto` keeps a split of at most 2 GiB.
        tensorboard: Whether TensorBoard logs are written to the run folder. Needs `pip install 'mmzoo[tensorboard]'`.
    """

    epochs: PositiveInt = 10
    batch_size: PositiveInt = 64
    optimizer: str | dict[str, Any] = field(default_factory=lambda: {"type": "adamw", "learning_rate": 0.001})
    optimizers: dict[str, str | dict[str, Any]] = field(default_factory=dict)
    global_clipnorm: PositiveFloat | None = None
    gradient_accumulation_steps: PositiveInt = 1
    grad_cache_chunks: PositiveInt = 1
    modality_dropout: Rate = 0.0
    ema_momentum: Rate | None = None
    precision: Precision = "float32"
    jit_compile: bool | Literal["auto"] = "auto"
    devices: PositiveInt | Literal["auto", "cpu", "gpu"] = "auto"
    backend: Literal["auto", "tensorflow", "jax"] = "auto"
    patience: PositiveInt | None = None
    checkpoint_minutes: PositiveFloat | None = 10.0
    seed: Annotated[NonNegativeInt, Lt(2**31)] = 0
    cache: bool | Literal["auto"] = "auto"
    tensorboard: bool = False


SAFEKEEPING = ("checkpoint_minutes",)
"""The keys of `train` that change nothing of what is learned."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """How the trained model is evaluated.

    Args:
        baselines: The trivial baselines that are scored beside the model, where they apply; `[]` for none. `most_frequent`
            gives the most frequent answer of the training split. `text_only` gives the most frequent one to the same texts;
            the report names it after these inputs, such as `question_only`. `nearest` answers, or embeds, as the training
            example with the nearest picture, clip or vector, and `single_frame` as the one with the nearest middle frame. Of a
            large split at most 20,000 examples are searched, evenly spaced, and fewer if their features take over 1 GiB.
    """

    baselines: list[BaselineName] = field(default_factory=lambda: [*get_args(BaselineName)])


@dataclass(frozen=True, kw_only=True)
class Export:
    """How the trained model is exported.

    Args:
        version: Number of the version folder, `export/<version>`. A server that watches `export` serves the highest number. It
            does not reload a number that it has loaded, so a new export needs a new number.
        examples: Held-out examples that the exported model must answer as the trained task does; otherwise the export fails.
        precision: Keras dtype policy of the layers when the model is evaluated and served, whatever it was trained with.
    """

    version: PositiveInt = 1
    examples: PositiveInt = 16
    precision: Precision = "float32"
