"""How a task is trained and exported: the keys under `train` and `export`. A new one is a field here. Light."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Lt

from mmzoo.contracts.option_types import NonNegativeInt, PositiveFloat, PositiveInt, Rate


@dataclass(frozen=True, kw_only=True)
class Train:
    """How the task is trained.

    Args:
        epochs: Passes over the training split.
        batch_size: Examples per step, over all devices.
        optimizer: A Keras optimizer by its identifier, with its options. `learning_rate` may be a Keras schedule by
            its identifier; a schedule's `decay_steps` left out is the number of steps of the whole training.
            `weight_decay` spares biases, gains and single numbers.
        global_clipnorm: Largest global norm of the gradient.
        gradient_accumulation_steps: Steps whose gradients are averaged before one update.
        grad_cache_chunks: Parts of a batch that are encoded one after the other, and again once the loss of the whole
            batch is known: the memory of one part and the gradient of the whole for a third more time. For losses that compare
            the examples of a batch. Batch normalisation sees one part at a time.
        modality_dropout: How likely each stream of an example is left out in training, never all of them, so that the model
            learns to answer without one. For recipes that encode several inputs.
        ema_momentum: Momentum of the moving average of the weights that is evaluated and exported; none by default.
        precision: Keras dtype policy of the layers.
        jit_compile: Compile the step with XLA; `auto` leaves it to Keras (off on a CPU).
        devices: How many GPUs to train on; `auto` takes all there are, or the CPU. Losses, clipping and updates are
            those of one device with the whole batch; batch normalisation sees each device's share.
        backend: Keras backend to train on; evaluation and export are always TensorFlow's. `auto` is KERAS_BACKEND or
            tensorflow.
        patience: Stop after so many epochs without a better validation loss and keep the best weights; never by default.
        seed: Of everything drawn at random.
        cache: Keep the processed examples in memory; `auto` does so up to 2 GiB.
        tensorboard: Write TensorBoard logs to the run; needs `pip install 'mmzoo[tensorboard]'`.
    """

    epochs: PositiveInt = 10
    batch_size: PositiveInt = 64
    optimizer: str | dict[str, Any] = field(default_factory=lambda: {"type": "adamw", "learning_rate": 0.001})
    global_clipnorm: PositiveFloat | None = None
    gradient_accumulation_steps: PositiveInt = 1
    grad_cache_chunks: PositiveInt = 1
    modality_dropout: Rate = 0.0
    ema_momentum: Rate | None = None
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    jit_compile: bool | Literal["auto"] = "auto"
    devices: PositiveInt | Literal["auto"] = "auto"
    backend: Literal["auto", "tensorflow", "jax"] = "auto"
    patience: PositiveInt | None = None
    seed: Annotated[NonNegativeInt, Lt(2**31)] = 0
    cache: bool | Literal["auto"] = "auto"
    tensorboard: bool = False


@dataclass(frozen=True, kw_only=True)
class Export:
    """How the trained model is exported.

    Args:
        version: Number of the version folder, `export/<version>`. A server that watches the folder answers with the newest
            number, and reads a number once: what is exported again under the same one it does not see.
        examples: How many held-out examples the exported model must answer as the task does before it counts.
    """

    version: PositiveInt = 1
    examples: PositiveInt = 16
