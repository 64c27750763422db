"""How a stage ends, told in processes of its own."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from qgpipe.system.logs import SIGNALS

STAGE = """
import sys, time
from pathlib import Path
from qgpipe.errors import DataError
from qgpipe.system.files import atomic_path
from qgpipe.system.logs import PROGRESS, stage

folder = Path(sys.argv[1])
with stage(folder / "logs" / "split.log"):
{block}
"""

WRITE_AND_WAIT = """
with atomic_path(folder / "split.json") as temporary:
    temporary.write_text("half")
    PROGRESS.info("half-way")
    time.sleep(60)
"""


@pytest.fixture
def start(tmp_path):
    """Start a stage that runs a block of code, with the test's folder as ``folder``."""
    started = []

    def begin(block, script=STAGE):
        code = script.format(block=textwrap.indent(block, "    "))
        process = subprocess.Popen(
            [sys.executable, "-c", code, tmp_path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def log(tmp_path):
    return (tmp_path / "logs" / "split.log").read_text()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_it_with_75_says_how_to_go_on_and_leaves_nothing(start, tmp_path, number):
    process = start(WRITE_AND_WAIT)
    assert process.stderr.readline() == "half-way\n"
    process.send_signal(number)
    _, terminal = process.communicate(timeout=30)
    assert process.returncode == 75
    assert terminal == f"split: stopped by {number.name}; start the same command again to go on\n"
    assert [file.name for file in tmp_path.iterdir()] == ["logs"]


def test_a_mistake_is_one_line_on_the_terminal_and_code_1(start, tmp_path):
    process = start("raise DataError('it is empty', store='a.zarr', remedy='fill it')")
    _, terminal = process.communicate()
    assert process.returncode == 1
    assert terminal == "\nsplit: a.zarr: it is empty; fill it\n\n"
    assert "a.zarr: it is empty; fill it" in log(tmp_path)


def test_what_led_to_a_mistake_is_in_the_log(start, tmp_path):
    block = "raise DataError('it is empty') from KeyError('the cause')"
    _, terminal = start(block).communicate()
    assert "the cause" not in terminal
    assert "KeyError: 'the cause'" in log(tmp_path)


def test_a_bug_keeps_its_traceback(start, tmp_path):
    process = start("1 / 0")
    _, terminal = process.communicate()
    assert process.returncode == 1
    assert "ZeroDivisionError" in terminal
    assert "ZeroDivisionError" in log(tmp_path)


def test_what_is_printed_goes_to_the_log_also_by_children(start, tmp_path):
    process = start("print('mine')\nimport os\nos.system('echo theirs')")
    out, terminal = process.communicate()
    assert (process.returncode, out, terminal) == (0, "", "")
    assert set(log(tmp_path).split()) == {"mine", "theirs"}


PARENT = """
import subprocess, sys, time
job = subprocess.Popen([sys.executable, "-c", {code!r}, sys.argv[1]])
print(job.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent")
def test_it_ends_when_the_workflow_is_killed(start, tmp_path):
    code = STAGE.format(block=textwrap.indent(WRITE_AND_WAIT, "    "))
    parent = start("", PARENT.format(code=code))
    job = int(parent.stdout.readline())
    assert parent.stderr.readline() == "half-way\n"
    parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while is_alive(job) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(job)
    assert [file.name for file in tmp_path.iterdir()] == ["logs"]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_log_that_cannot_grow_any_more_changes_nothing_else(start, tmp_path, full_disk):
    """On a full disk the error still reaches the terminal, and only it."""
    disk = full_disk(40_000)
    block = f"""
folder = Path({str(disk)!r})
with stage(folder / "split.log"):
    (folder / "filler").write_bytes(b"0" * 28_000)
    for _ in range(1000):
        PROGRESS.info("a line that is written to the log, too, and takes some room there")
    from qgpipe.system.files import write_text
    write_text(folder / "split.json", "0" * 20_000)
"""
    process = start("", STAGE.split("with")[0] + block.replace("{", "{{").replace("}", "}}"))
    _, terminal = process.communicate()
    assert process.returncode == 1
    assert terminal.splitlines()[1000:] == [
        "",
        f"split: {disk}/split.json: cannot be written, no space is left on its disk "
        "(0.0 MB were free); make room and start the same command again, or write to another disk",
        "",
    ]
    assert sorted(file.name for file in disk.iterdir()) == ["filler", "split.log"]


def test_a_long_error_is_cut_on_the_terminal_and_whole_in_the_log(start, tmp_path):
    process = start("raise DataError('\\n'.join(f'line {k}' for k in range(1500)))")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert len(said) < 700 and said.strip().count("\n") == 0
    assert f"(all of it is in {tmp_path / 'logs' / 'split.log'})" in said
    assert all(f"line {k}\n" in log(tmp_path) for k in range(1500))


def test_a_file_that_the_system_refuses_ends_a_stage_with_a_line(start, tmp_path):
    process = start("(folder / 'logs').write_text('')")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert said.strip().startswith(f"split: {tmp_path / 'logs'}: Is a directory (EISDIR); give")
    assert "Traceback" not in said and "Traceback" in log(tmp_path)
