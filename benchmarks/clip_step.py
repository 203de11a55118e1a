"""Compares the training step of a CLIP recipe with open_clip: images per second of both in one run, and their ratio.

    python benchmarks/clip_step.py [RECIPE] --peer PYTHON [--set KEY=VALUE ...] [--compile]

PYTHON is an interpreter with `torch` and `open_clip_torch`. Each side is a process of its own. The two take turns, and one
waits while the other trains. The mmzoo side trains what `mmzoo build` trains: the recipe's task and optimizer, fed by its data.
The open_clip side trains a model of the same widths in open_clip's own training loop, on batches in memory; AdamW, precision
and batch size are the recipe's. On a GPU: `--set train.backend=jax --set train.precision=mixed_bfloat16 --peak TFLOPS`.
"""

import argparse
import os
from collections.abc import Callable
from typing import Any

import turns
from turns import Loop, Shape

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def mmzoo_side(recipe: str, overrides: list[str]) -> tuple[Shape, Loop]:
    """Makes the recipe's task; returns its shape and the loop that trains it."""
    import mmzoo

    plan = mmzoo.check(recipe, overrides=overrides).plan
    options = plan.train
    data, task, loop = turns.task_of(plan)
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


def open_clip_side(shape: Shape, compiled: bool) -> tuple[Shape, Loop]:
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


def floating_point_operations(shape: Shape) -> float:
    """Counts the operations of a training step for one pair, matrix products only: three times a forward pass."""

    def tower(of: "Shape", tokens: int) -> int:
        return of["depth"] * (12 * tokens * of["dim"] ** 2 + 2 * tokens**2 * of["dim"])

    patches = (shape["size"] // shape["patch"]) ** 2
    cut = patches * shape["patch"] ** 2 * 3 * shape["image"]["dim"]
    return 6 * (cut + tower(shape["image"], patches + 1) + tower(shape["text"], shape["length"]))


def compare(ours: turns.Side, theirs: turns.Side, given: argparse.Namespace) -> None:
    """Lets both sides take turns and prints their rates."""
    operations = floating_point_operations(ours.shape)

    def share(rate: float) -> str:
        return f"; {rate * operations / (given.peak * 1e12):.1%} of the peak" if given.peak else ""

    turns.compare(ours, theirs, "open_clip", given, "images", share)


def main() -> None:
    parser = turns.arguments(__doc__.splitlines()[0], "recipes/openmoji/clip.yaml", "OPEN_CLIP_PYTHON", "open_clip")
    parser.add_argument("--peak", type=float, help="peak of the device in TFLOPS; prints the share that is reached")
    turns.run(__file__, parser.parse_args(), mmzoo_side, open_clip_side, compare)


if __name__ == "__main__":
    main()
