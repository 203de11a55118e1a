"""Each loss learns on two devices, with clipping, accumulation and parts, what it learns on one from the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

LOSSES = ["mmzoo_matching.info_nce:info_nce", "mmzoo_matching.sigmoid:sigmoid", "mmzoo_matching.triplet:triplet"]


def test_two_devices_learn_what_one_learns():
    script = Path(__file__).parents[3] / "tests" / "steps_on_devices.py"
    done = subprocess.run(
        [sys.executable, str(script), *LOSSES],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"KERAS_BACKEND": "tensorflow"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
