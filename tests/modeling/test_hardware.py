"""Why a GPU is not found is said in the backend's own words."""

from types import SimpleNamespace

import pytest

from mmzoo.modeling import hardware

TENSORFLOW = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1796078544.959288   18730 port.cc:153] oneDNN custom operations are on.
E0000 00:00:1796078544.959599   18730 cuda_dnn.cc:8310] Unable to register cuDNN factory: one has already been registered
I0000 00:00:1796078544.959598   18730 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used.
I0000 00:00:1796078547.338897   18730 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used.
E0000 00:00:1796078547.539290   18730 cuda_platform.cc:52] failed call to cuInit: INTERNAL: UNKNOWN ERROR (303)
"""
JAX = """\
WARNING:2026-11-30 22:46:39,123:jax._src.xla_bridge:794: An NVIDIA GPU may be present on this machine, but a CUDA-enabled \
jaxlib is not installed. Falling back to cpu.
"""
ADVICE = "`nvidia-smi` shows whether the driver works, and `pip install '{}'` installs the libraries."


@pytest.mark.parametrize(
    ("backend", "said", "why"),
    [
        (
            "tensorflow",
            TENSORFLOW,
            "TensorFlow says: Could not find cuda drivers on your machine, GPU will not be used; failed call to cuInit: "
            f"INTERNAL: UNKNOWN ERROR (303). {ADVICE.format('tensorflow[and-cuda]')}",
        ),
        (
            "jax",
            JAX,
            "JAX says: An NVIDIA GPU may be present on this machine, but a CUDA-enabled jaxlib is not installed. Falling back "
            f"to cpu. {ADVICE.format('jax[cuda12]')}",
        ),
        ("jax", "", f"JAX does not say why. {ADVICE.format('jax[cuda12]')}"),
    ],
)
def test_the_backend_says_why_it_finds_no_gpu(monkeypatch, backend, said, why):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("keras.backend.backend", lambda: backend)
    monkeypatch.setattr("subprocess.run", lambda *_, **options: SimpleNamespace(stderr=said))
    assert hardware.why_none() == why


def test_gpus_that_are_hidden_are_not_missed(monkeypatch):
    monkeypatch.setattr("os.path.exists", lambda path: path in hardware.NVIDIA)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert hardware.has_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert not hardware.has_gpu()
    assert hardware.why_none() == "The environment variable CUDA_VISIBLE_DEVICES='-1' hides them."
