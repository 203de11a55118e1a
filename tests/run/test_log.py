"""What libraries warn of is in the log of the run, and on the terminal what was there before."""

import logging
import warnings
from contextlib import contextmanager

import pytest

from mmzoo.run.log import logged


@contextmanager
def bare():
    """A process that has not set up its logging, as tests do; `absl` is quiet, as in a build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger(), "handlers", [])
        absl, level = logging.getLogger("absl"), logging.getLogger("absl").level
        absl.setLevel(logging.ERROR)
        yield
        absl.setLevel(level)


def warn() -> None:
    logging.getLogger("jax._src.bridge").warning("no %s", "GPU")
    logging.getLogger("jax._src.bridge").info("it is nothing")
    logging.getLogger("absl").warning("an old file")
    logging.getLogger("absl").error("a broken file")
    warnings.warn("a weight is unused", UserWarning, stacklevel=1)


def test_warnings_of_libraries_reach_the_log(tmp_path, capsys):
    log = tmp_path / "log.txt"
    with bare():
        with pytest.warns(UserWarning, match="a weight is unused"):
            warn()
        before = capsys.readouterr().err
        with pytest.warns(UserWarning, match="a weight is unused"), logged(log), logged(log):
            warn()
        assert capsys.readouterr().err == before == "no GPU\na broken file\n"
        assert logging.getLogger().handlers == [] == logging.getLogger("absl").filters
        assert logging.getLogger("absl").level == logging.ERROR
    said = [line.split(" ", 2)[2] for line in log.read_text("utf-8").splitlines()]
    assert said[:3] == ["WARNING jax._src.bridge: no GPU", "WARNING absl: an old file", "ERROR absl: a broken file"]
    assert said[3].startswith("WARNING UserWarning: a weight is unused (")
    assert said[4:] == []


def test_what_is_said_before_the_run_begins_is_kept(tmp_path):
    path = tmp_path / "run" / "log.txt"
    with logged(path, begun=False) as log:
        logging.getLogger("keras").warning("early")
        path.parent.mkdir()
        assert not path.exists()
        log.begin("train     on the CPU")
        assert [line.rpartition(": ")[2] for line in path.read_text("utf-8").splitlines()] == ["early", "train     on the CPU"]
        logging.getLogger("keras").warning("late")
    assert path.read_text("utf-8").endswith("WARNING keras: late\n")


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, capsys):
    with bare(), logged(tmp_path / "gone" / "log.txt"):
        logging.getLogger("keras").warning("said")
    assert capsys.readouterr().err == "said\n"
