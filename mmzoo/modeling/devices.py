"""Data parallelism: splits a batch over devices and reduces gradients, so that several devices learn what one would."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from mmzoo.errors import TrainingError
from mmzoo.modeling.hardware import FRAMEWORKS, accelerators, has_gpu, models, why_none
from mmzoo.recipe.settings import Train


def find_devices(train: Train) -> list[str]:
    """Returns the names of the GPUs or TPUs that `train.devices` asks for; none for the CPU. Fast, and before any data is read.

    Raises:
        TrainingError: There are fewer than it asks for, or they cannot share a batch evenly.
    """
    found, wanted = accelerators(), train.devices
    if wanted == "cpu":
        found = []
    elif not found and wanted not in ("auto", 1):
        what = f"train.devices is {wanted}, but there is no GPU that {FRAMEWORKS[keras.backend.backend()][0]} finds"
        raise TrainingError(f"{what}; `auto` and `cpu` train on the CPU.\n{why_none()}")
    elif isinstance(wanted, int) and wanted > max(1, len(found)):
        raise TrainingError(f"train.devices is {wanted}, but {len(found)} accelerators were found. Give `auto` or fewer.")
    elif isinstance(wanted, int):
        found = found[:wanted]
    check_shares(f"train.batch_size is {train.batch_size}", train.batch_size, max(1, len(found)), train.grad_cache_chunks)
    return found


def describe_devices(train: Train) -> str:
    """Returns the line of a build that says which devices train. It warns if a GPU is left out that the recipe did not."""
    chosen = find_devices(train)
    if chosen:
        count, kind = len(chosen), chosen[0].strip("/").partition(":")[0].upper()
        return f"train     on {count} {kind}{'s' if count > 1 else ''}: {', '.join(dict.fromkeys(models()[:count]))}"
    cpu = f"on the CPU ({os.cpu_count()} cores)"
    if train.devices == "cpu" or not has_gpu():
        return f"train     {cpu}"
    return f"warning   this machine has a GPU, but training is {cpu}.\n{why_none()}"


@contextlib.contextmanager
def on_devices(train: Train) -> Iterator[int]:
    """Enters the distribution strategy in which a task is assembled and trained; yields the number of devices.

    Raises:
        TrainingError: As in `find_devices`.
    """
    chosen = find_devices(train)
    with _scope(chosen, train.devices == "cpu" and bool(accelerators())):
        yield max(1, len(chosen))


def _scope(chosen: list[str], only_cpu: bool) -> contextlib.AbstractContextManager[Any]:
    """Returns the scope of several devices, or of the CPU beside GPUs. Elsewhere the backend's own choice is right."""
    if len(chosen) < 2 and not only_cpu:
        return contextlib.nullcontext()
    if keras.backend.backend() != "tensorflow":
        return keras.device("cpu") if only_cpu else keras.distribution.DataParallel(devices=chosen).scope()
    import tensorflow as tf

    return (tf.distribute.OneDeviceStrategy("/CPU:0") if only_cpu else tf.distribute.MirroredStrategy(chosen)).scope()


def check_shares(subject: str, examples: int, devices: int, chunks: int) -> None:
    """Checks that all devices get equally many examples of a batch, and all chunks of a device too.

    Args:
        subject: How the message begins: what has the examples, and how many.
        examples: Examples in the batch.
        devices: Number of devices.
        chunks: `train.grad_cache_chunks`.

    Raises:
        TrainingError: The examples cannot be split evenly.
    """
    if examples % (devices * chunks) and chunks == 1:
        raise TrainingError(f"{subject}, which {devices} devices cannot share evenly. Give a multiple of {devices}.")
    if examples % (devices * chunks):
        raise TrainingError(
            f"{subject}, which does not make {chunks} equal chunks (train.grad_cache_chunks) on each of {devices} device"
            f"{'s' if devices > 1 else ''}. Give a multiple of {devices * chunks}."
        )


def replicas() -> int:
    """Counts the replicas, each of which runs the training step on its share of a batch.

    On JAX it is one: a single program sees the whole batch, on whatever number of devices.
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def devices() -> int:
    """Counts the devices that share a batch."""
    distribution = keras.distribution.distribution()
    return replicas() if distribution is None else int(distribution.device_mesh.devices.size)


def on_global_batch(function: Callable[..., Any], tensors: Mapping[str, Any]) -> Any:
    """Computes a function of the global batch, such as a contrastive loss; returns the rows of this replica.

    Args:
        function: Tensors of the global batch -> `(global batch,)`.
        tensors: Tensors of this replica, by parameter. Those with a batch axis are gathered from all replicas, and the gradient
            flows back to them; scalars are the same on every replica.

    Returns:
        `(batch,)`, where batch is the share of this replica.
    """
    if replicas() == 1:
        return function(**tensors)
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:  # outside a replica only shapes are computed
        return function(**tensors)
    size = next(tf.shape(tensor)[0] for tensor in tensors.values() if len(tensor.shape))
    sizes = context.all_gather(size[None], 0)  # shares of a validation batch may differ by one
    first = tf.reduce_sum(sizes[: context.replica_id_in_sync_group])

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def gather(tensor: Any) -> Any:
        def gradient(output_gradients: Any) -> Any:
            own = context.all_reduce(tf.distribute.ReduceOp.SUM, output_gradients)[first : first + size]
            return tf.ensure_shape(own, tensor.shape)

        return tf.ensure_shape(context.all_gather(tensor, 0), (None, *tensor.shape[1:])), gradient

    gathered = {name: gather(tensor) if len(tensor.shape) else tensor for name, tensor in tensors.items()}
    return function(**gathered)[first : first + size]
