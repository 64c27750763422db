"""Where the graphs of a data set are held: on disk, in memory, or on the training device."""

import os
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import torch

from qgpipe.data.graphs.blocks import Blocks
from qgpipe.data.graphs.edge_formats import in_edge_format, list_bytes
from qgpipe.data.graphs.select import concatenate
from qgpipe.data.storage.part_file import open_part
from qgpipe.errors import ConfigError
from qgpipe.message_passing.edge_format import EdgeFormat

RESIDENCIES = ("auto", "memory", "mmap", "device")
SPARE_FILES = 256
DEVICE_SHARE = 0.25  # of free memory; the rest is for weights and activations


def choose_residency(residency: str, infos: Sequence[dict[str, Any]], device: torch.device) -> str:
    """``residency``, with ``auto`` replaced by ``device``, ``memory`` or ``mmap``.

    ``device`` if that is a GPU and the graphs, whose part files ``infos`` describe, need less than
    ``DEVICE_SHARE`` of its free memory; else ``memory`` if they need less than half of the free
    memory of the host; else ``mmap``.

    Raises ``ConfigError`` for an unknown ``residency``.
    """
    if residency not in RESIDENCIES:
        raise ConfigError(
            f"expected {', '.join(RESIDENCIES[:-1])} or {RESIDENCIES[-1]}, got '{residency}'",
            key="data.residency",
        )
    if residency != "auto":
        return residency
    largest = largest_graph(infos)
    needed = sum(memory_bytes(info, largest) for info in infos)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # each process holds the graphs
    if needed >= available_memory() / (2 * processes):
        return "mmap"  # also for a GPU: graphs pass through host memory
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
    return "device" if needed < DEVICE_SHARE * free else "memory"


def open_blocks(paths: Sequence[Path], mapped: bool = True) -> Blocks:
    """The graphs of part files as they are stored; ``mapped``: memory-mapped, not read at once."""
    _allow_open_files(len(paths))
    return Blocks([open_part(path, mapped) for path in paths])


def read_blocks(paths: Sequence[Path], edge_format: EdgeFormat, largest: int) -> Blocks:
    """The graphs of part files, in memory, with edges converted for batches of ``edge_format``.

    ``largest`` is the number of nodes of the largest graph.
    """
    parts = [in_edge_format(open_part(path, mapped=False), edge_format, largest) for path in paths]
    return Blocks([concatenate(parts)])


def largest_graph(infos: Sequence[dict[str, Any]]) -> int:
    """Number of nodes of the largest graph in the part files that ``infos`` describe."""
    return max(max(info["sizes"]["values"], default=0) for info in infos)


def memory_bytes(info: dict[str, Any], largest: int) -> int:
    """Upper bound of the memory of a part with edges as lists, in bytes."""
    edges = list_bytes(info["num_edges"], info["num_nodes"], info["num_graphs"], largest)
    stored = info["bytes"] if info["compressed"] else 0  # is also held in memory
    return stored + info["bytes"] + edges


def available_memory() -> int:
    """Bytes of memory that are free for this process, within the limit of its control group."""
    free = psutil.virtual_memory().available
    group = _control_group()
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, max(limit - used, 0))


def _control_group() -> Path:
    """Folder of this process's control group (Linux, version 2), where schedulers set limits."""
    try:
        name = Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip()
    except OSError:
        name = ""
    return Path("/sys/fs/cgroup", name.lstrip("/"))


def _allow_open_files(count: int) -> None:
    """Raise the limit of open files of this process as far as allowed: each mapping needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
