"""The record of a job: its outputs and inputs, settings, versions, time and machine.

It is a separate file beside the artifacts, so that their bytes are reproducible.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from qgpipe import paths
from qgpipe.config.key_path import leaves
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.fingerprint import continues, identity, is_state, observe
from qgpipe.data.raw.objects import ObjectPath, store_path
from qgpipe.errors import DataError
from qgpipe.provenance import environment
from qgpipe.provenance.checksums import checksum, status
from qgpipe.provenance.signature import is_signed_here, signed
from qgpipe.stages.registry import STAGES
from qgpipe.system.files import read_json, write_json
from qgpipe.system.json_shapes import misfit

FORMAT = 2
# Names of stages in records of format 1.
_EARLIER = {stage.earlier_name: name for name, stage in STAGES.items() if stage.earlier_name}
_SHAPE = {
    "format": int,
    "stage": {*STAGES, *_EARLIER},
    "outputs": {str: str},
    "inputs": {str: str},
    "store": (None, {}),
    "config_file": (None, str),
    "config_over?": [str],
    "section": (None, {}),
    "versions": {"qgpipe": str},
    "git": {str: {"revision": str, "dirty": bool}},
    "host": {"name": str},
    "device": str,
    "started": str,
    "seconds": float,
    "core_seconds?": float,
}


@dataclass(frozen=True)
class Job:
    """A job that is about to run.

    ``stage``: its name in ``stages.registry.STAGES``. ``section``: what shapes the outputs, with
    code fingerprints; None if that cannot be named. ``store``: the raw store that is read or
    written, and the name of what it holds. ``config_file``: None if the configuration was written
    in Python; ``config_over``: the files that were laid over it. ``device``: the setting
    ``training.device`` if the stage heeds it.
    """

    stage: str
    outputs: Sequence[Path]
    inputs: Sequence[Path]
    section: Mapping[str, Any] | None
    store: tuple[Path, str] | None = None
    config_file: Path | None = None
    config_over: Sequence[Path] = ()
    device: str = "cpu"

    @property
    def record_file(self) -> Path:
        """The path of the record."""
        return record_file(self.stage, self.outputs)


@dataclass(frozen=True)
class Record:
    """A record that was read from ``file``; ``content``: the JSON value."""

    file: Path
    content: Mapping[str, Any]

    @property
    def stage(self) -> str:
        """The stage that made the artifacts."""
        name = self.content["stage"]
        return _EARLIER.get(name, name) if self.content["format"] == 1 else name

    @property
    def outputs(self) -> dict[Path, str]:
        """Checksums of the outputs, by path."""
        return self._located("outputs")

    @property
    def inputs(self) -> dict[Path, str]:
        """Checksums of the inputs, by path."""
        return self._located("inputs")

    @property
    def config_file(self) -> Path | None:
        """The configuration file; None if the configuration was written in Python."""
        name = self.content["config_file"]
        return None if name is None else _normal(self.file.parent / name)

    @property
    def config_files(self) -> tuple[Path, ...]:
        """The configuration file, and those that were laid over it; none if there is no file."""
        over = (_normal(self.file.parent / name) for name in self.content.get("config_over", ()))
        return () if self.config_file is None else (self.config_file, *over)

    def _located(self, key: str) -> dict[Path, str]:
        folder = self.file.parent
        return {_located(name, folder): value for name, value in self.content[key].items()}


def record_file(stage: str, outputs: Sequence[Path]) -> Path:
    """The path of the record of a job of ``stage``."""
    if len(outputs) == 1 or STAGES[stage].artifact is not None:  # that is the first one
        return paths.provenance(outputs[0])
    return paths.stage_provenance(outputs[0].parent, stage)


@contextmanager
def recorded(job: Job) -> Iterator[None]:
    """A block that makes the outputs of ``job``; the record is written if it succeeds.

    Raises ``DataError`` if the store that is read is not the planned one before the block, or has
    changed after it; then the outputs are removed.
    """
    started, clock, computed = datetime.now(UTC), time.perf_counter(), _core_seconds()
    inputs = _inputs(job)
    state = None
    if job.store is not None and job.store[0] not in job.outputs:
        state = _state(job.store)
        _require_planned(job, job.store[0], state)
    yield
    if job.store is not None:
        seen, state = state, state or _state(job.store)
        if seen is not None and not continues(observe(open_store(job.store[0]), seen), seen):
            refuse_changed(job, job.store[0], "while it was read")
    folder = job.record_file.parent
    over = [_relative(file, folder) for file in job.config_over]
    content = {
        "format": FORMAT,
        "stage": job.stage,
        "outputs": {_relative(path, folder): _made(job, path) for path in job.outputs},
        "inputs": {_relative(path, folder): value for path, value in inputs.items()},
        "store": state,
        "config_file": None if job.config_file is None else _relative(job.config_file, folder),
        **({"config_over": over} if over else {}),
        "section": as_recorded(job.section),
        "versions": environment.versions(_named_packages(job.section)),
        "git": environment.revisions((job.config_file or Path.cwd() / "_").resolve().parent),
        "host": environment.host(),
        "device": environment.device(job.device),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - clock, 3),
        "core_seconds": round(_core_seconds() - computed, 3),
    }
    write_json(job.record_file, signed(content, folder))
    if (earlier := STAGES[job.stage].earlier_name) and len(job.outputs) > 1:
        paths.stage_provenance(folder, earlier).unlink(missing_ok=True)


def _core_seconds() -> float:
    """Seconds that this process has computed on all cores, and those of its finished children."""
    return sum(os.times()[:4])


def read_record(file: Path) -> Record | None:
    """The record in ``file``; None if there is none, or if it is unreadable."""
    try:
        content = read_json(file)
    except (DataError, OSError):
        return None
    if misfit(content, _SHAPE) is not None or content["format"] not in (1, FORMAT):
        return None
    config = [content["config_file"] or "", *content.get("config_over", ())]
    files = [*content["outputs"], *content["inputs"], *config]
    if not _is_date(content["started"]) or any("\0" in name for name in files):
        return None
    return Record(file, content)


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def find_record(artifact: Path) -> Record | None:
    """The record of the job that made ``artifact``, in the same folder; None if there is none."""
    for file in _record_files(artifact):
        record = read_record(file)
        if record is not None and artifact.name in record.content["outputs"]:
            return record
    return None


def made_here(artifact: Path) -> bool:
    """Whether this user made ``artifact`` at this path, and it is unchanged."""
    record = find_record(artifact)
    if record is None or not is_signed_here(record.content, record.file.parent):
        return False
    try:
        return record.outputs[_normal(artifact)] == checksum(artifact)
    except OSError:
        return False


def unreadable_record(artifact: Path) -> Path | None:
    """A damaged file, or one of another format, that may be the record of ``artifact``."""
    return next((f for f in _record_files(artifact) if f.exists() and read_record(f) is None), None)


def unreadable(record: Path) -> DataError:
    """The error for a record that is damaged or of another format."""
    return DataError(
        f"{record} is damaged or of another format",
        remedy="delete it with the files that it is about, and let snakemake make them again",
    )


def is_up_to_date(job: Job) -> bool:
    """Whether the outputs of ``job`` exist and were made from the same inputs and settings.

    The data of parts is not read: their checksums are in the headers.
    """
    record = read_record(job.record_file)
    if record is None or job.section is None or not all(path.exists() for path in job.outputs):
        return False
    if record.content["section"] != as_recorded(job.section) or record.inputs != _inputs(job):
        return False
    if job.store is not None and job.store[0] in job.outputs:
        made = record.outputs[_normal(job.store[0])]
        return status(job.store[0], made, record.content["store"]) == "holds"
    return record.outputs == {_normal(path): checksum(path) for path in job.outputs}


def as_recorded(section: Any) -> Any:
    """``section`` as read back from a record: keys, NaN and infinities are text."""
    return json.loads(json.dumps(section), parse_constant=str)


def refuse_changed(job: Job | None, store: Path, when: str) -> NoReturn:
    """Raise ``DataError`` for a store that has changed, after removing the outputs of ``job``."""
    for output in job.outputs if job is not None else ():
        output.unlink(missing_ok=True)
    raise DataError(f"the store has changed {when}", store=str(store), remedy="run it again")


def _record_files(artifact: Path) -> list[Path]:
    """Possible paths of the record of ``artifact``; none for ``.`` and ``/``."""
    if not artifact.name:
        return []
    shared = (paths.stage_provenance(artifact.parent, stage) for stage in STAGES)
    first = artifact.with_suffix("")  # as of ``paths.training_set``
    return [paths.provenance(artifact), paths.provenance(first), *shared]


def _inputs(job: Job) -> dict[Path, str]:
    """Checksums of the inputs of a job; for a store, the identifier of its content."""
    inputs = {_normal(path): checksum(path) for path in job.inputs}
    if job.store is not None and job.store[0] not in job.outputs:
        inputs[_normal(job.store[0])] = f"store:{job.store[1]}"
    return inputs


def _made(job: Job, path: Path) -> str:
    """The checksum of an output; for a store, the identifier of its content."""
    if job.store is not None and path == job.store[0]:
        return f"store:{job.store[1]}"
    return checksum(path)


def _state(store: tuple[Path, str]) -> dict[str, Any]:
    return {**observe(open_store(store[0])), "identity": store[1]}


def _require_planned(job: Job, store: Path, state: Mapping[str, Any]) -> None:
    """Raise ``DataError`` if the store of a part is not the planned one.

    ``state``: the current state of the store, with the planned identifier of its content. The
    identifier either follows from the content, or is that of a state which the store continues: as
    it was generated, or as another part has recorded it.
    """
    planned = state["identity"]
    if job.stage != "preprocess" or not planned or identity(state) == planned:
        return
    folder = job.record_file.parent
    for file in (paths.provenance(store), *folder.glob("*.provenance.json")):
        record = read_record(file)
        known = None if record is None else record.content["store"]
        if is_state(known) and known["identity"] == planned and continues(state, known):
            return
    refuse_changed(job, store, "since the run was planned")


def _normal(path: str | Path) -> Path:
    return path if isinstance(path, ObjectPath) else Path(os.path.normpath(path))


def _located(name: str, folder: Path) -> Path:
    """The path that is recorded as ``name`` in ``folder``; a URL is in no folder."""
    path = store_path(name)
    return path if isinstance(path, ObjectPath) else _normal(folder / name)


def _relative(path: Path, folder: Path) -> str:
    """``path`` relative to ``folder``, so that links stay valid in a moved project.

    An absolute path outside of ``folder`` stays absolute.
    """
    if path.is_absolute() and not path.is_relative_to(folder):
        return str(path)
    return Path(os.path.relpath(path, folder)).as_posix()


def _named_packages(section: Any) -> set[str]:
    """The first parts (packages) of the dotted names in ``section``."""
    names = {value for _, value in leaves(section) if isinstance(value, str) and "." in value}
    return {name.partition(".")[0] for name in names if name.replace(".", "_").isidentifier()}
