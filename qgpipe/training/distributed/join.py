"""How a process joins a process group: started by torch's elastic launch, or by Slurm."""

import atexit
import os
import re
from collections.abc import Mapping

import torch
import torch.distributed as dist

from qgpipe.config.types import Config, ParallelSection
from qgpipe.errors import ConfigError
from qgpipe.training.distributed.process_group import ALONE, Processes, ProcessGroup

FIRST_PORT, PORTS = 15000, 15000  # of a Slurm job: by its number


def is_to_launch(config: Config) -> bool:
    """Whether this process has to start the processes of ``parallel``, and is not one of them.

    Raises ``ConfigError`` if ``srun`` has started a different number of tasks.
    """
    section = config.get("parallel")
    if section is None or section["world_size"] == 1:
        return False
    started = dist.get_world_size() if dist.is_initialized() else _world_size(_environment(section))
    return started == 1


def join_process_group(config: Config) -> Processes:
    """Join the process group that this process was started for, if any, and return it.

    The group may be initialised already; otherwise its ranks were started by ``torchrun``, by
    ``launch``, or by ``srun`` with ``parallel.world_size`` tasks. Raises ``ConfigError`` if the
    number of ranks is not ``parallel.world_size``.
    """
    section = config.get("parallel")
    if not dist.is_initialized():
        environment = _environment(section)
        if _world_size(environment) == 1:
            return ALONE
        os.environ.update(environment)
        _require_size(section, _world_size(environment))  # before a rank waits for the others
        _require_gpu(config)
        dist.init_process_group(backend_of(config))
        atexit.register(_leave)
    size = dist.get_world_size()
    _require_size(section, size)
    return ALONE if size == 1 else ProcessGroup()


def _require_size(section: ParallelSection | None, size: int) -> None:
    if section is not None and size not in (1, section["world_size"]):
        raise ConfigError(
            f"there are {size} processes, not {section['world_size']}",
            key="parallel.world_size",
            remedy="start as many as it says",
        )


def uses_gpus(config: Config) -> bool:
    """Whether the ranks compute on GPUs."""
    device = str(config["training"]["device"])
    return device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())


def backend_of(config: Config) -> str:
    """The backend of the process group. Raises ``ConfigError`` for NCCL without GPUs."""
    section = config.get("parallel")
    backend = (section and section["backend"]) or ("nccl" if uses_gpus(config) else "gloo")
    if backend == "nccl" and not uses_gpus(config):
        raise ConfigError(
            "nccl connects GPUs, and this training is on the CPU",
            key="parallel.backend",
            remedy="leave it out, or write gloo",
        )
    return backend


def require_gpus(config: Config, processes: int) -> None:
    """Raise ``ConfigError`` if ranks use GPUs, and there are fewer than ``processes`` here."""
    there = torch.cuda.device_count()
    if uses_gpus(config) and processes > there:
        raise ConfigError(
            f"{processes} processes on this machine need a GPU each, and torch sees {there} here",
            key="parallel.world_size",
            remedy=f"make it at most {there}, set training.device to cpu, or allow the workflow "
            f"more with --resources gpu={processes}",
        )


def _require_gpu(config: Config) -> None:
    """Select the GPU of this rank, if ranks use GPUs."""
    if not uses_gpus(config):
        return
    if torch.cuda.device_count() == 1 and "SLURM_STEP_ID" in os.environ:
        return  # Slurm shows each task only its own
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    require_gpus(config, int(os.environ.get("LOCAL_WORLD_SIZE", local_rank + 1)))
    torch.cuda.set_device(local_rank)


def _environment(section: ParallelSection | None) -> dict[str, str]:
    """The environment variables, with those that torch reads to initialise a process group."""
    return {**os.environ, **({} if "RANK" in os.environ else _slurm_environment(section))}


def _world_size(environment: Mapping[str, str]) -> int:
    """The number of ranks that were started together with this process; 1 if it is none."""
    return max(1, int(environment.get("WORLD_SIZE", 1))) if "RANK" in environment else 1


def _slurm_environment(section: ParallelSection | None) -> dict[str, str]:
    """The variables that torch reads, for a task that ``srun`` started together with others."""
    tasks = int(os.environ.get("SLURM_NTASKS", 1))
    if section is None or tasks == 1 or "SLURM_STEP_ID" not in os.environ:
        return {}
    if tasks != section["world_size"]:
        raise ConfigError(
            f"srun has started {tasks} tasks, not {section['world_size']}",
            key="parallel.world_size",
            remedy="start a task for each process",
        )
    nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ["SLURM_JOB_NODELIST"]
    port = FIRST_PORT + int(os.environ["SLURM_JOB_ID"]) % PORTS
    return {
        "RANK": os.environ["SLURM_PROCID"],
        "LOCAL_RANK": os.environ["SLURM_LOCALID"],
        "WORLD_SIZE": str(tasks),
        "LOCAL_WORLD_SIZE": _tasks_per_node(),
        "MASTER_ADDR": section["master_addr"] or first_host(nodes),
        "MASTER_PORT": str(section["master_port"] or port),
    }


def _tasks_per_node() -> str:
    """The largest number of tasks on a node: 4 for Slurm's ``4(x2),3``."""
    counts = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "1")
    return str(max(int(count) for count in re.findall(r"(\d+)(?:\(x\d+\))?", counts)))


def first_host(nodes: str) -> str:
    """The first host of Slurm's list ``nodes``: ``gpu07`` for ``gpu[07-09,12],login``."""
    found = re.match(r"([^,\[]*)(?:\[([^\],-]+)[^\]]*\])?([^,\[]*)", nodes)
    assert found is not None
    return "".join(part or "" for part in found.groups())


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
