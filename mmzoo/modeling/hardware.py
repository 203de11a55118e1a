"""The GPUs and TPUs of this machine: which of them the backend finds, and its own words when it finds none."""

import contextlib
import os
import re
import shutil
import subprocess
import sys

import keras

NVIDIA = ("/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/dxg")
"""Files of machines with an NVIDIA GPU; the last is that of Windows' Linux."""
FRAMEWORKS = {
    "tensorflow": (
        "TensorFlow",
        "import tensorflow; tensorflow.config.list_physical_devices()",
        "tensorflow[and-cuda]",
    ),
    "jax": ("JAX", "import jax; jax.devices()", "jax[cuda12]"),
}
"""Backend -> its name, how it is asked for devices, and the package that can use GPUs."""
SAID = re.compile(r"^(?:[IWE]\d{4} \S+ +\d+ \S+\] |(?:WARNING|ERROR):.*?:\d+: |RuntimeError: )(.*)", re.MULTILINE)
"""A line that TensorFlow, JAX or Python writes to the standard error, after its time and place."""
ABOUT_GPUS = re.compile(r"cuda|cuinit|gpu|driver", re.IGNORECASE)
NOISE = "factory"
"""TensorFlow for GPUs complains of factories that are registered twice; it means nothing."""
SECONDS = 120
"""The longest that a backend is waited for to say why."""


def accelerators() -> list[str]:
    """Lists the names of the GPUs or TPUs, as the backend names them."""
    if keras.backend.backend() != "tensorflow":
        return [device for device in keras.distribution.list_devices() if not device.startswith("cpu")]
    import tensorflow as tf

    return [device.name.replace("physical_device:", "") for device in tf.config.list_physical_devices("GPU")]


def models() -> list[str]:
    """Lists the models of the GPUs or TPUs, in the order of `accelerators`."""
    if keras.backend.backend() != "tensorflow":
        import jax

        return [device.device_kind for device in jax.devices()]
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]


def has_gpu() -> bool:
    """Returns whether the machine has an NVIDIA GPU that is not hidden, whether or not the backend finds it."""
    return not _hidden() and (any(map(os.path.exists, NVIDIA)) or shutil.which("nvidia-smi") is not None)


def why_none() -> str:
    """Returns why the backend finds no GPU, in its own words, and what to do.

    It says why once, while it is imported, and below Python. So a process of its own is asked, which takes seconds.
    """
    name, code, package = FRAMEWORKS[keras.backend.backend()]
    if _hidden():
        return f"The environment variable CUDA_VISIBLE_DEVICES='{os.environ['CUDA_VISIBLE_DEVICES']}' hides them."
    said: list[str] = []
    with contextlib.suppress(subprocess.TimeoutExpired):  # then the advice must do
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "0"}
        command = [sys.executable, "-P", "-c", code]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=SECONDS)
        said = [line for line in SAID.findall(done.stderr) if ABOUT_GPUS.search(line) and NOISE not in line]
    reasons = "; ".join(line.strip().rstrip(".") for line in dict.fromkeys(said))
    advice = f"`nvidia-smi` shows whether the driver works, and `pip install '{package}'` installs the libraries."
    return f"{name} says: {reasons}. {advice}" if reasons else f"{name} does not say why. {advice}"


def _hidden() -> bool:
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1")
