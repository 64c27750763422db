"""Starts the processes of a training, on this machine by torch's elastic launch."""

import logging
import os
import pickle
import signal
import sys
import tempfile
import types
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from qgpipe.config.objects import add_search_path
from qgpipe.config.types import Config, ParallelSection
from qgpipe.errors import ConfigError, TrainingError
from qgpipe.stages.session_code import live_folders
from qgpipe.system import logs
from qgpipe.system.process import end_with_parent
from qgpipe.training.distributed.join import require_gpus
from qgpipe.training.distributed.rank import first_error, run_payload
from qgpipe.training.distributed.signals import Interrupted, handlers_kept
from qgpipe.training.distributed.slurm_tasks import is_for_nodes, run_tasks

STANDARD_ERROR = 2
SECONDS_TO_SAVE = "600"  # after a signal; schedulers allow less


class _Terminal:
    """The stream that a person watches, to be pickled for a process that is started."""

    def __init__(self, descriptor: Any = None):
        self._descriptor = descriptor

    def __reduce__(self) -> tuple:
        try:
            descriptor = logs.terminal().fileno()
        except (OSError, AttributeError):  # in a notebook there is no file descriptor
            descriptor = STANDARD_ERROR
        return _Terminal, (DupFd(descriptor),)

    def take_over(self) -> None:
        """Use it as the terminal of this process."""
        logs.set_terminal(os.fdopen(self._descriptor.detach(), "w", buffering=1))


def launch(function: Callable[..., None], config: Config, *arguments: Any) -> None:
    """Call ``function(config, *arguments)`` in ``parallel.world_size`` processes of a group.

    They run on this machine, or on ``parallel.nodes`` nodes of this process's Slurm job. If ranks
    fail, raises the first error if a user can fix it, else ``RuntimeError`` with its traceback.
    After a signal, raises ``Interrupted`` when the ranks have saved their state.
    """
    section = config["parallel"]
    add_search_path(*live_folders())  # in the environment, for all processes
    payload = _pickled(function, config, *arguments)
    if is_for_nodes(config):
        return run_tasks(config, payload)
    require_gpus(config, section["world_size"])
    with tempfile.TemporaryDirectory(prefix="qgpipe-ranks-") as folder, handlers_kept():
        setup = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=section["world_size"],
            run_id=uuid.uuid4().hex,
            max_restarts=0,  # Snakemake or Slurm retries, from the last checkpoint
            local_addr="localhost",
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            signals_to_handle=",".join(number.name for number in logs.SIGNALS),
            **_meeting_point(section),
        )
        os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SECONDS_TO_SAVE)
        try:
            with _main_kept_out(payload):
                level = logging.getLogger("qgpipe").getEffectiveLevel()
                threads = torch.get_num_threads()
                elastic_launch(setup, _rank)(_Terminal(), (level, threads), payload)
        except SignalException as error:
            raise Interrupted(error.sigval.name) from None
        except ChildFailedError as error:
            raise _cause(error, Path(folder)) from None
        except dist.DistNetworkError as error:
            raise ConfigError(
                f"the processes cannot meet at port {section['master_port']} "
                f"({str(error).splitlines()[0].rpartition('message: ')[2]})",
                key="parallel.master_port",
                remedy="leave it out: then any free port is taken",
            ) from None


def _meeting_point(section: ParallelSection) -> dict[str, Any]:
    """Arguments for the rendezvous of the processes, which are all on this machine."""
    if section["master_port"] is None:
        return {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
    return {
        "rdzv_backend": "static",
        "rdzv_endpoint": f"localhost:{section['master_port']}",
        "rdzv_configs": {"rank": 0},
    }


def _rank(terminal: _Terminal, levels: tuple[int, int], payload: bytes) -> None:
    """The function that each process runs."""
    end_with_parent(signal.SIGTERM)
    terminal.take_over()
    rank, folder = os.environ["RANK"], Path(os.environ["TORCHELASTIC_ERROR_FILE"]).parent
    threads = max(1, levels[1] // int(os.environ["LOCAL_WORLD_SIZE"]))
    try:
        run_payload(payload, folder, rank, levels[0], threads)
    finally:
        if dist.is_initialized() and sys.exc_info()[0] is None:
            dist.destroy_process_group()


def _pickled(*function_and_arguments: Any) -> bytes:
    try:
        return pickle.dumps(function_and_arguments)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"the configuration or a loader cannot be sent to other processes: {error}",
            key="parallel",
            remedy="define its functions and classes at the top of a module, not in a function",
        ) from None


@contextmanager
def _main_kept_out(payload: bytes) -> Iterator[None]:
    """A block in which started processes import the running script only if ``payload`` needs it.

    ``multiprocessing`` would always import it, and the script of a workflow job would then run the
    job again.
    """
    if b"__main__" in payload:
        yield
        return
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _cause(failed: ChildFailedError, folder: Path) -> BaseException:
    """The first error of the ranks, which caused all others."""
    _, failure = failed.get_first_failure()
    if failure.exitcode == logs.TRY_AGAIN:
        return Interrupted("a signal")
    error = first_error(folder)
    if failure.exitcode < 0 or error is None:
        known: Any = failure.message
        message = known["message"] if isinstance(known, dict) else known
        return TrainingError(
            f"process {failure.local_rank} ended: {message}",
            where="parallel",
            remedy="if it was killed, memory may be short; the same command goes on from the "
            "last checkpoint",
        )
    return error
