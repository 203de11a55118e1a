"""The optimizer of a training: one of Keras', extended for gradients summed over replicas and for frozen encoders."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from mmzoo.modeling.devices import replicas
from mmzoo.recipe.optimizer_options import bind_optimizer
from mmzoo.recipe.settings import Train


def make_optimizer(train: Train, steps: int, players: Mapping[str, Sequence[Any]] | None = None) -> Any:
    """Makes the Keras optimizer of a plan.

    Args:
        train: The plan's settings, whose optimizers have been checked.
        steps: Steps of the whole training, for schedules; see `bind_optimizer`.
        players: The layers of each of `train.optimizers`.
    """

    def make(optimizer: str | dict[str, Any]) -> Any:
        kind, options = bind_optimizer(optimizer, train, steps)
        return type(kind.__name__, (OptimizerMixin, kind), {})(**options)

    if not train.optimizers:
        return make(train.optimizer)
    made = {name: make(optimizer) for name, optimizer in train.optimizers.items()}
    return PlayersOptimizer(_Owners(made, players or {}))


class _Owners:
    """The optimizer of each variable: that of its player, or the first one.

    Args:
        optimizers: By the name of the player.
        players: The layers of each player.
    """

    def __init__(self, optimizers: Mapping[str, Any], players: Mapping[str, Sequence[Any]]):
        named = {name: [one for layer in layers for one in layer.trainable_variables] for name, layers in players.items()}
        self.optimizers = [*optimizers.values()]
        self.owners = {id(variable): optimizers[name] for name, variables in named.items() for variable in variables}

    def values(self) -> list[Any]:
        """Returns all optimizers; Keras looks for them here."""
        return self.optimizers

    def __call__(self, variable: Any) -> Any:
        return self.owners.get(id(variable), self.optimizers[0])


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


class PlayersOptimizer(keras.optimizers.MultiOptimizer):
    """Keras' optimizer of several optimizers, each extended by `OptimizerMixin`; each clips the gradient of its own weights."""

    takes_summed_gradients = True
    _frozen_ids: frozenset[int] = frozenset()

    @property
    def frozen_ids(self) -> frozenset[int]:
        """As in `OptimizerMixin`."""
        return self._frozen_ids

    @frozen_ids.setter
    def frozen_ids(self, ids: frozenset[int]) -> None:
        self._frozen_ids = ids
        for optimizer in self.optimizers:
            optimizer.frozen_ids = ids

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Excludes variables from the weight decay of each optimizer; the parameters are Keras'."""
        for optimizer in self.optimizers:
            optimizer.exclude_from_weight_decay(var_list, var_names)
