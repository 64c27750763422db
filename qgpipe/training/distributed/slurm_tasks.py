"""Runs the processes of a training on several nodes of a Slurm job, as tasks of ``srun``."""

import logging
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import torch

from qgpipe.config.types import Config, ParallelSection
from qgpipe.errors import ConfigError, TrainingError
from qgpipe.system import logs
from qgpipe.system.files import scratch_folder
from qgpipe.training.distributed.rank import first_error, run_payload
from qgpipe.training.distributed.signals import Interrupted, handlers_kept

_STOPPED = "stopped"


def is_for_nodes(config: Config) -> bool:
    """Whether ``parallel`` requests several nodes, and this process is in a Slurm job."""
    return config["parallel"]["nodes"] > 1 and "SLURM_JOB_ID" in os.environ


def run_tasks(config: Config, payload: bytes) -> None:
    """Run the function pickled in ``payload``, with its arguments, in one task for each rank.

    The tasks form a step of the Slurm job of this process. Raises the error of the first rank that
    fails, and ``Interrupted`` after a signal, when the ranks have saved their state.
    """
    if b"__main__" in payload:
        raise ConfigError(
            "the tasks on other nodes cannot import the script that was started",
            key="parallel.nodes",
            remedy="define its functions and classes in a module, or start the script with srun",
        )
    shared = Path(config["training"]["path"], f"slurm-job-{os.environ['SLURM_JOB_ID']}")
    with scratch_folder(shared.absolute()) as folder:
        level = logging.getLogger("qgpipe").getEffectiveLevel()
        task = pickle.dumps((folder, level, torch.get_num_threads(), payload))
        command = _command(config["parallel"])
        step = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=logs.terminal())
        with handlers_kept():
            _forward_signals(step)
            step.communicate(task)
        if (folder / _STOPPED).exists():
            raise Interrupted("a signal")
        if step.returncode == 0:
            return
        raise first_error(folder) or TrainingError(
            f"srun has ended with exit code {step.returncode}",
            where="parallel",
            remedy="it says why above; if a process was killed, memory may be short; the same "
            "command goes on from the last checkpoint",
        )


def _command(section: ParallelSection) -> list[str]:
    return [
        "srun",
        f"--nodes={section['nodes']}",
        f"--ntasks={section['world_size']}",
        f"--cpus-per-task={torch.get_num_threads()}",
        "--wait=0",
        "--kill-on-bad-exit=1",  # the others would wait for a task that has ended
        sys.executable,
        "-m",
        "qgpipe.training.distributed.slurm_tasks",
    ]


def _forward_signals(step: subprocess.Popen) -> None:
    """Forward signals of this process to the tasks.

    As SIGUSR1, which srun forwards; on SIGTERM it would kill the tasks.
    """

    def forward(_number: int, _: FrameType | None) -> None:
        step.send_signal(signal.SIGUSR1)

    for number in logs.SIGNALS:
        signal.signal(number, forward)


def _run_task() -> None:
    """The function that each task runs."""
    folder, level, threads, payload = pickle.load(sys.stdin.buffer)
    terminal = os.dup(2)  # standard error of srun is shown to a person; output goes to the log
    os.dup2(1, 2)
    logs.set_terminal(os.fdopen(terminal, "w", buffering=1))
    try:
        run_payload(payload, folder, os.environ["SLURM_PROCID"], level, threads)
    except Interrupted:
        (folder / _STOPPED).touch()  # and exit with 0: others may still be saving


if __name__ == "__main__":
    _run_task()
