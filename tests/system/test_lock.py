"""Locks between real processes."""

import json
import os
import signal
import subprocess
import sys

import pytest

from qgpipe.errors import QgpipeError
from qgpipe.system.lock import FolderInUse, FolderLock, writing
from qgpipe.system.process import HOST

HOLD = """
import sys, time
from qgpipe.system.lock import FolderLock

lock = FolderLock(sys.argv[1])
getattr(lock, sys.argv[2])()
exec(sys.argv[3])
print("ready", flush=True)
time.sleep(60)
"""

FORK = """
import os

read, write = os.pipe()
if os.fork() == 0:
    os.write(write, b"!")
    time.sleep(9)
    os._exit(0)
os.read(read, 1)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / ".lock"


@pytest.fixture
def hold(path):
    """Start a process that holds the lock as ``write`` or ``read``."""
    started = []

    def begin(how, then=""):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, path, how, then], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_second_writer_is_told_who_works_there_and_how_to_stop_it(path, hold):
    holder = hold("write")
    with pytest.raises(FolderInUse) as refused:
        FolderLock(path).write()
    message = str(refused.value)
    assert isinstance(refused.value, QgpipeError)
    assert message.startswith(
        f"{path.parent}: in use by process {holder.pid} on host {HOST} (since "
    )
    assert message.endswith(f"; wait until it ends, or stop it with: kill {holder.pid}")


def test_the_lock_of_a_killed_process_is_taken_over(path, hold):
    kill(hold("write"))
    with writing(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_readers_share_it_and_keep_writers_out(path, hold):
    holder = hold("read")
    with FolderLock(path) as lock:
        lock.read()
        with pytest.raises(FolderInUse, match=str(holder.pid)):
            FolderLock(path).write()


def test_readers_wait_for_a_writer(path, hold):
    holder = hold("write")
    with pytest.raises(FolderInUse, match=str(holder.pid)):
        FolderLock(path).read()


def test_readers_that_were_killed_are_not_named(path, hold):
    first, second = hold("read"), hold("read")
    kill(first)
    with pytest.raises(FolderInUse) as refused:
        FolderLock(path).write()
    assert str(second.pid) in str(refused.value)
    assert str(first.pid) not in str(refused.value)


def test_a_writer_may_go_on_as_a_reader(path, hold):
    hold("write", then="lock.share()")
    with FolderLock(path) as lock:
        lock.read()
        assert lock.held


def test_a_released_lock_is_free_and_names_nobody(path):
    with writing(path):
        pass
    assert path.read_text() == ""
    with writing(path):
        pass


def test_a_name_alone_locks_nothing(path):
    path.parent.mkdir()
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1}) + "\n")
    with writing(path):
        assert json.loads(path.read_text())["host"] == HOST


def test_locks_of_different_names_do_not_exclude_each_other(path):
    other = path.with_name(".other")
    with writing(path), writing(other):
        assert json.loads(path.read_text())["pid"] == json.loads(other.read_text())["pid"]


def test_a_child_does_not_keep_the_lock_of_its_dead_parent(path, hold):
    holder = hold("write", then=FORK)
    kill(holder)
    with writing(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_of_a_machine_that_may_have_died_it_says_what_to_type(path, hold):
    """As a server of NFS may do, a lock outlives the machine that it was given to."""
    elsewhere = json.dumps({"host": "elsewhere", "pid": 7, "since": "yesterday"})
    write = f"import pathlib; pathlib.Path(sys.argv[1]).write_text({elsewhere!r} + chr(10))"
    hold("write", then=write)
    with pytest.raises(FolderInUse) as refused:
        FolderLock(path).write()
    assert str(refused.value) == (
        f"{path.parent}: in use by process 7 on host elsewhere (since yesterday); wait until it "
        f"ends, or stop it there; if that machine has died, type: rm {path}"
    )
    path.unlink()  # as it says
    with writing(path):
        pass


def test_so_it_does_if_nobody_is_known_to_work_there(path, hold):
    hold("write", then="import os; os.truncate(sys.argv[1], 0)")
    with pytest.raises(FolderInUse, match=f"in use by another process; .* type: rm {path}"):
        FolderLock(path).read()


def test_where_a_lock_cannot_be_made_there_is_none_to_read(path):
    """In the folder of someone else, on a file system that is mounted to be read only."""
    path.parent.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(path.parent)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"needs to mount a file system: {done.stderr.strip()}")
    try:
        with FolderLock(path) as lock:
            lock.read()
            assert not lock.held
        with pytest.raises(OSError, match="Read-only"):
            FolderLock(path).write()
    finally:
        subprocess.run(["umount", "--lazy", str(path.parent)], check=True)


def test_a_process_that_was_given_the_number_of_a_dead_reader_is_not_named(path, hold):
    innocent, holder = hold("read"), hold("read")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["pid"] for line in lines] == [innocent.pid, holder.pid]
    lines[0]["time"] -= 24 * 3600
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(FolderInUse) as refused:
        FolderLock(path).write()
    assert str(holder.pid) in str(refused.value)
    assert str(innocent.pid) not in str(refused.value)
