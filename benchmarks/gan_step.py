"""Compares the training step of an AttnGAN recipe with PyTorch: pictures per second of both in one run, and their ratio.

    python benchmarks/gan_step.py [RECIPE] --peer PYTHON [--set KEY=VALUE ...] [--compile]

PYTHON is an interpreter with `torch`. Each side is a process of its own. The two take turns, and one waits while the other
trains. The mmzoo side trains what `mmzoo build` trains: task, optimizers and data of the recipe. Parts that start from
needed runs get random weights, so those runs need not be built. The PyTorch side has the same networks (`attngan_torch.py`),
losses, optimizers, precision and batch size. Both have the same number of weights; the program ends if they have not.

What differs, and which side it spares work:

- PyTorch: batches are in memory, random, at every scale. mmzoo reads, chooses captions, scales down.
- PyTorch: sentence and words are random. mmzoo runs the frozen encoder of the text, and DAMSM's projections of words.
- PyTorch: the average of the weights is that of the generator, as in the authors' code. mmzoo averages all.
- PyTorch trains as the authors do: the discriminators' step on detached pictures, then the generator's step against the new
  discriminators. mmzoo does both in one step, and the generator's loss sees the discriminators from before the step. Both score
  generated pictures twice. Unlike the authors, this side computes no gradients of discriminators in the generator's step.
- mmzoo: discriminators convolve the features once for all texts. PyTorch repeats features and texts, as the authors do, in one
  call for all texts. With `discriminator_norm: batch` its statistics are those of all texts together.
- mmzoo: upsampling and its convolution are one transposed convolution on TensorFlow. PyTorch repeats pixels, then convolves.
- mmzoo: two batches are ready when a turn starts, so a turn of few steps leaves the reading out. Take 8 steps or more.

Measure on an idle machine.
"""

import argparse
import math
import os
import sys
from collections.abc import Callable
from typing import Any

import turns
from turns import Loop, Shape

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
LACKING = ("spectral", "augment", "gradients", "feature_network", "compress", "mapping", "mismatched_text", "memory")
"""Options of the head that the PyTorch side lacks."""
LOSSES = {"discriminator", "generator", "kl", "damsm"}


def mmzoo_side(recipe: str, overrides: list[str]) -> tuple[Shape, Loop]:
    """Makes the recipe's task; returns its shape and the loop that trains it."""
    import mmzoo

    plan = mmzoo.check(recipe, overrides=overrides).plan
    check_comparable(plan)
    data, task, loop = turns.task_of(plan)
    return shape_of(plan, task, data.processors), loop


def check_comparable(plan: Any) -> None:
    """Ends the program if the recipe has something that the PyTorch side lacks."""
    head, train, names = plan.head.options, plan.train, [loss.bound.component.name for loss in plan.losses]
    encoder = head.get("picture_encoder")
    needed = {
        "the head `attngan`": plan.head.component.name == "attngan",
        f"none of {', '.join(f'`{key}`' for key in LACKING)}": not any(head.get(key) for key in LACKING),
        "a `resnet` of basic blocks": not encoder or (encoder.component.name, encoder.options["block"]) == ("resnet", "basic"),
        "the losses `discriminator`, `generator`, `kl`, and `damsm` with a picture encoder": sorted(names)
        == sorted({*LOSSES} - ({"damsm"} if encoder is None else set())),
        "`train.optimizers` of the type `adam`": bool(train.optimizers)
        and all(isinstance(one, dict) and one["type"] == "adam" for one in train.optimizers.values()),
        "no clipping and accumulation": (train.global_clipnorm, train.gradient_accumulation_steps) == (None, 1),
    }
    if missing := [what for what, there in needed.items() if not there]:
        sys.exit(f"{plan.name}: the PyTorch side compares recipes with {'; '.join(missing)}. Give such a recipe.")


def shape_of(plan: Any, task: Any, processors: Any) -> Shape:
    """Returns what the PyTorch side needs to know, as plain data."""
    head, train = plan.head.options, plan.train
    parts = {player: sum(map(trained_weights, layers)) for player, layers in task.head.players.items()}
    encoder, damsm = head["picture_encoder"], head["damsm"]
    return {
        "batch": train.batch_size,
        "bf16": train.precision == "mixed_bfloat16",
        "weights": sum(parts.values()),
        "parts": parts,
        "head": {name: value for name, value in head.items() if name not in ("picture_encoder", "damsm")},
        "text_dim": task.head.adversary.discriminators[0].text_dim,
        "words": processors[head["text"]].features["shape"][0],
        "encoder": encoder and {name: encoder.options[name] for name in ("blocks", "strides", "stem")},
        "dim": damsm and damsm.options["dim"],
        "losses": {loss.bound.component.name: {**loss.bound.options, "weight": loss.weight} for loss in plan.losses},
        "optimizers": train.optimizers,
        "ema": train.ema_momentum,
    }


def trained_weights(layer: Any) -> int:
    """Counts the trainable weights of a Keras layer."""
    return sum(math.prod(one.shape) for one in layer.trainable_variables)


def torch_side(shape: Shape, compiled: bool) -> tuple[Shape, Loop]:
    """Makes the same networks in PyTorch; returns their weights, and the loop that trains them."""
    import torch
    from attngan_torch import Trainer, weights_of

    trainer = Trainer(shape, "cuda" if torch.cuda.is_available() else "cpu", compiled)
    parts = {"generator": weights_of(trainer.generator), "discriminator": sum(map(weights_of, trainer.discriminators))}

    def loop(steps: int, before: Callable[[], None], after: Callable[[], None]) -> None:
        while True:
            before()
            for _ in range(steps):
                trainer.step()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            after()

    return {"weights": sum(parts.values()), "parts": parts}, loop


def compare(ours: turns.Side, theirs: turns.Side, given: argparse.Namespace) -> None:
    """Checks that both sides have the same weights, lets them take turns and prints their rates."""
    if ours.shape["parts"] != theirs.shape["parts"]:
        sys.exit(f"the weights differ: mmzoo {ours.shape['parts']}, PyTorch {theirs.shape['parts']}")
    print(", ".join(f"{part} {weights:,}" for part, weights in ours.shape["parts"].items()), "weights on both sides")
    turns.compare(ours, theirs, "PyTorch", given, "pictures")


def main() -> None:
    parser = turns.arguments(__doc__.splitlines()[0], "recipes/shapes/attngan.yaml", "TORCH_PYTHON", "PyTorch")
    turns.run(__file__, parser.parse_args(), mmzoo_side, torch_side, compare)


if __name__ == "__main__":
    main()
