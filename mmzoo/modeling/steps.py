"""What a training step does beside Keras' own: batches over several devices and batches in parts, for each backend."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
from keras import ops

from mmzoo.errors import TrainingError
from mmzoo.modeling.devices import replicas

Tensors = dict[str, Any]


@contextlib.contextmanager
def frozen(layer: keras.layers.Layer) -> Iterator[None]:
    """Makes a layer and those in it untrainable for one call, which is what batch normalisation looks at."""
    before = [(one, one.trainable) for one in layer._flatten_layers()]
    layer.trainable = False
    try:
        yield
    finally:
        for one, trainable in before:  # a layer stands before those in it
            one.trainable = trainable


class GradCache(keras.Model):
    """What both backends share.

    A batch in parts is what Gao et al. 2021 (arXiv 2101.06983, section 3.2) call a gradient cache: the outputs of all parts
    are computed one part after the other and without their gradient, then the loss and its gradient with respect to the
    outputs, then each part again, now with the gradient. So the memory is that of one part and the gradient is that of the
    whole batch. Part p holds the rows p, p + parts, ..., so that each device has its share of every part.
    """

    parts = 1
    step: Any = None

    def updates(self) -> Any:
        """Counts the updates of the weights so far."""
        optimizer = getattr(self, "optimizer", None)
        return self.step if self.step is not None else optimizer.iterations if optimizer else 0

    def train_in_chunks(self, parts: int, features: Mapping[str, Any]) -> None:
        """Has each batch of the training encoded in parts.

        Args:
            parts: How many.
            features: Symbols of the inputs.

        Raises:
            TrainingError: An output is not one row per example.
        """
        some, more = (self._shapes(features, batch) for batch in (2, 3))
        for name, (shape, _) in some.items():
            if shape and (shape[0], more[name][0]) != (2, (3, *shape[1:])):
                raise TrainingError(
                    f"train.grad_cache_chunks encodes a batch in parts, but the head's output '{name}' is not one row per "
                    "example: it cannot be put together from parts. Remove the option, or use a head that gives embeddings."
                )
        self.parts, self.dtypes = parts, {name: dtype for name, (_, dtype) in some.items()}

    def _shapes(self, features: Mapping[str, Any], batch: int) -> dict[str, tuple[tuple[int, ...], str]]:
        symbols = {name: keras.KerasTensor((batch, *one.shape[1:]), one.dtype) for name, one in features.items()}
        outputs = self.compute_output_spec(symbols, training=True)
        return {name: (tuple(one.shape), _dtype(one)) for name, one in outputs.items()}

    def _split(self, tensors: Tensors) -> Tensors:
        """Cuts `(batch, ...)` into `(parts, rows, ...)`."""
        rows = {name: ops.reshape(tensor, (-1, self.parts, *tensor.shape[1:])) for name, tensor in tensors.items()}
        return {name: ops.swapaxes(tensor, 0, 1) for name, tensor in rows.items()}

    def _merge(self, tensors: Tensors) -> Tensors:
        """Undoes `_split`; of an output that is one number, takes the mean over the parts."""
        return {name: self._merge_one(tensor) for name, tensor in tensors.items()}

    def _merge_one(self, tensor: Any) -> Any:
        if len(tensor.shape) == 1:
            return ops.mean(tensor, axis=0) if keras.backend.is_float_dtype(_dtype(tensor)) else tensor[0]
        return ops.reshape(ops.swapaxes(tensor, 0, 1), (-1, *tensor.shape[2:]))

    def _refuse_losses(self, losses: Any) -> None:
        if losses:
            raise TrainingError(
                "train.grad_cache_chunks encodes a batch in parts, but a layer adds a loss of its own (such as a "
                "regularizer), which has no place there. Leave one of the two out."
            )


def _dtype(tensor: Any) -> str:
    return str(keras.backend.standardize_dtype(tensor.dtype))


class _TensorFlowSteps(GradCache):
    """Sums gradients over the devices before they are clipped or found infinite, where Keras does so afterwards."""

    def train_step(self, data: Any) -> Tensors:
        features, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        weights = self.trainable_weights
        loss, outputs, gradients = (self._in_parts if self.parts > 1 else self._at_once)(features, weights)
        self._loss_tracker.update_state(loss * replicas(), sample_weight=ops.shape(next(iter(features.values())))[0])
        self.optimizer.apply_gradients(zip(self._summed(gradients), weights, strict=True))
        return dict(self.compute_metrics(features, None, outputs))

    def _at_once(self, features: Tensors, weights: list[Any]) -> tuple[Any, Tensors, list[Any]]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            outputs = self(features, training=True)
            loss = self.compute_loss(x=features, y_pred=outputs)
            scaled = self.optimizer.scale_loss(loss)
        return loss, outputs, tape.gradient(scaled, weights)

    def _summed(self, gradients: list[Any]) -> list[Any]:
        """Sums over the devices, and over the rows of an embedding that occur several times, which Keras squares one by one."""
        import tensorflow as tf

        found = [index for index, gradient in enumerate(gradients) if gradient is not None]
        dense = [tf.convert_to_tensor(gradients[index]) for index in found]
        inner = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if replicas() > 1 and getattr(inner, "takes_summed_gradients", False):
            dense = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, dense)
        summed = dict(zip(found, dense, strict=True))
        return [summed.get(index) for index in range(len(gradients))]

    def _in_parts(self, features: Tensors, weights: list[Any]) -> tuple[Any, Tensors, list[Any]]:
        import tensorflow as tf

        parts, state = self._split(features), [tf.identity(variable.value) for variable in self.non_trainable_variables]
        outputs = self._outputs(parts)
        # What changes while outputs are computed (random numbers drawn, running means) begins again: it changes once.
        for variable, value in zip(self.non_trainable_variables, state, strict=True):
            variable.assign(value)
        output_gradients = {name: value for name, value in outputs.items() if keras.backend.is_float_dtype(_dtype(value))}
        with tf.GradientTape() as tape:
            tape.watch(output_gradients)
            loss = self.compute_loss(x=features, y_pred=outputs)
            scaled = self.optimizer.scale_loss(loss)
        output_gradients = tape.gradient(scaled, output_gradients, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return loss, outputs, self._weighed(parts, output_gradients, weights)

    def _outputs(self, parts: Tensors) -> Tensors:
        """Computes the outputs part by part."""
        import tensorflow as tf

        kept = [tf.TensorArray(dtype, self.parts) for dtype in self.dtypes.values()]

        def encode(number: Any, *kept: Any) -> list[Any]:
            outputs = self({name: value[number] for name, value in parts.items()}, training=True)
            self._refuse_losses(self.losses)
            return [array.write(number, outputs[name]) for array, name in zip(kept, self.dtypes, strict=True)]

        kept = self._one_by_one(encode, kept)
        return self._merge({name: array.stack() for name, array in zip(self.dtypes, kept, strict=True)})

    def _weighed(self, parts: Tensors, output_gradients: Tensors, weights: list[Any]) -> list[Any]:
        """Encodes part by part again; gives the gradient of the loss, whose gradient for each output is known."""
        import tensorflow as tf

        single = {name: gradient / self.parts for name, gradient in output_gradients.items() if not len(gradient.shape)}
        many = self._split({name: gradient for name, gradient in output_gradients.items() if name not in single})
        connected: set[int] = set()

        def encode(number: Any, *sums: Any) -> list[Any]:
            with tf.GradientTape() as tape:
                outputs = self({name: value[number] for name, value in parts.items()}, training=True)
            output_gradients = single | {name: gradient[number] for name, gradient in many.items()}
            found = tape.gradient(
                {name: outputs[name] for name in output_gradients}, weights, output_gradients=output_gradients
            )
            connected.update(index for index, gradient in enumerate(found) if gradient is not None)
            return [total if more is None else total + more for total, more in zip(sums, found, strict=True)]

        sums = self._one_by_one(encode, [tf.zeros(weight.shape, weight.dtype) for weight in weights])
        return [total if index in connected else None for index, total in enumerate(sums)]

    def _one_by_one(self, step: Callable[..., list[Any]], state: list[Any]) -> list[Any]:
        """Changes the state once for each part; a part waits for the one before it, so that the memory is that of one."""
        import tensorflow as tf

        if replicas() == 1:
            loop = tf.while_loop(
                lambda number, *_: number < self.parts,
                lambda number, *state: (number + 1, *step(number, *state)),
                (tf.constant(0), *state),
                parallel_iterations=1,
            )
            return list(loop[1:])
        for number in range(self.parts):  # several devices cannot meet, as batch normalisation lets them, within a loop
            with tf.control_dependencies([getattr(one, "flow", one) for one in state]):
                state = step(number, *state)
        return state


class _JaxSteps(GradCache):
    """Encodes the parts in one scan that keeps nothing but the outputs for the gradient."""

    def compute_loss_and_updates(self, *state: Any, optimizer_variables: Any = None, **options: Any) -> Any:
        if optimizer_variables is not None:
            with keras.StatelessScope(state_mapping=list(zip(self.optimizer.variables, optimizer_variables, strict=True))):
                self.step = ops.convert_to_tensor(self.optimizer.iterations)  # the loss, in a scope of its own, cannot see it
        try:
            return super().compute_loss_and_updates(*state, optimizer_variables=optimizer_variables, **options)
        finally:
            self.step = None

    def stateless_call(self, weights: Any, state: Any, features: Tensors, *, training: bool = False, **options: Any) -> Any:
        if not (training and self.parts > 1):
            return super().stateless_call(weights, state, features, training=training, **options)
        import jax

        call, parts = super().stateless_call, self._split(features)

        def encode(moved: dict[int, Any], part: Tensors) -> tuple[dict[int, Any], Tensors]:
            before = [moved.get(index, value) for index, value in enumerate(state)]
            outputs, after, losses = call(weights, before, part, training=True, return_losses=True)
            self._refuse_losses(losses)
            return {index: after[index] for index in moved}, outputs

        # What a scan carries it keeps of every part: the random state and running means, not weights that are not trained.
        moved = {index: state[index] for index in self._moving(call, weights, state, parts)}
        moved, outputs = jax.lax.scan(jax.checkpoint(encode, prevent_cse=False), moved, parts)
        return self._merge(outputs), [moved.get(index, value) for index, value in enumerate(state)], []

    def _moving(self, call: Callable[..., Any], weights: Any, state: Any, parts: Tensors) -> list[int]:
        """Finds which of the untrained variables a call changes."""
        import jax

        found: list[int] = []

        def watch(state: list[Any], part: Tensors) -> Any:
            outputs, after = call(weights, state, part, training=True)
            found.extend(index for index, value in enumerate(after) if value is not state[index])
            return outputs

        jax.eval_shape(watch, state, {name: value[0] for name, value in parts.items()})
        return found


Steps: Any = {"tensorflow": _TensorFlowSteps, "jax": _JaxSteps}[keras.backend.backend()]
"""What a task is beside its parts."""
