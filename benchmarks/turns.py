"""Two processes that train in turns, so that the machine is the same for both: one waits while the other trains.

What the benchmarks that compare a training step with another library's share. It imports the standard library only, since the
process of the other library runs it too; `task_of` alone needs mmzoo.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

Shape = dict[str, Any]
"""What a side tells of itself; `weights` is the number of its weights."""
Loop = Callable[[int, Callable[[], None], Callable[[], None]], None]
"""Trains forever in turns: number of steps, function to call before each turn, function to call after it."""


def arguments(description: str, recipe: str, variable: str, peer: str) -> argparse.ArgumentParser:
    """Makes the command line: the recipe, the other library's interpreter, and how long to train.

    Args:
        description: Of the program.
        recipe: The default recipe.
        variable: The environment variable that names the other library's interpreter.
        peer: The other library.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("recipe", nargs="?", default=recipe)
    default = os.environ.get(variable, sys.executable)
    parser.add_argument("--peer", default=default, help=f"Python of {peer}; default: {variable}")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--compile", action="store_true", help=f"run {peer} with torch.compile")
    parser.add_argument("--steps", type=int, default=8, help="steps per turn")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    return parser


def run(
    script: str,
    given: argparse.Namespace,
    ours: Callable[[str, list[str]], tuple[Shape, Loop]],
    theirs: Callable[[Shape, bool], tuple[Shape, Loop]],
    compare: "Callable[[Side, Side, argparse.Namespace], None]",
) -> None:
    """Compares the two sides; or is one of them, in a process that such a comparison has started.

    Args:
        script: The file of the program.
        given: The parsed arguments.
        ours: Recipe, overrides -> the side of mmzoo.
        theirs: Shape of mmzoo's side, whether to compile -> the other side.
        compare: Lets the two processes take turns.
    """
    if given.side is None:
        steps = ["--steps", str(given.steps)]
        sets = [part for override in given.overrides for part in ("--set", override)]
        mine = Side(sys.executable, script, "--side", "mmzoo", given.recipe, *steps, *sets)
        compiled = ["--compile"] if given.compile else []
        compare(mine, Side(given.peer, script, "--side", json.dumps(mine.shape), *steps, *compiled), given)
    elif given.side == "mmzoo":
        serve(given.steps, *ours(given.recipe, given.overrides))
    else:
        serve(given.steps, *theirs(json.loads(given.side), given.compile))


def task_of(plan: Any) -> tuple[Any, Any, Loop]:
    """Makes the task of a plan as `mmzoo build` does, from random weights; returns data, task, and the loop that trains it."""
    import keras

    from mmzoo.contracts.progress import Screen
    from mmzoo.data.batches import training_batches
    from mmzoo.data.open import open_data
    from mmzoo.modeling.assemble import assemble
    from mmzoo.training.optimizer import make_optimizer
    from mmzoo.training.process import prepare

    data, options = open_data(plan, Screen(quiet=True)), plan.train
    prepare(options)
    task, _ = assemble(plan, {name: processor.features for name, processor in data.processors.items()})
    task.compile(optimizer=make_optimizer(options, 1000, task.head.players), jit_compile=options.jit_compile, loss=None)
    task.optimizer.build(task.trainable_variables)
    batches = training_batches(data, "train", options.batch_size, options.seed, range(10**6))

    def loop(steps: int, before: Callable[[], None], after: Callable[[], None]) -> None:
        turn = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: before(), on_epoch_end=lambda *_: after())
        task.fit(batches, steps_per_epoch=steps, epochs=10**6, shuffle=False, callbacks=[turn], verbose=0)

    return data, task, loop


def serve(steps: int, shape: Shape, loop: Loop) -> None:
    """Prints the shape, then trains a turn for each line of the standard input and prints its seconds."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keeps the output of libraries out of the answers
    began: list[float] = []

    def before() -> None:
        if not sys.stdin.readline():
            os._exit(0)  # the parent has ended
        began[:] = time.perf_counter(), time.process_time()

    def after() -> None:
        print(json.dumps([time.perf_counter() - began[0], time.process_time() - began[1]]), file=answer, flush=True)

    print(json.dumps(shape), file=answer, flush=True)
    loop(steps, before, after)


class Side:
    """A process that calls `serve`, and so trains a turn on request.

    Args:
        command: The interpreter, the script and its arguments.
    """

    def __init__(self, *command: str):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.shape = self._read()

    def _read(self) -> Any:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            sys.exit(f"{' '.join(map(str, self.process.args))}: it stopped; see the error above.")  # type: ignore[arg-type]
        return json.loads(line)

    def train(self) -> list[float]:
        """Trains a turn; returns its wall seconds and CPU seconds."""
        assert self.process.stdin is not None
        print(file=self.process.stdin, flush=True)
        return self._read()


def compare(
    ours: Side, theirs: Side, name: str, given: argparse.Namespace, of: str, more: Callable[[float], str] = lambda _: ""
) -> None:
    """Lets both sides take turns, and prints their rates and the ratio.

    Args:
        ours: The side of mmzoo; `batch` in its shape is the batch size of both.
        theirs: The side of the other library.
        name: The other library.
        given: `steps` per turn, and `turns`.
        of: What a batch consists of, such as `images`.
        more: Rate per second -> text to print after them.
    """
    sides = {"mmzoo": ours, name: theirs}
    turns = take_turns(sides, given.turns)
    rates, costs = {}, {}
    for side, seconds in turns.items():
        count = given.steps * ours.shape["batch"]
        rates[side], costs[side] = report(side, sides[side].shape["weights"], seconds, count, of, more)
    ratio, saved = rates["mmzoo"] / rates[name], costs[name] / costs["mmzoo"]
    print(f"mmzoo trains {ratio:.2f} times as many {of} per second, {saved:.2f} times as many per core-second")


def take_turns(sides: Mapping[str, Side], count: int) -> dict[str, list[list[float]]]:
    """Trains each side in turn, after a turn that compiles; returns wall seconds and CPU seconds of each turn."""
    turns: dict[str, list[list[float]]] = {name: [] for name in sides}
    for side in sides.values():
        side.train()
    for _ in range(count):
        for name, side in sides.items():
            turns[name].append(side.train())
    return turns


def report(
    name: str, weights: int, turns: list[list[float]], count: int, of: str, more: Callable[[float], str]
) -> tuple[float, float]:
    """Prints a side's rates; returns its median rate per second and its least core-seconds per example.

    Args:
        name: The side.
        weights: How many weights it has.
        turns: Wall seconds and CPU seconds of each turn.
        count: Examples in a turn.
        of: What they are, such as `images`.
        more: Rate per second -> text to print at the end of the line.
    """
    walls, cores = zip(*turns, strict=True)
    rate, best, cost = count / statistics.median(walls), count / min(walls), min(cores) / count
    line = f"median {rate:.1f} {of}/s, best {best:.1f}; {1000 * cost:.1f} core-ms each{more(rate)}"
    print(f"{name:9} {weights:,} weights: {line}", flush=True)
    return rate, cost
