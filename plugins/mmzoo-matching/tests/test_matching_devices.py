"""Training on two devices, with clipping, accumulation and GradCache, equals training on one, for each loss."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

LOSSES = ["mmzoo_matching.info_nce:info_nce", "mmzoo_matching.sigmoid:sigmoid", "mmzoo_matching.triplet:triplet"]


def test_two_devices_learn_what_one_learns():
    script = Path(__file__).parents[3] / "tests" / "modeling" / "steps_on_devices.py"
    done = subprocess.run(
        [sys.executable, str(script), *LOSSES],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"KERAS_BACKEND": "tensorflow"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
