"""What a head wants to be watched is shown after each epoch."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmzoo.run.folder import Run
from mmzoo.training.callbacks import Watch, save_grid


class Drawing:
    targets = ("picture",)

    def watch(self, streams: Any, targets: Any) -> Any:
        return {"pictures": np.full((2, 3, 4, 4, 3), 100.0), "spread": np.array([1.0, 2.0])} if streams else {}

    def warn(self, watched: Any) -> str:
        return "it goes wrong" if watched["spread"].mean() > 1 else ""


@pytest.mark.parametrize("validates", [True, False])
def test_pictures_and_numbers_of_an_epoch_are_shown_and_a_warning_once(tmp_path, validates):
    said: list[str] = []
    watch = Watch({"picture": np.zeros((2, 4, 4, 3))}, Run(tmp_path), SimpleNamespace(say=said.append), validates)
    watch.set_model(SimpleNamespace(head=Drawing(), streams=lambda features: features))
    for epoch in range(2):
        watch.on_epoch_begin(epoch)
        watch.on_test_end()
        watch.on_epoch_end(epoch)
    assert said == ["watch     epoch 1  spread 1.500", "warning   it goes wrong", "watch     epoch 2  spread 1.500"]
    assert sorted(path.name for path in Run(tmp_path).samples.iterdir()) == ["epoch-001.png", "epoch-002.png"]


def test_a_head_that_shows_nothing_is_silent(tmp_path):
    watch = Watch({}, Run(tmp_path), SimpleNamespace(say=pytest.fail), False)
    watch.set_model(SimpleNamespace(head=SimpleNamespace(targets=(), watch=lambda *_: {}), streams=lambda features: features))
    watch.on_epoch_end(0)
    assert not Run(tmp_path).samples.exists()


def test_a_grid_has_a_row_of_pictures_for_each_row(tmp_path):
    pictures = np.arange(2 * 3)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3).reshape(2, 3, 4, 4, 3) * 40.0
    save_grid(pictures, tmp_path / "grid.png")
    grid = np.array(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (10, 15, 3)
    assert [grid[2 + 5 * row, 2 + 5 * column, 0] for row in range(2) for column in range(3)] == [0, 40, 80, 120, 160, 200]
