"""Data parallelism: splits a batch over devices and reduces gradients, so that several devices learn what one would."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from mmzoo.errors import TrainingError
from mmzoo.recipe.settings import Train


@contextlib.contextmanager
def on_devices(train: Train) -> Iterator[int]:
    """Enters the distribution strategy in which a task is assembled and trained; yields the number of devices.

    Raises:
        TrainingError: There are fewer devices than `train.devices`, or a batch cannot be split evenly.
    """
    accelerators = _accelerators()
    count = max(1, len(accelerators)) if train.devices == "auto" else train.devices
    if count > max(1, len(accelerators)):
        raise TrainingError(f"train.devices is {count}, but {len(accelerators)} accelerators were found. Give `auto` or fewer.")
    check_shares(f"train.batch_size is {train.batch_size}", train.batch_size, count, train.grad_cache_chunks)
    if count == 1:
        yield 1
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(accelerators[:count]).scope():
            yield count
    else:
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=accelerators[:count]))
        yield count


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


def _accelerators() -> list[str]:
    """Lists the names of the GPUs or TPUs, as the backend names them."""
    if keras.backend.backend() != "tensorflow":
        return [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]
    import tensorflow as tf

    return [device.name.replace("physical_device:", "") for device in tf.config.list_physical_devices("GPU")]


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
