"""What holds for every command of ``qgpipe``."""

import subprocess
import sys

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
