"""Where the graphs of a data set are kept: in memory, or mapped from their part files."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from qgpipe.data.adjacency import as_targets, sorted_by_source, target_bytes
from qgpipe.data.blocks import Blocks
from qgpipe.data.gathering import concatenate
from qgpipe.data.packed import EdgePairs, Packed
from qgpipe.data.parts import open_part
from qgpipe.errors import ConfigError

SPARE_FILES = 256


def load_blocks(
    paths: Sequence[Path], infos: Sequence[dict[str, Any]], residency: str = "auto"
) -> Blocks:
    """The graphs of the part files ``paths``, whose descriptions are ``infos``.

    ``memory``: everything is read, and adjacency decoded, which makes batches twice as fast;
    ``mmap``: arrays are mapped and decoded as batches need them;
    ``auto``: memory if the graphs take less than half of what is free.
    Raises ``ConfigError`` for any other ``residency``.
    """
    if residency not in ("auto", "memory", "mmap"):
        raise ConfigError(f"expected auto, memory or mmap, got '{residency}'", key="data.residency")
    largest = max(max(info["sizes"]["values"]) for info in infos)
    if residency == "auto":
        needed = sum(memory_bytes(info, largest) for info in infos)
        residency = "memory" if needed < available_memory() / 2 else "mmap"
    if residency == "mmap":
        _allow_open_files(len(paths))
        return Blocks([open_part(path) for path in paths])
    return Blocks(
        [concatenate([_decode(open_part(path, mapped=False), largest) for path in paths])]
    )


def memory_bytes(info: dict[str, Any], largest: int) -> int:
    """Upper bound of the memory that a part takes with its adjacency decoded."""
    return info["bytes"] + target_bytes(info["num_edges"], info["num_nodes"], largest)


def available_memory() -> int:
    """Bytes that this process may still take: what is free, within its control group's limit."""
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


def _decode(packed: Packed, largest: int) -> Packed:
    """The same graphs with their edges as lists of targets, if they are sorted by source."""
    edges = packed.edges
    if isinstance(edges, EdgePairs) and not sorted_by_source(edges):
        return packed
    return replace(packed, edges=as_targets(edges, packed.sizes, largest))


def _allow_open_files(count: int) -> None:
    """Raise this process's limit of open files, as far as it may: each mapping holds one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
