"""Snakemake's command line, in processes forked from this one, which has imported all it needs.

Reads a line for each call, in JSON: its ``arguments`` and the ``file`` for what it says. Writes a
line with its exit code.
"""

import json
import os
import sys
from pathlib import Path

import snakemake.api
import snakemake.cli

sys.path[0] = str(Path.cwd())  # as of ``python -m snakemake``
for line in sys.stdin:
    call = json.loads(line)
    process = os.fork()
    if process == 0:
        with Path(call["file"]).open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdin.close()
        sys.exit(snakemake.cli.main(call["arguments"]))
    _, status = os.waitpid(process, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
