"""The optimizer of a training: one of Keras', extended for gradients summed over replicas and for frozen encoders."""

from typing import Any

from mmzoo.modeling.devices import replicas
from mmzoo.recipe.optimizer_options import bind_optimizer
from mmzoo.recipe.settings import Train


def make_optimizer(train: Train, steps: int) -> Any:
    """Makes the Keras optimizer of a plan.

    Args:
        train: The plan's settings, whose optimizer has been checked.
        steps: Steps of the whole training, for schedules; see `bind_optimizer`.
    """
    optimizer, options = bind_optimizer(train, steps)
    return type(optimizer.__name__, (OptimizerMixin, optimizer), {})(**options)


_Optimizer: Any = object  # Any, so that type checkers accept the methods of Keras' optimizers on `super()`


class OptimizerMixin(_Optimizer):
    """Mixed into each of Keras' optimizers.

    Takes gradients that are already summed over the replicas. So it clips the gradient of the global batch; Keras' own
    optimizers clip the gradient of each replica and then sum. And it leaves frozen variables as they are.
    """

    takes_summed_gradients = True
    gradient_accumulation_steps: Any
    use_ema: Any
    frozen_ids: frozenset[int] = frozenset()
    """The `id()` of each frozen variable, which gets neither updates nor weight decay."""

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Updates the variables that are not frozen; the parameters are Keras'."""
        variables = self._trainable_variables if trainable_variables is None else trainable_variables
        pairs = [(grad, one) for grad, one in zip(grads, variables, strict=True) if id(one) not in self.frozen_ids]
        super().apply([grad for grad, _ in pairs], [one for _, one in pairs])

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[Any]:
        return list(grads_and_vars)

    def _backend_apply_gradients(self, grads: list[Any], trainable_variables: list[Any]) -> None:
        if self.gradient_accumulation_steps and replicas() > 1:
            self._accumulate(grads, trainable_variables)
        else:
            super()._backend_apply_gradients(grads, trainable_variables)

    def _accumulate(self, grads: list[Any], variables: list[Any]) -> None:
        """Accumulates gradients as Keras does, but decides in the cross-replica context whether this step updates.

        Keras decides in each replica, inside a `tf.cond`, where replicas cannot wait for each other.
        """
        import tensorflow as tf

        steps, use_ema, apply = self.gradient_accumulation_steps, self.use_ema, super()._backend_apply_gradients
        sums = [self._accumulated_gradients[self._get_variable_index(one)] for one in variables]

        def update(*grads: Any) -> None:
            self.gradient_accumulation_steps, self.use_ema = None, False
            apply([(total + grad) / steps for total, grad in zip(sums, grads, strict=True)], variables)
            self.gradient_accumulation_steps, self.use_ema = steps, use_ema
            add(*[-tf.convert_to_tensor(total) for total in sums])

        def add(*grads: Any) -> None:
            self._backend_increment_gradient_accumulators(list(grads), sums)

        def decide(strategy: Any, *grads: Any) -> None:
            each = strategy.extended.call_for_each_replica
            is_last = (self._iterations + 1) % steps == 0
            tf.cond(is_last, lambda: each(update, args=grads), lambda: each(add, args=grads))

        tf.distribute.get_replica_context().merge_call(decide, args=tuple(grads))
        if use_ema:
            self._update_model_variables_moving_average(self._trainable_variables)
