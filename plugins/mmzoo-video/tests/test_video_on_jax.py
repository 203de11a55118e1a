"""The encoders of clips on Keras' JAX backend: tests of other files, run in one process."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = [
    "test_video_transformer.py::test_agrees_with_its_formula[divided-2]",
    "test_frame_mean.py::test_the_mean_of_the_frames_that_are_there",
]


def test_the_same_on_jax(passes_on_jax):
    passes_on_jax(Path(__file__).parent, TESTS)
