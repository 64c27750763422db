"""The chain from an artifact back to the raw stores, and the state of each link."""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from qgpipe.errors import DataError
from qgpipe.provenance.checksums import status
from qgpipe.provenance.record import Record, find_record, read_record, unreadable, unreadable_record
from qgpipe.stages.registry import position

State = Literal["holds", "changed", "missing", "remade", "unrecorded"]


@dataclass
class Link:
    """An artifact in the chain.

    ``record``: of the job that made it; None for a user's raw store, or if the record is lost.
    ``recorded``: its checksums in all records. ``state``: ``holds`` if the artifact on disk matches
    all records; ``changed`` if it does not match its own record; ``remade`` if it does, but an
    earlier version was used for another artifact; ``missing``; ``unrecorded`` if it is the version
    that was used, but its own record is lost or damaged.
    """

    path: Path
    record: Record | None
    recorded: set[str] = field(default_factory=set)
    store: Mapping[str, Any] | None = None
    state: State = "holds"


def collect(artifacts: Iterable[Path]) -> list[Link]:
    """``artifacts`` and all their direct and indirect inputs, outputs first; states are not set.

    Raises ``DataError`` if an artifact has no record, or one that cannot be read.
    """
    links: dict[Path, Link] = {}
    waiting = list(artifacts)
    for path in waiting:
        if find_record(path) is None:
            raise _without_record(path)
    while waiting:
        path = waiting.pop(0)
        if path.resolve() not in links:
            record = find_record(path)
            links[path.resolve()] = Link(path, record)
            waiting += record.inputs if record is not None else []
    for record in {r.file: r for link in links.values() if (r := link.record)}.values():
        _note(record, links)
    return sorted(links.values(), key=_rank)


def trace(artifacts: Iterable[Path]) -> list[Link]:
    """The links of ``collect`` with their states. Reads every file of the chain completely."""
    links = collect(artifacts)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for link, state in zip(links, pool.map(_state, links), strict=True):
            link.state = state
    return links


def artifacts_in(path: Path) -> list[Path]:
    """``path`` itself, or the artifacts of all records in the folder ``path``.

    Raises ``DataError`` if one of the records cannot be read.
    """
    if find_record(path) is not None:  # a raw store, which is a folder, has a record
        return [path]
    made: list[Path] = []
    for file in sorted(path.rglob("*.provenance.json")):
        record = read_record(file)
        if record is None:
            raise unreadable(file)
        made += record.outputs
    return made or [path]


def _without_record(path: Path) -> DataError:
    """The error for an artifact without a record."""
    damaged = unreadable_record(path)
    if damaged is not None:
        return unreadable(damaged)
    known = f"there is no record of where {path} came from"
    return DataError(
        known if path.exists() else f"{path} does not exist",
        remedy="name a file that the pipeline has made, or the folder of a run",
    )


def _rank(link: Link) -> int:
    """Sorting key: later stages first, the user's raw data last."""
    return 1 if link.record is None else -position(link.record.stage)


def _note(record: Record, links: Mapping[Path, Link]) -> None:
    """Add the checksums in ``record`` to the links."""
    for files in (record.outputs, record.inputs):
        for path, checksum in files.items():
            link = links.get(path.resolve())
            if link is None:
                continue
            link.recorded.add(checksum)
            if checksum.startswith("store:"):
                link.store = record.content["store"]


def _state(link: Link) -> State:
    made = next(iter(link.recorded))
    if link.record is not None:
        outputs = {p.resolve(): c for p, c in link.record.outputs.items()}
        made = outputs[link.path.resolve()]
    found = status(link.path, made, link.store)
    if found != "holds":
        return found
    if link.record is None and link.store is None:
        return "unrecorded"
    return "remade" if link.recorded != {made} else "holds"
