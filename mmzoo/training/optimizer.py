"""Makes the optimizer of a training: Keras' own, for gradients that are already summed over devices and for frozen encoders."""

from typing import Any

from mmzoo.modeling.devices import replicas
from mmzoo.recipe.optimizer_options import bind_optimizer
from mmzoo.recipe.settings import Train


def make_optimizer(train: Train, steps: int) -> Any:
    """Makes the Keras optimizer of a plan.

    Args:
        train: The plan's settings; its optimizer has been checked.
        steps: Steps of the whole training; `bind_optimizer` says what they are for.
    """
    known, options = bind_optimizer(train, steps)
    return type(known.__name__, (ReplicaOptimizer, known), {})(**options)


_Optimizer: Any = object


class ReplicaOptimizer(_Optimizer):
    """Mixed into each of Keras' optimizers.

    It takes gradients that are summed over the devices already, so that it clips what one device would have had of the whole
    batch; Keras' own clip each device's share and sum these. And it leaves weights that are held still as they are.
    """

    takes_summed_gradients = True
    gradient_accumulation_steps: Any
    use_ema: Any
    frozen: frozenset[int] = frozenset()
    """Identities of the variables that it leaves alone, weight decay and all."""

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Updates the variables; Keras' parameters."""
        variables = self._trainable_variables if trainable_variables is None else trainable_variables
        free = [(grad, one) for grad, one in zip(grads, variables, strict=True) if id(one) not in self.frozen]
        super().apply([grad for grad, _ in free], [one for _, one in free])

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[Any]:
        return list(grads_and_vars)

    def _backend_apply_gradients(self, grads: list[Any], trainable_variables: list[Any]) -> None:
        if self.gradient_accumulation_steps and replicas() > 1:
            self._accumulate(grads, trainable_variables)
        else:
            super()._backend_apply_gradients(grads, trainable_variables)

    def _accumulate(self, grads: list[Any], variables: list[Any]) -> None:
        """Adds up gradients as Keras does, but decides for all devices at once: none can decide where others wait for it."""
        import tensorflow as tf

        steps, averaged, apply = self.gradient_accumulation_steps, self.use_ema, super()._backend_apply_gradients
        sums = [self._accumulated_gradients[self._get_variable_index(one)] for one in variables]

        def update(*grads: Any) -> None:
            self.gradient_accumulation_steps, self.use_ema = None, False
            apply([(total + grad) / steps for total, grad in zip(sums, grads, strict=True)], variables)
            self.gradient_accumulation_steps, self.use_ema = steps, averaged
            add(*[-tf.convert_to_tensor(total) for total in sums])

        def add(*grads: Any) -> None:
            self._backend_increment_gradient_accumulators(list(grads), sums)

        def decide(strategy: Any, *grads: Any) -> None:
            each = strategy.extended.call_for_each_replica
            last = (self._iterations + 1) % steps == 0
            tf.cond(last, lambda: each(update, args=grads), lambda: each(add, args=grads))

        tf.distribute.get_replica_context().merge_call(decide, args=tuple(grads))
        if averaged:
            self._update_model_variables_moving_average(self._trainable_variables)
