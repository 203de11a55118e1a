"""Compares the examples per second of the input pipeline with those of training.

The pipeline is measured without a cache (raw values -> processed). Training is measured on batches that are in memory.

    python benchmarks/pipeline.py [RECIPE]
"""

import argparse
import os
import time
from collections.abc import Iterable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def rate(batches: Iterable[Any], size: int) -> float:
    """Returns the examples per second over all batches of `size`."""
    began, count = time.perf_counter(), 0
    for _ in batches:
        count += size
    return count / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="recipes/openmoji/captioner.yaml")
    given = parser.parse_args()
    import mmzoo
    from mmzoo.contracts.progress import Screen
    from mmzoo.data.batches import training_batches
    from mmzoo.data.open import open_data
    from mmzoo.modeling.assemble import assemble
    from mmzoo.training.optimizer import make_optimizer

    plan = mmzoo.check(given.recipe, overrides=["train.cache=false"]).plan
    data = open_data(plan, Screen(quiet=True))
    task, _ = assemble(plan, {name: processor.features for name, processor in data.processors.items()})
    batch, steps = plan.train.batch_size, data.steps(plan.train.batch_size)
    cold = rate(training_batches(data, "train", batch, 0, range(1)).take(steps), batch)
    batches = list(training_batches(data, "train", batch, 0, range(1)).take(min(steps, 20)))
    task.compile(optimizer=make_optimizer(plan.train, steps), jit_compile=plan.train.jit_compile, loss=None)
    task.train_on_batch(batches[0])
    began = time.perf_counter()
    for examples in batches:
        task.train_on_batch(examples)
    training = batch * len(batches) / (time.perf_counter() - began)
    ratio = cold / training
    print(f"{given.recipe}: pipeline {cold:,.0f} examples/s, training {training:,.0f} examples/s, ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
