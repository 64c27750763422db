"""The chain behind an artifact as text, the artifact first and the raw stores last."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from qgpipe.provenance.chain import Link, State
from qgpipe.provenance.record import Record
from qgpipe.tracing.settings_now import Settings, SettingsNow

SHOWN = 3  # parts of one stage that are listed; of more, only those that do not hold

_SAID: dict[State, str] = {
    "holds": "holds",
    "changed": "CHANGED since it was made",
    "missing": "MISSING",
    "remade": "REMADE since something was made from it",
    "unrecorded": "as it was used, but its RECORD IS MISSING or damaged",
}


def trace_text(links: Sequence[Link]) -> tuple[str, bool]:
    """The text, and whether all links hold and the settings are as they were."""
    now = SettingsNow()
    records = {link.record.file: link.record for link in links if link.record is not None}
    settings = {file: now.of(record) for file, record in records.items()}
    lines: list[str] = []
    for stage, group in itertools.groupby(links, lambda link: link.record and link.record.stage):
        if stage == "preprocess":
            lines += _part_lines(list(group), settings)
        else:
            lines += _stage_lines(list(group), settings)
    broken = [link for link in links if link.state != "holds"]
    changed = [file for file, said in settings.items() if said.changes or said.problem]
    lines.append(_summary(len(links), len(broken), len(changed)))
    return "\n".join(lines), not broken and not changed


def _stage_lines(links: Sequence[Link], settings: Mapping[Path, Settings]) -> Iterator[str]:
    """Lines of artifacts, job by job."""
    for _, group in itertools.groupby(links, lambda link: link.record and link.record.file):
        made = list(group)
        for link in made:
            origin = ", raw data" if link.record is None and link.store is not None else ""
            yield f"{link.path}: {_SAID[link.state]}{origin}"
        if (record := made[0].record) is not None:
            yield from _job_lines(record, settings[record.file])


def _job_lines(record: Record, settings: Settings) -> Iterator[str]:
    content = record.content
    started = datetime.fromisoformat(content["started"]).astimezone()
    revisions = {
        name: f"{entry['revision'][:10]}{' with changes' if entry['dirty'] else ''}"
        for name, entry in content["git"].items()
    }
    own = f" ({revisions['qgpipe']})" if "qgpipe" in revisions else ""
    project = f", project {revisions['project']}" if "project" in revisions else ""
    yield (
        f"    {record.stage}: {started:%Y-%m-%d %H:%M:%S}, {content['seconds']:.1f} s on "
        f"{content['host']['name']} ({content['device']}), qgpipe {content['versions']['qgpipe']}"
        f"{own}{project}"
    )
    yield f"    settings: {_said_by(settings)}"
    sources = [str(path) for path in record.inputs]
    if len(sources) > SHOWN and record.stage == "gather":
        sources = [f"{len(sources)} parts"]
    if sources:
        yield f"    from: {', '.join(sources)}"


def _said_by(settings: Settings) -> str:
    if settings.file is None:
        return settings.problem or ""
    if settings.problem:
        return f"{settings.file}: {settings.problem}"
    if settings.changes:
        return f"{settings.file} has CHANGED: {'; '.join(map(str, settings.changes))}"
    return f"{settings.file} still says the same"


def _part_lines(links: Sequence[Link], settings: Mapping[Path, Settings]) -> Iterator[str]:
    """Lines of parts; if there are many, only of those with a problem."""
    parts = [(link, link.record) for link in links if link.record is not None]
    wrong = [
        (link, record)
        for link, record in parts
        if link.state != "holds" or _has_changed(settings[record.file])
    ]
    if len(parts) > SHOWN:
        yield f"{links[0].path.parent}: {len(parts) - len(wrong)} of {len(parts)} parts hold"
        stores = dict.fromkeys(str(path) for _, record in parts for path in record.inputs)
        yield f"    preprocess, from: {', '.join(stores)}"
        in_python = sum(settings[record.file].file is None for _, record in parts)
        if in_python:
            yield f"    settings: of {in_python} parts they were written in Python"
    for link, _ in wrong if len(parts) > SHOWN else parts:
        yield from _stage_lines([link], settings)


def _has_changed(settings: Settings) -> bool:
    """Whether settings with a configuration file have changed or cannot be compared."""
    return settings.file is not None and bool(settings.changes or settings.problem)


def _summary(total: int, broken: int, changed: int) -> str:
    if broken:
        held = f"{broken} of {total} artifacts do not hold"
    else:
        held = "it holds" if total == 1 else f"all {total} artifacts hold"
    if not changed:
        return f"{held}, {'but' if broken else 'and'} the settings are as they were"
    jobs = "1 job" if changed == 1 else f"{changed} jobs"
    return f"{held}; the settings of {jobs} have changed or cannot be told"
