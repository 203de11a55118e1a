"""Pictures -> the nearest training picture of each, so that a model which copies is found out."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from mmzoo.data.batches import examples_at
from mmzoo.data.splits import Data
from mmzoo.evaluation.neighbours import batch_size, searched


def nearest_pictures(data: Data, name: str, pictures: Sequence[bytes]) -> list[tuple[bytes, float]]:
    """Finds the nearest training picture of each picture, by the pixels as the input's processor reads them.

    Args:
        data: The scanned splits. Of a large training split, every n-th picture is searched.
        name: The input with the pictures.
        pictures: Encoded.

    Returns:
        Of each picture the nearest one, as the processor decodes it, and the root mean square difference of their values as a
        share of the range 0 to 255. Empty if there are no training examples, or if they have several pictures each.
    """
    if not pictures or "train" not in data.raw:
        return []
    processor = data.processors[name]
    queries = np.asarray(processor(tf.constant(pictures)).features)
    flat = _flat(queries)
    best, found = np.full(len(flat), np.inf), queries.copy()
    examples = examples_at(data, "train", searched(data, name)).map(lambda _, example: example[name])
    if data.has_several(name, examples.element_spec):
        return []
    for batch in examples.batch(batch_size(data, name)).as_numpy_iterator():
        table = _flat(batch)
        squares = np.sum(table**2, axis=1) - 2 * flat @ table.T  # less a constant for each query
        place = squares.argmin(axis=1)
        smallest = squares[np.arange(len(flat)), place]
        closer = smallest < best
        best[closer], found[closer] = smallest[closer], batch[place[closer]]
    distances = np.sqrt(np.mean((_flat(found) - flat) ** 2, axis=1))
    return list(zip(processor.decode(tf.constant(found)).numpy().tolist(), distances.tolist(), strict=True))


def _flat(pictures: np.ndarray) -> np.ndarray:
    """Flattens pictures, 0 to 255, to `(batch, numbers)`, 0 to 1."""
    return pictures.reshape(len(pictures), -1).astype("float32") / 255
