"""What checkpoints cost: the share of a training that is spent on writing them.

    python benchmarks/checkpoints.py --folder /tmp/checkpoints

Trains the default run in ``--folder`` (its data is made there first, and kept), from the
beginning, and takes the time of every save: collecting the state, serialising it, writing
it and waiting until it is on the disk, the best model too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from machine import describe

from qgpipe import Trainer, paths
from qgpipe.config import load_config
from qgpipe.training.loaders import Loaders
from qgpipe.training.training_loop import TrainingLoop

ROOT = Path(__file__).parents[1]


def measure(trainer: Trainer, loaders: Loaders) -> str:
    """Train, and say what share of the time went into checkpoints."""
    save, saves = TrainingLoop.save_checkpoint, []

    def timed(*arguments: Any) -> None:
        began = time.perf_counter()
        save(*arguments)
        saves.append(time.perf_counter() - began)

    started = time.perf_counter()
    with patch.object(TrainingLoop, "save_checkpoint", timed):
        trainer.run_training(loaders.train, loaders.validation)
    seconds, saving = time.perf_counter() - started, sum(saves)
    assert trainer.checkpoints is not None
    size = trainer.checkpoints.last.stat().st_size
    return (
        f"{trainer.epoch} epochs in {seconds:.1f} s, {len(saves)} checkpoints of "
        f"{size / 1e6:.2f} MB in {saving:.2f} s (the longest {max(saves) * 1e3:.0f} ms): "
        f"{saving / seconds:.2%} of the time"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="to work in")
    parser.add_argument("--rounds", type=int, default=3, help="trainings (%(default)s)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(options.folder)
    config = load_config(ROOT / "config" / "run.yaml")
    for number in range(options.rounds):
        trainer = Trainer.from_config(config)
        loaders = trainer.prepare_dataloaders()
        if number == 0:
            print(describe("torch"), flush=True)
        shutil.rmtree(paths.run_folder(trainer.config), ignore_errors=True)
        print(measure(trainer, loaders), flush=True)


if __name__ == "__main__":
    main()
