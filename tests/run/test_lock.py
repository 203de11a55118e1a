"""One process at a time holds a lock; that of an ended one is taken over, on this host at once, on another after a while."""

import json
import os
import re
import subprocess
import threading
import time

import pytest

from mmzoo.errors import RunError
from mmzoo.run import lock as lock_module
from mmzoo.run.lock import SILENCE, check_free, holding, read_lock


@pytest.fixture
def lock(tmp_path):
    return tmp_path / ".lock"


def said(lock) -> str:
    with pytest.raises(RunError) as raised, holding(lock):
        pass
    return str(raised.value)


def age(lock, seconds: float) -> None:
    os.utime(lock, (lock.stat().st_mtime - seconds,) * 2)


def test_a_second_holder_is_refused_and_told_who_the_first_is(lock):
    with holding(lock) as before:
        assert before is None
        mine = read_lock(lock)
        assert said(lock) == (
            f"{lock.parent}: process {os.getpid()} on {mine['host']} has been working there since {mine['since']}.\n"
            "Wait until it has ended, or stop it."
        )
        check_free(lock)  # to this process it is free
        assert read_lock(lock) == mine
    assert not lock.exists()


def test_an_error_frees_the_lock(lock):
    with pytest.raises(ZeroDivisionError), holding(lock):
        _ = 1 / 0
    assert not lock.exists()


def test_the_lock_of_a_killed_process_is_taken_over(lock):
    with subprocess.Popen(["sleep", "60"]) as process:
        began = lock_module._began(process.pid)
        found = {"process": process.pid, "place": lock_module._place(), "began": began, "host": "here", "since": "noon"}
        lock.write_text(json.dumps(found), "utf-8")
        age(lock, 2 * SILENCE)  # it lives, however silent
        assert said(lock) == (
            f"{lock.parent}: process {process.pid} on here has been working there since noon.\n"
            "Wait until it has ended, or stop it."
        )
        with pytest.raises(RunError):
            check_free(lock)
        process.kill()
        while lock_module._began(process.pid):
            time.sleep(0.01)
        with holding(lock) as before:  # its parent has not waited for it: its number is still taken
            assert before == found
    assert list(lock.parent.iterdir()) == []


@pytest.mark.parametrize("began", ["another boot 7", ""])
def test_a_number_that_another_process_has_by_now(lock, began):
    lock.write_text(json.dumps({"process": os.getpid(), "place": lock_module._place(), "began": began}), "utf-8")
    with holding(lock) as before:
        assert before["began"] == began


def test_a_process_that_belongs_to_another_user_and_is_hidden_lives(lock, monkeypatch):
    def refuse(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(lock_module, "_began", lambda process: "")
    lock.write_text(json.dumps({"process": 7, "place": lock_module._place(), "began": "long ago"}), "utf-8")
    assert "process 7 on" in said(lock)


@pytest.mark.parametrize("text", ['{"process": 1, "host": "trainer", "since": "noon", "place": "elsewhere"}', "", "[]", "{"])
def test_who_cannot_be_looked_for_has_ended_if_silent(lock, text):
    lock.write_text(text, "utf-8")
    age(lock, 60)
    who = "process 1 on trainer has been working there since noon"
    who = who if "noon" in text else r"process \? on an unknown host has been working there since an unknown time"
    assert re.fullmatch(
        rf"{lock.parent}: {who}; its last sign of life is 6\d s old\.\nWait until it has ended\. After 10 minutes without a "
        rf"sign of life it counts as ended\. If you know that it has, remove {lock}\.",
        said(lock),
    )
    age(lock, SILENCE)
    with holding(lock) as before:
        assert before == (json.loads(text) if "noon" in text else {})


def test_a_holder_gives_signs_of_life(lock, monkeypatch):
    monkeypatch.setattr(lock_module, "BEAT", 0.01)
    with holding(lock):
        age(lock, SILENCE)
        old = lock.stat().st_mtime
        until = time.monotonic() + 10
        while lock.stat().st_mtime == old and time.monotonic() < until:
            time.sleep(0.01)
        assert lock.stat().st_mtime > old


def test_a_lock_that_another_has_taken_over_is_not_removed(lock):
    with holding(lock):
        lock.write_text('{"process": 1}', "utf-8")
    assert read_lock(lock) == {"process": 1}


def test_a_lock_that_is_taken_over_meanwhile_is_put_back(lock):
    lock.write_text('{"process": 1}', "utf-8")
    assert not lock_module._remove(lock, {"process": 2})
    assert read_lock(lock) == {"process": 1}
    assert list(lock.parent.iterdir()) == [lock]


def test_of_many_that_wait_for_an_ended_one_one_works_at_a_time(lock):
    lock.write_text(json.dumps({"process": os.getpid(), "place": lock_module._place(), "began": "before"}), "utf-8")
    working, most, said_ = [], [], []

    def work(number: int) -> None:
        with holding(lock, wait=said_.append):
            working.append(number)
            time.sleep(0.02)
            most.append(len(working))
            working.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4
    assert 1 <= len(said_) <= 3
    assert all(f"process {os.getpid()} on" in one for one in said_)


def test_a_lock_that_cannot_be_written_leaves_nothing(lock, monkeypatch):
    def fail(*arguments):
        raise OSError("full")

    monkeypatch.setattr(json, "dump", fail)
    with pytest.raises(OSError, match="full"), holding(lock):
        pass
    assert not lock.exists()
