"""Rows are read as they were added, from a file that goes with them."""

import errno
import gc
import os

import pytest

from mmzoo.errors import RunError
from mmzoo.evaluation.rows import Rows


def test_rows_are_a_list_on_disk():
    rows = Rows()
    added = [{"row": str(number), "answers": {"model": {"drawn": bytes([number]) * number}}} for number in range(9)]
    for number, row in enumerate(added):
        rows.append(row)
        assert rows[number // 2] == added[number // 2]
    assert (list(rows), rows[2:4], rows[-1], len(rows)) == (added, added[2:4], added[-1], 9)
    rows[3]["row"] = "changed"
    assert rows[3] == added[3]
    assert not Rows()


def test_the_file_goes_with_the_rows():
    rows = Rows()
    number = rows._file.fileno()
    del rows
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_a_full_disk_is_said(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "")

    rows = Rows()
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp/full")
    monkeypatch.setattr("pickle.dump", full)
    with pytest.raises(RunError, match=r"^/tmp/full: it cannot be written: No space left on device"):
        rows.append({})
