"""What the tests of the core and of the plugins share."""

import gc
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Tests compile often and compute little.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Tracing makes millions of objects that live long; looking through them again and again takes a twentieth of the time.
gc.set_threshold(200_000, 20, 50)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the one flag that refreshes the golden files."""
    parser.addoption("--refresh-goldens", action="store_true", help="write tests/goldens anew instead of comparing")


def pytest_collection_finish() -> None:
    """Lets TensorFlow optimize neither graphs nor pipelines, and takes the imported libraries out of the search for garbage.

    Tests trace many graphs and run each few times. An export is checked in a process that optimizes them, as a server does.
    """
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        options = import_module("mmzoo.data.raw_split").NO_AUTOTUNE  # those of every pipeline
        options.experimental_optimization.apply_default_optimizations = False
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def afresh():
    """Starts each module with the same random numbers and without the graphs and models of the module before it.

    These hold each other, and a process would grow with each module. There is no new seed for each test: it makes TensorFlow
    drop a tokenizer of sentence pieces that a fixture of the module holds.
    """
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(1)
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()


@pytest.fixture
def uninitialized():
    """Lets a test make layers whose variables have shapes and no values: large models are counted in no time and memory."""
    import keras

    with keras.StatelessScope(initialize_variables=False):
        yield
    keras.utils.clear_session()  # or the next scope that ends would initialize them


@pytest.fixture(scope="module")
def unrehearsed():
    """Lets a module build without the rehearsal before training, which `tests/test_build.py` tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("mmzoo.build"), "_rehearse", lambda *_: None)
        yield


@pytest.fixture(scope="session")
def ask_here():
    """Answers in this process, by both loaders, what an export asks a fresh one, which takes long to start."""
    from mmzoo.serving.verify_export import by_saved_model, by_session

    def ask(request: dict[str, Any]) -> dict[str, Any]:
        asked = json.loads(json.dumps(request))
        folder, inputs = asked["folder"], asked["inputs"]
        return {"2": by_saved_model(folder, inputs, asked["arguments"]), "1": by_session(folder, inputs)}

    return ask


@pytest.fixture(scope="module")
def asked_here(ask_here):
    """Lets the exports of a module ask no fresh process; `serving/test_export.py` and `cli/test_verbs.py` ask one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmzoo.serving.export._ask_fresh_process", ask_here)
        yield


@pytest.fixture
def passes_on_jax():
    """Checks that tests of a folder, named as pytest takes them, pass on Keras' JAX backend, in one process of their own."""

    def check(folder: Path, tests: list[str]) -> None:
        asked = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"{folder}/{test}" for test in tests)]
        done = subprocess.run(asked, env=os.environ | {"KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert f"{len(tests)} passed" in done.stdout

    return check
