"""A logger of the processor time that a training has taken by the end of each epoch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

NAME = "processor_seconds"


class ProcessorLog:
    """Writes the seconds that its process, the first of a training, has computed: a line an epoch.

    Other load of the machine hardly shows in them, nor does waiting for other processes.
    """

    def start(self, config: dict[str, Any], folder: Path, rows: list[dict[str, Any]]) -> None:
        self._file = folder / NAME

    def log(self, row: dict[str, Any]) -> None:
        with self._file.open("a") as file:
            file.write(f"{time.process_time()}\n")

    def finish(self, outcome: str) -> None:
        pass
