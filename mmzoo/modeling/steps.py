"""The training step of each backend: replicas whose gradients are summed, and batches in chunks (GradCache)."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from mmzoo.errors import TrainingError
from mmzoo.modeling.devices import replicas

Tensors = dict[str, Any]


class GradCache(keras.Model):
    """Base class of both backends' training steps: trains on a batch in chunks, with the gradient of the whole batch.

    Source: Gao et al. 2021, arXiv 2101.06983, section 3.2. First the outputs of all chunks are computed, one chunk after the
    other and without a gradient. Then follow the loss and its gradient with respect to the outputs. Then each chunk is computed
    again, now with the gradient. So the memory is that of one chunk, and the gradient is that of the whole batch. Chunk `c` has
    the rows `c, c + chunks, ...`, so that each device has its share of every chunk.
    """

    chunks = 1
    step: Any = None

    def updates(self) -> Any:
        """Returns the number of updates of the weights so far."""
        optimizer = getattr(self, "optimizer", None)
        return self.step if self.step is not None else optimizer.iterations if optimizer else 0

    def train_in_chunks(self, chunks: int, features: Mapping[str, Any]) -> None:
        """Makes training compute each batch in chunks.

        Args:
            chunks: Their number.
            features: Symbolic tensors of the inputs.

        Raises:
            TrainingError: An output has not one row per example.
        """
        two_rows, three_rows = (self._output_specs(features, batch) for batch in (2, 3))
        for name, (shape, _) in two_rows.items():
            if shape and (shape[0], three_rows[name][0]) != (2, (3, *shape[1:])):
                raise TrainingError(
                    f"train.grad_cache_chunks computes a batch in chunks, but the head's output '{name}' is not one row per "
                    "example, so its chunks cannot be joined. Remove the option, or use a head that gives embeddings."
                )
        self.chunks, self.dtypes = chunks, {name: dtype for name, (_, dtype) in two_rows.items()}

    def _output_specs(self, features: Mapping[str, Any], batch: int) -> dict[str, tuple[tuple[int, ...], str]]:
        """Returns the shape and the dtype of each output for a batch size."""
        symbols = {name: keras.KerasTensor((batch, *one.shape[1:]), one.dtype) for name, one in features.items()}
        outputs = self.compute_output_spec(symbols, training=True)
        return {name: (tuple(one.shape), _dtype(one)) for name, one in outputs.items()}

    def _split(self, tensors: Tensors) -> Tensors:
        """Splits tensors `(batch, ...)` into chunks `(chunks, rows, ...)`."""
        rows = {name: ops.reshape(tensor, (-1, self.chunks, *tensor.shape[1:])) for name, tensor in tensors.items()}
        return {name: ops.swapaxes(tensor, 0, 1) for name, tensor in rows.items()}

    def _join(self, tensors: Tensors) -> Tensors:
        """Joins chunks `(chunks, rows, ...)` to tensors `(batch, ...)`; of a scalar output, takes the mean over the chunks."""
        return {name: self._join_one(tensor) for name, tensor in tensors.items()}

    def _join_one(self, tensor: Any) -> Any:
        if len(tensor.shape) == 1:
            return ops.mean(tensor, axis=0) if keras.backend.is_float_dtype(_dtype(tensor)) else tensor[0]
        return ops.reshape(ops.swapaxes(tensor, 0, 1), (-1, *tensor.shape[2:]))

    def _check_no_layer_losses(self, losses: Any) -> None:
        if losses:
            raise TrainingError(
                "train.grad_cache_chunks computes a batch in chunks, but a layer adds a loss of its own (such as a "
                "regularizer), which chunks do not support. Remove one of the two."
            )


def _dtype(tensor: Any) -> str:
    return str(keras.backend.standardize_dtype(tensor.dtype))


class _TensorFlowSteps(GradCache):
    """Sums gradients over the replicas before they are clipped or checked for infinity; Keras does it afterwards."""

    def train_step(self, data: Any) -> Tensors:
        features, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        weights = self.trainable_weights
        compute = self._gradients_in_chunks if self.chunks > 1 else self._gradients
        loss, outputs, gradients = compute(features, weights)
        self._loss_tracker.update_state(loss * replicas(), sample_weight=ops.shape(next(iter(features.values())))[0])
        self.optimizer.apply_gradients(zip(self._reduce(gradients), weights, strict=True))
        return dict(self.compute_metrics(features, None, outputs))

    def _gradients(self, features: Tensors, weights: list[Any]) -> tuple[Any, Tensors, list[Any]]:
        """Returns the loss, the outputs and the gradients of the weights; of the whole batch at once."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            outputs = self(features, training=True)
            loss = self.compute_loss(x=features, y_pred=outputs)
            scaled = self.optimizer.scale_loss(loss)
        return loss, outputs, tape.gradient(scaled, weights)

    def _reduce(self, gradients: list[Any]) -> list[Any]:
        """Sums gradients over the replicas.

        Also sums the rows of an embedding's gradient that belong to one token: Keras would square them one by one.
        """
        import tensorflow as tf

        indices = [index for index, gradient in enumerate(gradients) if gradient is not None]
        dense = [tf.convert_to_tensor(gradients[index]) for index in indices]
        inner = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if replicas() > 1 and getattr(inner, "takes_summed_gradients", False):
            dense = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, dense)
        summed = dict(zip(indices, dense, strict=True))
        return [summed.get(index) for index in range(len(gradients))]

    def _gradients_in_chunks(self, features: Tensors, weights: list[Any]) -> tuple[Any, Tensors, list[Any]]:
        """Returns what `_gradients` returns, computed in chunks."""
        import tensorflow as tf

        chunks, state = self._split(features), [tf.identity(variable.value) for variable in self.non_trainable_variables]
        outputs = self._forward(chunks)
        # The second pass starts from the same state (random generators, running means), so the state changes only once.
        for variable, value in zip(self.non_trainable_variables, state, strict=True):
            variable.assign(value)
        differentiable = {name: value for name, value in outputs.items() if keras.backend.is_float_dtype(_dtype(value))}
        with tf.GradientTape() as tape:
            tape.watch(differentiable)
            loss = self.compute_loss(x=features, y_pred=outputs)
            scaled = self.optimizer.scale_loss(loss)
        output_gradients = tape.gradient(scaled, differentiable, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return loss, outputs, self._backward(chunks, output_gradients, weights)

    def _forward(self, chunks: Tensors) -> Tensors:
        """Computes the outputs chunk by chunk, without a gradient."""
        import tensorflow as tf

        arrays = [tf.TensorArray(dtype, self.chunks) for dtype in self.dtypes.values()]

        def forward(number: Any, *arrays: Any) -> list[Any]:
            outputs = self({name: value[number] for name, value in chunks.items()}, training=True)
            self._check_no_layer_losses(self.losses)
            return [array.write(number, outputs[name]) for array, name in zip(arrays, self.dtypes, strict=True)]

        arrays = self._for_each_chunk(forward, arrays)
        return self._join({name: array.stack() for name, array in zip(self.dtypes, arrays, strict=True)})

    def _backward(self, chunks: Tensors, output_gradients: Tensors, weights: list[Any]) -> list[Any]:
        """Computes the chunks again; returns the gradients of the weights, given those of the outputs."""
        import tensorflow as tf

        scalars = {name: gradient / self.chunks for name, gradient in output_gradients.items() if not len(gradient.shape)}
        batched = self._split({name: gradient for name, gradient in output_gradients.items() if name not in scalars})
        connected: set[int] = set()

        def backward(number: Any, *sums: Any) -> list[Any]:
            with tf.GradientTape() as tape:
                outputs = self({name: value[number] for name, value in chunks.items()}, training=True)
            given = scalars | {name: gradient[number] for name, gradient in batched.items()}
            gradients = tape.gradient({name: outputs[name] for name in given}, weights, output_gradients=given)
            connected.update(index for index, gradient in enumerate(gradients) if gradient is not None)
            return [total if more is None else total + more for total, more in zip(sums, gradients, strict=True)]

        sums = self._for_each_chunk(backward, [tf.zeros(weight.shape, weight.dtype) for weight in weights])
        return [total if index in connected else None for index, total in enumerate(sums)]

    def _for_each_chunk(self, step: Callable[..., list[Any]], state: list[Any]) -> list[Any]:
        """Calls `step(number, *state) -> state` for each chunk, one after the other, so that the memory is that of one."""
        import tensorflow as tf

        if replicas() == 1:
            loop = tf.while_loop(
                lambda number, *_: number < self.chunks,
                lambda number, *state: (number + 1, *step(number, *state)),
                (tf.constant(0), *state),
                parallel_iterations=1,
            )
            return list(loop[1:])
        # Replicas cannot exchange values inside a tf.while_loop, as synchronized batch normalization does.
        for number in range(self.chunks):
            with tf.control_dependencies([getattr(one, "flow", one) for one in state]):
                state = step(number, *state)
        return state


class _JaxSteps(GradCache):
    """Computes the chunks in one `jax.lax.scan` with rematerialisation: only the outputs are kept for the gradient."""

    def compute_loss_and_updates(self, *state: Any, optimizer_variables: Any = None, **options: Any) -> Any:
        if optimizer_variables is not None:
            with keras.StatelessScope(state_mapping=list(zip(self.optimizer.variables, optimizer_variables, strict=True))):
                # The loss is computed in a scope of its own, where the optimizer's variables are not those of this step.
                self.step = ops.convert_to_tensor(self.optimizer.iterations)
        try:
            return super().compute_loss_and_updates(*state, optimizer_variables=optimizer_variables, **options)
        finally:
            self.step = None

    def stateless_call(self, weights: Any, state: Any, features: Tensors, *, training: bool = False, **options: Any) -> Any:
        if not (training and self.chunks > 1):
            return super().stateless_call(weights, state, features, training=training, **options)
        import jax

        call, chunks = super().stateless_call, self._split(features)

        def forward(changing: dict[int, Any], chunk: Tensors) -> tuple[dict[int, Any], Tensors]:
            before = [changing.get(index, value) for index, value in enumerate(state)]
            outputs, after, losses = call(weights, before, chunk, training=True, return_losses=True)
            self._check_no_layer_losses(losses)
            return {index: after[index] for index in changing}, outputs

        # A scan keeps its carry for every chunk. So it carries random state and running means, but not frozen weights.
        changing = {index: state[index] for index in self._changing(call, weights, state, chunks)}
        changing, outputs = jax.lax.scan(jax.checkpoint(forward, prevent_cse=False), changing, chunks)
        return self._join(outputs), [changing.get(index, value) for index, value in enumerate(state)], []

    def _changing(self, call: Callable[..., Any], weights: Any, state: Any, chunks: Tensors) -> list[int]:
        """Returns the indices of the non-trainable variables that a call changes."""
        import jax

        indices: list[int] = []

        def watch(state: list[Any], chunk: Tensors) -> Any:
            outputs, after = call(weights, state, chunk, training=True)
            indices.extend(index for index, value in enumerate(after) if value is not state[index])
            return outputs

        jax.eval_shape(watch, state, {name: value[0] for name, value in chunks.items()})
        return indices


BackendSteps: Any = {"tensorflow": _TensorFlowSteps, "jax": _JaxSteps}[keras.backend.backend()]
"""The base class of `Task`: the training step of the current backend."""
