"""The encoders of clips on Keras' JAX backend: tests of other files, run in one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = [
    "test_video_transformer.py::test_agrees_with_its_formula[divided-2]",
    "test_frame_mean.py::test_the_mean_of_the_frames_that_are_there",
]


def test_the_same_on_jax():
    named = [f"{Path(__file__).parent}/{test}" for test in TESTS]
    asked = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *named]
    done = subprocess.run(asked, env=os.environ | {"KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f"{len(TESTS)} passed" in done.stdout
