"""What the tests of the core and of the plugins share."""

import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the one flag that refreshes the golden files."""
    parser.addoption("--refresh-goldens", action="store_true", help="write tests/goldens anew instead of comparing")
