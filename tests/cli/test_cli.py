"""What holds for every command of ``qgpipe``."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from qgpipe.cli import COMMANDS, main

CALL = "import sys; from qgpipe.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"usage: qgpipe {command}" in capsys.readouterr().out


def test_a_reader_that_stops_early_ends_it_quietly(request):
    config = request.config.rootpath / "config" / "run.yaml"
    process = subprocess.Popen(
        [sys.executable, "-c", CALL, "reference", config],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1


SLEEPS = """
import signal, sys, time
from qgpipe import cli
from qgpipe.cli import snakefile

def sleep(arguments):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:  # what is cleaned up takes its time, too
        print("ready", flush=True)
        time.sleep({cleaning})

snakefile.run = sleep
sys.exit(cli.main(["snakefile"]))
"""


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_a_command_quietly(times):
    code = SLEEPS.format(cleaning=60 if times == 2 else 0)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for _ in range(times):
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 130


@pytest.fixture
def told(tmp_path):
    """What a command says to somebody who may read the files of ``tmp_path`` only as others may."""

    def tell(*arguments):
        out, into = os.pipe()
        process = os.fork()
        if process == 0:
            os.dup2(into, 2)
            sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
            os.chdir(tmp_path)
            if os.geteuid() == 0:
                os.seteuid(65534)
            code = 70
            try:
                code = main([*map(str, arguments)])
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(into)
        with os.fdopen(out) as said:
            text = said.read()
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), text

    for folder in (tmp_path, *tmp_path.parents[:-1]):
        if folder.stat().st_uid == os.getuid() and folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | 0o055)
    return tell


@pytest.mark.parametrize(
    ("command", "closed", "said"),
    [
        ("check run.yaml", "run.yaml", "run.yaml: cannot be read: Permission denied"),
        ("show run", "run", "run/config.yaml: Permission denied (EACCES); see who owns it"),
        ("trace run/model.pt", "run", "run/model.pt: Permission denied (EACCES)"),
        ("check run/model.pt/run.yaml", None, "run.yaml: cannot be read: Not a directory"),
        ("check " + 300 * "x", None, ": cannot be read: File name too long"),
        ("show " + 300 * "x", None, "File name too long (ENAMETOOLONG); give a shorter name"),
        ("check run", None, "run: cannot be read: Is a directory"),
    ],
)
def test_a_file_that_the_system_refuses_is_named_in_a_line(tmp_path, told, command, closed, said):
    shutil.copy(Path(__file__).parents[1] / "errors" / "run.yaml", tmp_path)
    for folder in ("run", "results/data", "results/runs/small"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("run/config.yaml", "run/model.pt", "results/data/.lock"):
        (tmp_path / file).write_text("")
    (tmp_path / "results" / "data" / ".lock").chmod(0o600 if os.getuid() == 0 else 0)
    if closed is not None:
        (tmp_path / closed).chmod(0)
    code, text = told(*command.split())
    if closed is not None:
        (tmp_path / closed).chmod(0o755)
    assert code == 1
    assert text.startswith("qgpipe ") and said in text and text.count("\n") == 1, text


def test_a_file_that_is_missing_inside_of_a_command_is_a_bug(monkeypatch):
    def run(arguments):
        raise FileNotFoundError(errno.ENOENT, "No such file", "inside")

    monkeypatch.setattr("qgpipe.cli.snakefile.run", run)
    with pytest.raises(FileNotFoundError):
        main(["snakefile"])
