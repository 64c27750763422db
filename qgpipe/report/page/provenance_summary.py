"""The provenance of a run from its records: jobs and times, files, code, versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qgpipe.errors import DataError
from qgpipe.provenance.chain import Link, collect
from qgpipe.provenance.record import Record
from qgpipe.stages.registry import position


@dataclass(frozen=True)
class Stage:
    """The jobs of one stage: number, start of the first (ISO 8601), and total seconds."""

    name: str
    jobs: int
    started: str
    seconds: float


@dataclass(frozen=True)
class Source:
    """A file or store that the results were made from, with its recorded checksum."""

    path: str
    stage: str
    checksum: str


@dataclass(frozen=True)
class ProvenanceSummary:
    """The content of the records of a run.

    ``sources``: only the first part; ``more_parts``: number of the others. ``code``: fingerprints
    of the user's modules. ``revisions``: recorded git revisions. ``versions``: of packages; if they
    differ between stages, all of them. ``systems`` and ``devices``: on which jobs ran.
    """

    stages: list[Stage]
    sources: list[Source]
    more_parts: int
    code: dict[str, str]
    revisions: list[tuple[str, str, bool]]
    versions: dict[str, str]
    systems: list[str]
    devices: list[str]


def provenance_summary(artifact: Path) -> ProvenanceSummary | None:
    """The provenance of ``artifact``; None without records."""
    try:
        links = collect([artifact])
    except DataError:
        return None
    records = {link.record.file: link.record for link in links if link.record is not None}
    contents = [record.content for record in records.values()]
    parts = [link for link in links if _stage(link) == "preprocess"]
    shown = [link for link in links if _stage(link) != "preprocess" or link is parts[0]]
    revisions = {
        (name, entry["revision"], entry["dirty"])
        for content in contents
        for name, entry in content["git"].items()
    }
    return ProvenanceSummary(
        _stages(list(records.values())),
        [Source(link.path.as_posix(), _stage(link), _checksum(link)) for link in shown],
        max(len(parts) - 1, 0),
        {name: value for content in contents for name, value in _code(content).items()},
        sorted(revisions),
        _joined([content["versions"] for content in contents]),
        sorted({f"{c['host']['system']}, {c['host']['cpus']} processors" for c in contents}),
        sorted({content["device"] for content in contents}),
    )


def _stages(records: Sequence[Record]) -> list[Stage]:
    """In the order of the pipeline."""
    jobs: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        jobs.setdefault(record.stage, []).append(record.content)
    stages = [
        Stage(name, len(made), min(c["started"] for c in made), sum(c["seconds"] for c in made))
        for name, made in jobs.items()
    ]
    return sorted(stages, key=lambda stage: position(stage.name))


def _stage(link: Link) -> str:
    return "raw data" if link.record is None else link.record.stage


def _checksum(link: Link) -> str:
    """The checksum of the artifact in the record of its own job, or of one that read it."""
    made = {} if link.record is None else link.record.outputs
    own = {path.resolve(): value for path, value in made.items()}
    return own.get(link.path.resolve(), next(iter(sorted(link.recorded)), ""))


def _code(content: Mapping[str, Any]) -> dict[str, str]:
    section = content["section"]
    return dict(section.get("code") or {}) if isinstance(section, Mapping) else {}


def _joined(versions: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The different versions of each package, in order of first occurrence."""
    found: dict[str, dict[str, None]] = {}
    for entry in versions:
        for name, version in entry.items():
            found.setdefault(name, {})[version] = None
    return {name: " and ".join(known) for name, known in found.items()}
