"""Whole files or none; and whose temporary files are left over."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from qgpipe.system.files import ABANDONED_SECONDS, atomic_path, is_leftover, write_text
from qgpipe.system.process import CLOCKS_APART, HOST, is_running

DAY = 24 * 3600


@pytest.fixture(scope="module")
def living():
    """A process that has just begun."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate()


@pytest.fixture
def dead():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture(params=["file", "folder"])
def temporary(tmp_path, request):
    """A function of who writes ``a.json`` and for how long he has been silent."""

    def make(pid, host=HOST, silent=0.0, then=""):
        path = tmp_path / f".a.json.{host}.{pid}.tmp{then}"
        inside = path / "deep" / "0.0"
        if request.param == "folder":
            inside.parent.mkdir(parents=True)
        for file in (inside, inside.parent, path) if request.param == "folder" else (path,):
            if not file.exists():
                file.touch()
            os.utime(file, (time.time() - silent,) * 2)
        return path

    return make


def is_removed_by_the_next_writer(path):
    write_text(path.parent / "a.json", "{}")
    return not path.exists()


@pytest.mark.parametrize("then", ["", ".old.tmp"])
def test_that_of_a_dead_process_is_left_over(temporary, dead, then):
    path = temporary(dead, then=then)
    assert is_leftover(path)
    assert is_removed_by_the_next_writer(path)


def test_that_of_a_living_process_is_not(temporary, living):
    path = temporary(living)
    assert not is_leftover(path)
    assert not is_removed_by_the_next_writer(path)


def test_that_of_a_process_whose_number_another_has_now_is(temporary, living):
    path = temporary(living, silent=DAY)
    assert is_leftover(path)
    assert is_removed_by_the_next_writer(path)


def test_a_clock_of_a_file_server_may_be_behind(temporary, living):
    assert not is_leftover(temporary(living, silent=CLOCKS_APART / 2))


@pytest.mark.parametrize(
    ("silent", "left"), [(0, False), (2 * DAY, False), (ABANDONED_SECONDS + DAY, True)]
)
def test_that_of_another_machine_is_after_a_week_of_silence(temporary, dead, silent, left):
    path = temporary(dead, host="elsewhere.org", silent=silent)
    assert is_leftover(path) == left
    assert is_removed_by_the_next_writer(path) == left


def test_a_folder_is_silent_only_if_all_in_it_is(tmp_path):
    folder = tmp_path / ".a.zarr.elsewhere.1.tmp"
    (folder / "x").mkdir(parents=True)
    (folder / "x" / "0.0").touch()
    for path in (folder / "x", folder):
        os.utime(path, (1e9, 1e9))
    assert not is_leftover(folder)
    os.utime(folder / "x" / "0.0", (1e9, 1e9))
    assert is_leftover(folder)


@pytest.mark.parametrize(
    "name",
    [
        "a.json",
        ".a.json.tmp",
        ".a.json.1.tmp",  # no host
        ".notes.txt.elsewhere.1.tmp",  # nothing that qgpipe writes
        ".a.json.elsewhere.1.tmp.bak",
        "a.json.elsewhere.1.tmp",
        ".a.json.elsewhere.x.tmp",
    ],
)
def test_a_file_that_is_not_named_so_never_is(tmp_path, name):
    path = tmp_path / name
    path.touch()
    os.utime(path, (1e9, 1e9))
    assert not is_leftover(path)
    with atomic_path(tmp_path / "a.json") as made:
        made.touch()
    assert path.exists()


def test_what_an_earlier_attempt_of_this_process_left_is_removed(tmp_path):
    left = tmp_path / f".a.json.{HOST}.{os.getpid()}.tmp.old.tmp"
    left.touch()
    assert is_removed_by_the_next_writer(left)


def test_a_process_is_known_by_its_number_and_when_it_had_it(living, dead):
    began = psutil.Process(living).create_time()
    assert is_running(HOST, living, time.time()) is True
    assert is_running(HOST, living, began - DAY) is False
    assert is_running(HOST, dead, time.time()) is False
    assert is_running("elsewhere", dead, time.time()) is None
    assert is_running(HOST, 10**30, time.time()) is False
    assert is_running(HOST, 1, time.time()) is True  # of root
