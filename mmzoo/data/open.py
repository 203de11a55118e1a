"""Plan -> `Data`: prepares the data set, adapts the processors and scans every split."""

from collections.abc import Mapping

from mmzoo.contracts.dataset import SPLITS
from mmzoo.contracts.processor import Processor
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.streams import FeatureSpec
from mmzoo.data.raw_split import RawSplit
from mmzoo.data.scan import scan
from mmzoo.data.splits import Data
from mmzoo.errors import DataError, RecipeError
from mmzoo.recipe.plan import Plan


def make_processors(plan: Plan) -> dict[str, Processor]:
    """Makes the processor of each input, not yet adapted."""
    return {name: column.processor.make() for name, column in plan.inputs.items()}


def features_of(processors: Mapping[str, Processor]) -> dict[str, FeatureSpec]:
    """Returns what each processor makes of its input, as far as it has learned it."""
    return {name: processor.features for name, processor in processors.items()}


def learned_processors(plan: Plan) -> dict[str, Processor]:
    """Makes the processors, and adapts them if the data is ready; prepares no data."""
    if plan.dataset.card.needs:
        return make_processors(plan)
    data = read_data(plan, Screen(quiet=True))
    data.adapt(data.processors)
    return data.processors


def open_data(plan: Plan, screen: Screen, learned: dict[str, Processor] | None = None, most: int | None = None) -> Data:
    """Prepares the data set, adapts the processors on the training split, and scans each split.

    Args:
        plan: The plan, whose `dataset` is set.
        screen: Shows the progress.
        learned: Input -> a processor that is adapted already, such as those of a run; it is used as it is.
        most: Read only the first so many examples of the held-out split; the data have no other splits then.

    Raises:
        DataError: The data cannot be read, or a split that training needs is missing; or examples are unreadable and the
            recipe says to stop.
        RecipeError: A field has another type or shape than its processor reads.
    """
    data = read_data(plan, screen)
    data.processors |= learned or {}
    if fresh := [name for name in data.processors if name not in (learned or {})]:
        if plan.train.patience is not None and "validation" not in data.raw:
            what = "train.patience waits for a better validation loss, but the data has no split 'validation'"
            raise DataError(f"{what}; it has {', '.join(data.raw)}.\nAdd one, or train without: `--set train.patience=null`.")
        data.adapt(fresh)
    for name, processor in data.processors.items():
        if processor.note:
            screen.say(f"data      {name}: {processor.note}")
    if most is not None:
        data.raw = {data.held_out(): data.raw[data.held_out()].first(most)}
    for split in data.raw:
        scan(data, split, screen)
    return data


def read_data(plan: Plan, screen: Screen) -> Data:
    """Prepares the data set and opens its splits; the processors are not yet adapted.

    Raises:
        DataError: The split 'train' is missing.
        RecipeError: A field has another type or shape than its processor reads.
    """
    if plan.dataset.card.needs:
        screen.say(f"data      {plan.dataset.card.needs}")
    plan.dataset.prepare()
    splits = plan.dataset.splits()
    if plan.dataset.card.note:
        screen.say(f"data      {plan.dataset.card.note}")
    fields = {name: column.field for name, column in plan.inputs.items()}
    raw = {split: RawSplit(splits[split], fields) for split in SPLITS if split in splits}
    if "train" not in raw:
        raise DataError(f"the data set has no split 'train'; it has {', '.join(splits) or 'none'}.")
    processors = make_processors(plan)
    _check_types(plan, raw["train"], processors)
    return Data(plan, plan.dataset.card, raw, processors)


def _check_types(plan: Plan, split: RawSplit, processors: Mapping[str, Processor]) -> None:
    """Checks that each field has the dtype and the rank that its processor reads; one more axis is several values."""
    faults, specs = [], split.specs
    for name, column in plan.inputs.items():
        actual, expected = specs[name], processors[name].raw
        ranks = (len(expected.shape), len(expected.shape) + 1)
        if actual.dtype != expected.dtype or len(actual.shape) not in ranks:
            what = (
                f"the field '{column.field}' holds {actual.dtype.name} {tuple(actual.shape)} per example; "
                f"the processor '{column.processor.component.name}' reads {expected.dtype.name} {tuple(expected.shape)}."
            )
            faults.append(column.node.fault(what))
    if faults:
        raise RecipeError(faults)
