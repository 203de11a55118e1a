"""Plan -> `Data`: prepares the data set, lets the processors learn, and scans every split."""

from collections.abc import Mapping

import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW, SPLITS
from mmzoo.contracts.processor import Processor
from mmzoo.contracts.progress import Screen
from mmzoo.data.scan import scan
from mmzoo.data.splits import UNTUNED, Batch, Data
from mmzoo.errors import DataError, RecipeError
from mmzoo.recipe.plan import Input, Plan


def make_processors(plan: Plan) -> dict[str, Processor]:
    """Makes the processor of each input; they have learned nothing yet."""
    return {name: column.processor.make() for name, column in plan.inputs.items()}


def learned_processors(plan: Plan) -> dict[str, Processor]:
    """Makes the processors and, if the data is ready, lets them learn from it; prepares nothing."""
    if plan.dataset.card.needs:
        return make_processors(plan)
    data = read_data(plan, Screen(quiet=True))
    data.adapt()
    return data.processors


def open_data(plan: Plan, screen: Screen, learned: dict[str, Processor] | None = None) -> Data:
    """Prepares the data set, lets the processors learn from the training split, and reads every example once.

    Args:
        plan: What is read, and how.
        screen: Where progress goes.
        learned: Processors that have learned already, such as a run's own; they learn nothing more.

    Raises:
        DataError: The data cannot be had, or lacks a split that training needs; or examples are unreadable and the recipe says
            to stop.
        RecipeError: A field does not hold what its processor reads.
    """
    data = read_data(plan, screen)
    if learned is None:
        if plan.train.patience is not None and "validation" not in data.raw:
            what = "train.patience waits for a better validation loss, but the data has no split 'validation'"
            raise DataError(f"{what}; it has {', '.join(data.raw)}.\nAdd one, or train without: `--set train.patience=null`.")
        data.adapt()
    else:
        data.processors = learned
    for name, processor in data.processors.items():
        if processor.note:
            screen.say(f"data      {name}: {processor.note}")
    for split in data.raw:
        scan(data, split, screen)
    return data


def read_data(plan: Plan, screen: Screen) -> Data:
    """Prepares the data set and opens its splits, with processors that have learned nothing."""
    if plan.dataset.card.needs:
        screen.say(f"data      {plan.dataset.card.needs}")
    plan.dataset.prepare()
    found = plan.dataset.splits()
    raw = {split: _select(found[split], plan.inputs) for split in SPLITS if split in found}
    if "train" not in raw:
        raise DataError(f"the data set has no split 'train'; it has {', '.join(found) or 'none'}.")
    processors = make_processors(plan)
    _check_types(plan, raw["train"], processors)
    return Data(plan, plan.dataset.card, raw, processors)


def _select(split: tf.data.Dataset, inputs: Mapping[str, Input]) -> tf.data.Dataset:
    """Names the fields as the recipe's inputs and completes each example with its row and its fault."""

    def named(index: tf.Tensor, example: Batch) -> Batch:
        row = example.get(ROW, tf.strings.join(["example ", tf.strings.as_string(index)]))
        fault = example.get(FAULT, tf.constant(""))
        return {name: example[column.field] for name, column in inputs.items()} | {ROW: row, FAULT: fault}

    return split.enumerate().map(named, num_parallel_calls=tf.data.AUTOTUNE).with_options(UNTUNED)


def _check_types(plan: Plan, split: tf.data.Dataset, processors: Mapping[str, Processor]) -> None:
    faults = []
    for name, column in plan.inputs.items():
        found, wanted = split.element_spec[name], processors[name].raw
        ranks = (len(wanted.shape), len(wanted.shape) + 1)
        if found.dtype != wanted.dtype or len(found.shape) not in ranks:
            what = (
                f"the field '{column.field}' holds {found.dtype.name} {tuple(found.shape)} per example; "
                f"the processor '{column.processor.component.name}' reads {wanted.dtype.name} {tuple(wanted.shape)}."
            )
            faults.append(column.node.fault(what))
    if faults:
        raise RecipeError(faults)
