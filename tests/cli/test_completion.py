"""What a shell offers after ``qgpipe``, in the shells that are installed."""

import shutil
import subprocess
import sys

import pytest

from qgpipe.cli import COMMANDS, main
from qgpipe.cli.new import PRESETS

ASKED = {
    ("",): COMMANDS,
    ("c",): tuple(name for name in COMMANDS if name.startswith("c")),
    ("new", "--p"): ("--preset",),
    ("new", "--preset", "g"): tuple(preset for preset in PRESETS if preset.startswith("g")),
    ("predict", "--format", ""): ("csv", "parquet"),
    ("completion", "z"): ("zsh",),
    ("check", "ru"): ("run.yaml",),
    ("diff", ""): ("results", "run.yaml"),
}
BASH = """
source script
COMP_WORDS=(qgpipe "$@"); COMP_CWORD=$#
_qgpipe
printf '%s\\n' "${COMPREPLY[@]}"
[[ ${#COMPREPLY[@]} -gt 0 ]] || compgen -o default -- "${COMP_WORDS[COMP_CWORD]}"
"""


@pytest.fixture
def here(tmp_path, monkeypatch, capsys, request):
    """The working directory, with the script for a shell and files to complete."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "run.yaml").touch()
    shell = request.getfixturevalue("shell") if "shell" in request.fixturenames else "bash"
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell}")
    assert main(["completion", shell]) == 0
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "script").write_text(capsys.readouterr().out)
    return tmp_path


def offered(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return {line.split("\t")[0].rstrip("/") for line in done.stdout.splitlines() if line}


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_bash_offers_what_may_follow(here, words):
    script = BASH.replace("source script", "source scripts/script")
    assert offered("bash", "-c", script, "bash", *words) - {"scripts"} == {*ASKED[words]}


@pytest.mark.parametrize("words", [w for w in ASKED if w != ("",)], ids=" ".join)
@pytest.mark.parametrize("shell", ["fish"])
def test_fish_offers_what_may_follow(here, shell, words):
    line = " ".join(["qgpipe", *words])
    script = f"source scripts/script; complete -C '{line}'"
    assert offered(shell, "--no-config", "-c", script) - {"scripts"} == {*ASKED[words]}


@pytest.mark.parametrize("shell", ["zsh"])
def test_zsh_reads_it(here, shell):
    said = offered(shell, "-f", "-c", "source scripts/script; print $_comps[qgpipe]")
    assert any("_bash_complete" in line for line in said)


def test_tab_completes_in_a_terminal(here):
    """An interactive bash, with the keys as they are typed."""
    code = (
        "import os, pty, sys, time\n"
        "pid, terminal = pty.fork()\n"
        "if pid == 0:\n"
        "    os.execvp('bash', ['bash', '--norc', '--noprofile', '-i'])\n"
        "def say(text):\n"
        "    os.write(terminal, text.encode())\n"
        "    time.sleep(0.5)\n"
        "say('source scripts/script; qgpipe() { echo called: $*; }\\n')\n"
        "say('qgpipe comp\\tba\\t\\n')\n"
        "say('exit\\n')\n"
        "out = b''\n"
        "try:\n"
        "    while chunk := os.read(terminal, 4096):\n"
        "        out += chunk\n"
        "except OSError:\n"
        "    pass\n"
        "sys.stdout.write(out.decode())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "called: completion bash" in done.stdout
