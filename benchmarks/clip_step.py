"""Compares the training step of a CLIP recipe with open_clip: images per second of both in one run, and their ratio.

    python benchmarks/clip_step.py [RECIPE] --peer PYTHON [--set KEY=VALUE ...] [--compile]

PYTHON is an interpreter with `torch` and `open_clip_torch`. Each side is a process of its own. The two take turns, and one
waits while the other trains. The mmzoo side trains what `mmzoo build` trains: the recipe's task and optimizer, fed by its data.
The open_clip side trains a model of the same widths in open_clip's own training loop, on batches in memory; AdamW, precision
and batch size are the recipe's. On a GPU: `--set train.backend=jax --set train.precision=mixed_bfloat16 --peak TFLOPS`.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turns import Loop, Shape

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def mmzoo_side(recipe: str, overrides: list[str]) -> "tuple[Shape, Loop]":
    """Makes the recipe's task; returns its shape and the loop that trains it."""
    import keras

    import mmzoo
    from mmzoo.contracts.progress import Screen
    from mmzoo.data.batches import training_batches
    from mmzoo.data.open import open_data
    from mmzoo.modeling.assemble import assemble
    from mmzoo.training.optimizer import make_optimizer
    from mmzoo.training.train import prepare

    plan = mmzoo.check(recipe, overrides=overrides).plan
    data, options = open_data(plan, Screen(quiet=True)), plan.train
    prepare(options)
    task, _ = assemble(plan, {name: processor.features for name, processor in data.processors.items()})
    task.compile(optimizer=make_optimizer(options, 1000), jit_compile=options.jit_compile, loss=None)
    batches = training_batches(data, "train", options.batch_size, options.seed, range(10**6))

    def loop(steps: int, before: Callable[[], None], after: Callable[[], None]) -> None:
        turn = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: before(), on_epoch_end=lambda *_: after())
        task.fit(batches, steps_per_epoch=steps, epochs=10**6, shuffle=False, callbacks=[turn], verbose=0)

    fusion: Any = plan.fusion
    features, image, text = data.processors, *plan.encoders
    pixels, ids = features[image].features, features[text].features
    vision, language = (plan.encoders[name].options for name in (image, text))
    shape = {"batch": options.batch_size, "bf16": options.precision == "mixed_bfloat16", "weights": task.count_params()}
    shape |= {"embed": fusion.options["dim"], "size": pixels["shape"][0], "length": ids["shape"][0]}
    shape |= {"vocabulary": ids["vocabulary"], "patch": vision["patch"]}
    shape |= {
        name: {key: one[key] for key in ("dim", "depth", "heads")} for name, one in (("image", vision), ("text", language))
    }
    return shape, loop


def open_clip_side(shape: "Shape", compiled: bool) -> "tuple[Shape, Loop]":
    """Makes open_clip's model of a shape; returns its weights and device, and the loop that trains it."""
    import open_clip
    import torch
    from open_clip_train.train import train_one_epoch

    image, text, batch = shape["image"], shape["text"], shape["batch"]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    vision = {"width": image["dim"], "layers": image["depth"], "head_width": image["dim"] // image["heads"]}
    vision |= {"patch_size": shape["patch"], "image_size": shape["size"]}
    language = {"width": text["dim"], "layers": text["depth"], "heads": text["heads"]}
    language |= {"context_length": shape["length"], "vocab_size": shape["vocabulary"]}
    model = open_clip.CLIP(shape["embed"], vision, language, output_dict=True).to(device)
    weights = sum(weight.numel() for weight in model.parameters())
    model = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    pictures = torch.randn(batch, 3, shape["size"], shape["size"])
    texts = torch.randint(1, shape["vocabulary"] - 1, (batch, shape["length"]))
    texts[:, -1] = shape["vocabulary"] - 1  # the end token is the largest
    args = argparse.Namespace(device=device, precision="amp_bf16" if shape["bf16"] else "fp32", batch_size=batch, world_size=1)
    vars(args).update(accum_freq=1, distill=False, skip_scheduler=True, grad_clip_norm=None, horovod=False, wandb=False)
    vars(args).update(rank=0, local_rank=0, log_local=False, log_every_n_steps=10**9)

    loss = open_clip.ClipLoss()

    def loop(steps: int, before: Callable[[], None], after: Callable[[], None]) -> None:
        data = {"train": Ready([(pictures, texts)] * steps)}
        while True:
            before()
            train_one_epoch(model, data, loss, 0, optimizer, None, None, None, args)
            if device == "cuda":
                torch.cuda.synchronize()
            after()

    return {"weights": weights, "device": device}, loop


class Ready(list[Any]):
    """Batches with the interface that open_clip's loop expects of its data."""

    def set_epoch(self, epoch: int) -> None:
        """Does nothing: the order is the same in each epoch."""

    @property
    def dataloader(self) -> Any:
        """The batches themselves."""
        self.num_batches = self.num_samples = len(self)
        return self


def floating_point_operations(shape: "Shape") -> float:
    """Counts the operations of a training step for one pair, matrix products only: three times a forward pass."""

    def tower(of: "Shape", tokens: int) -> int:
        return of["depth"] * (12 * tokens * of["dim"] ** 2 + 2 * tokens**2 * of["dim"])

    patches = (shape["size"] // shape["patch"]) ** 2
    cut = patches * shape["patch"] ** 2 * 3 * shape["image"]["dim"]
    return 6 * (cut + tower(shape["image"], patches + 1) + tower(shape["text"], shape["length"]))


def compare(given: argparse.Namespace) -> None:
    """Lets both sides take turns and prints their rates."""
    import turns

    steps = ["--steps", str(given.steps)]
    sets = [part for override in given.overrides for part in ("--set", override)]
    ours = turns.Side(sys.executable, __file__, "--side", "mmzoo", given.recipe, *steps, *sets)
    compiled = ["--compile"] if given.compile else []
    theirs = turns.Side(given.peer, __file__, "--side", json.dumps(ours.shape), *steps, *compiled)
    operations = floating_point_operations(ours.shape)

    def share(rate: float) -> str:
        return f"; {rate * operations / (given.peak * 1e12):.1%} of the peak" if given.peak else ""

    turns.compare(ours, theirs, "open_clip", given, "images", share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="recipes/openmoji/clip.yaml")
    parser.add_argument(
        "--peer",
        default=os.environ.get("OPEN_CLIP_PYTHON", sys.executable),
        help="Python of open_clip; default: OPEN_CLIP_PYTHON",
    )
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--compile", action="store_true", help="run open_clip with torch.compile, as its --torchcompile")
    parser.add_argument("--steps", type=int, default=8, help="steps per turn")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--peak", type=float, help="peak of the device in TFLOPS; prints the share that is reached")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side is None:
        compare(given)
        return
    from turns import serve

    if given.side == "mmzoo":
        serve(given.steps, *mmzoo_side(given.recipe, given.overrides))
    else:
        serve(given.steps, *open_clip_side(json.loads(given.side), given.compile))


if __name__ == "__main__":
    main()
