"""Several devices: how a batch is shared among them, and how one is as good as many."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from mmzoo.errors import TrainingError
from mmzoo.recipe.settings import Train


@contextlib.contextmanager
def on_devices(train: Train) -> Iterator[int]:
    """Enters the strategy under which the task is assembled and trained; gives the number of devices.

    Raises:
        TrainingError: More devices are asked for than there are.
    """
    found = _accelerators()
    wanted = max(1, len(found)) if train.devices == "auto" else train.devices
    if wanted > max(1, len(found)):
        raise TrainingError(f"train.devices is {wanted}, but {len(found)} accelerators are here. Give `auto` or fewer.")
    check_shares(f"train.batch_size is {train.batch_size}", train.batch_size, wanted, train.grad_cache_chunks)
    if wanted == 1:
        yield 1
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(found[:wanted]).scope():
            yield wanted
    else:
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=found[:wanted]))
        yield wanted


def check_shares(what: str, examples: int, devices: int, parts: int) -> None:
    """Holds that devices, and the parts of each one's share, get equally many examples.

    Args:
        what: How the message begins: what holds the examples, and how many it holds.
        examples: In a batch.
        devices: How many.
        parts: `train.grad_cache_chunks`.

    Raises:
        TrainingError: They do not.
    """
    if examples % (devices * parts) and parts == 1:
        raise TrainingError(f"{what}, which {devices} devices cannot share evenly. Give a multiple of {devices}.")
    if examples % (devices * parts):
        raise TrainingError(
            f"{what}, which does not make {parts} equal parts (train.grad_cache_chunks) on each of {devices} device"
            f"{'s' if devices > 1 else ''}. Give a multiple of {devices * parts}."
        )


def _accelerators() -> list[str]:
    if keras.backend.backend() != "tensorflow":
        return [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]
    import tensorflow as tf

    return [device.name.replace("physical_device:", "") for device in tf.config.list_physical_devices("GPU")]


def replicas() -> int:
    """Counts the devices that each run the step on their share of a batch; on JAX one program sees the whole batch."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def devices() -> int:
    """Counts the devices that share a batch."""
    distribution = keras.distribution.distribution()
    return replicas() if distribution is None else int(distribution.device_mesh.devices.size)


def on_global_batch(function: Callable[..., Any], tensors: Mapping[str, Any]) -> Any:
    """Computes what compares the examples of a batch on the shares of all devices together; gives this device's rows.

    Args:
        function: Tensors -> `(batch,)`.
        tensors: Those with an axis are gathered, with their gradient; single numbers are the same on every device.
    """
    if replicas() == 1:
        return function(**tensors)
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:  # shapes alone are asked for
        return function(**tensors)
    size = next(tf.shape(tensor)[0] for tensor in tensors.values() if len(tensor.shape))
    sizes = context.all_gather(size[None], 0)  # held-out batches may differ by one
    first = tf.reduce_sum(sizes[: context.replica_id_in_sync_group])

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def gathered(tensor: Any) -> Any:
        def gradient(output_gradients: Any) -> Any:
            own = context.all_reduce(tf.distribute.ReduceOp.SUM, output_gradients)[first : first + size]
            return tf.ensure_shape(own, tensor.shape)

        return tf.ensure_shape(context.all_gather(tensor, 0), (None, *tensor.shape[1:])), gradient

    whole = {name: gathered(tensor) if len(tensor.shape) else tensor for name, tensor in tensors.items()}
    return function(**whole)[first : first + size]
