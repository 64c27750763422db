"""Finds files in the output folders of a configuration that it no longer uses."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qgpipe import paths
from qgpipe.config.resolve import generated_stores
from qgpipe.config.types import Config
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.preprocessing.plan import plan_parts
from qgpipe.data.raw.fingerprint import is_state, observe
from qgpipe.errors import DataError, QgpipeError
from qgpipe.prediction.plan import plan_predictions
from qgpipe.provenance.checksums import checksum
from qgpipe.provenance.record import Record, read_record
from qgpipe.stages.registry import STAGES
from qgpipe.system.files import is_leftover, read_json
from qgpipe.system.lock import is_locked
from qgpipe.workflow import needed

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
# Patterns of the artifacts of stages of the data, relative to the data folder.
_MADE = {name: re.compile(stage.pattern) for name, stage in STAGES.items() if stage.pattern}
_CHECKPOINTS = r"(last|previous|best|epoch_\d+)\.(pt|damaged)"
# Patterns of the files that qgpipe writes into folders, by suffix or parent of the folder.
_INSIDE = {
    ".zarr": re.compile(r"(\w+/)*(\.zattrs|\.zgroup|\.zarray|\d+(\.\d+)*)"),
    "checkpoints": re.compile(_CHECKPOINTS),
    "studies": re.compile(
        r"(study\.db(-journal|-wal|-shm)?|\.lock"
        rf"|trials/\d+/(\.lock|\.training\.lock|logs/\w+\.\w+|tensorboard/events\.[^/]+|checkpoints/\w+/{_CHECKPOINTS}))"
    ),
}


@dataclass(frozen=True)
class Stale:
    """A file or folder that can be deleted. ``size``: of the files by qgpipe in it, in bytes."""

    path: Path
    why: str
    size: int


def find_stale(configs: Sequence[Config], *files: Path) -> list[Stale]:
    """What the resolved ``configs`` of the runs of ``files`` have no use for, in their folders.

    These are parts, generated stores, splits and predictions that are not in the configuration,
    checkpoints and studies of other settings, exports of earlier models, and leftovers of killed
    processes. Never included are raw data unless it is known to be unchanged since it was
    generated, other runs and their inputs, files that other configurations made and still need,
    files locked by another process, links and their targets, and files without a name that qgpipe
    uses.

    Raises ``DataError`` if a raw store is missing, or the configuration of another run cannot be
    read: then it is not known which parts are used.
    """
    raw = {path.resolve() for config in configs for path in needed.raw_stores(config)}
    kept = raw | needed.needed_by_others(configs, files)
    kept |= {paths.provenance(path) for path in kept if path.name}
    above = {parent for path in kept for parent in path.parents}
    folders = dict.fromkeys(
        path(config) for path in (paths.data_folder, paths.run_folder) for config in configs
    )
    found: dict[Path, str] = {}
    for config in configs:
        for kind in _KINDS:
            found |= kind(config)
    found = dict(_unused_data(configs)) | found
    return [
        Stale(path, why, sum(file.lstat().st_size for file in _own_files(path)))
        for path, why in found.items()
        if any(_is_in(path, folder) for folder in folders)
        and not {path.resolve(), *path.resolve().parents} & kept
        and path.resolve() not in above
        and _is_own(path)
    ]


def remove(stale: Stale) -> None:
    """Delete a file, or qgpipe's files in a folder and the folders that become empty."""
    for file in _own_files(stale.path):
        file.unlink(missing_ok=True)
    if stale.path.is_dir():
        for folder, _, _ in os.walk(stale.path, topdown=False):
            with suppress(OSError):  # it is not empty
                Path(folder).rmdir()


def _is_in(path: Path, folder: Path) -> bool:
    """Whether ``path`` is in ``folder``, without links in between, and not locked by a process."""
    if not path.is_relative_to(folder):
        return False
    if path.resolve() != folder.resolve() / path.relative_to(folder):
        return False
    between = [parent for parent in path.parents if parent != folder and folder in parent.parents]
    locks = [parent / ".lock" for parent in between]
    locks += path.rglob(".*lock") if path.is_dir() else []
    return not any(is_locked(lock) for lock in locks)


def _is_own(path: Path) -> bool:
    """Whether qgpipe made ``path``: a file, or a folder that is empty or has a file by qgpipe."""
    return path.is_file() or any(_own_files(path)) or not any(path.iterdir())


def _own_files(path: Path) -> Iterator[Path]:
    """``path`` if it is a file; in a folder, the files with names that qgpipe uses.

    In a leftover folder of a killed process, all files except links.
    """
    if path.is_file():
        yield path
    kinds = (path.suffix, path.parent.name)
    inside = next((names for kind, names in _INSIDE.items() if kind in kinds), None)
    inside = re.compile(".*") if is_leftover(path) else inside
    for folder, _, names in os.walk(path):
        for file in (Path(folder, name) for name in names):
            known = inside is not None and inside.fullmatch(file.relative_to(path).as_posix())
            if (known or is_leftover(file)) and not file.is_symlink():
                yield file


def _parts(config: Config) -> Iterator[tuple[Path, str]]:
    """Parts that are not planned, with their records, logs and benchmarks."""
    planned = {part.name for part in plan_parts(config)}
    samples = paths.part(config, "*")
    for part in sorted(samples.parent.glob(samples.name)):
        if part.stem not in planned and needed.PART.fullmatch(part.stem):
            yield part, "part of other data"
    for kind in (paths.provenance(samples), paths.data_log(config, "preprocess", "*"),
                 paths.data_benchmark(config, "preprocess", "*")):  # fmt: skip
        for file in sorted(kind.parent.glob(kind.name)):
            name = file.name.removesuffix(kind.name[1:])
            if name not in planned and needed.PART.fullmatch(name):
                yield file, "about a part of other data"


def _generated_stores(config: Config) -> Iterator[tuple[Path, str]]:
    """Generated stores that are not in the configuration, and their records."""
    wanted = {paths.raw_store(config, name).resolve() for name in generated_stores(config)}
    for store, record in needed.recorded_artifacts(paths.raw_store(config, "_").parent):
        if store.resolve() not in wanted and _is_as_generated(store, record):
            yield store, "generated store that is not asked for"
            yield record.file, "about a generated store that is not asked for"


def _is_as_generated(store: Path, record: Record) -> bool:
    """Whether ``store`` is unchanged since it was generated."""
    known = record.content["store"]
    if record.stage != "generate" or store.suffix != ".zarr" or not is_state(known):
        return False
    try:
        return observe(open_store(store), known) == {
            key: value for key, value in known.items() if key != "identity"
        }
    except QgpipeError:
        return False


def _unused_data(configs: Sequence[Config]) -> Iterator[tuple[Path, str]]:
    """Data with a record that no run uses, such as that of removed points of a sweep."""
    used = {path.resolve() for config in configs for path in needed.used_data(config)}
    for config in {paths.data_folder(config): config for config in configs}.values():
        for artifact, record in needed.data_artifacts(config):
            where = artifact.relative_to(paths.data_folder(config)).as_posix()
            if record.stage not in _MADE or not _MADE[record.stage].fullmatch(where):
                continue
            if record.stage == "generate" and not _is_as_generated(artifact, record):
                continue
            if artifact.resolve() not in used:
                yield artifact, "data of no run"
                yield record.file, "data of no run"
                if (beside := artifact.with_name(artifact.name + paths.TRAINING_SET)).is_file():
                    yield beside, "data of no run"


def _checkpoints(config: Config) -> Iterator[tuple[Path, str]]:
    """Checkpoints, except those of the finished model and those written last."""
    run = paths.run_folder(config)
    for folder in _unused(paths.checkpoints(run, ""), paths.summary(config), "checkpoints"):
        yield folder, "checkpoints of other settings"


def _tables(config: Config) -> Iterator[tuple[Path, str]]:
    """Tables of the workflow that are no longer planned; those made by a command are kept."""
    run = paths.run_folder(config)
    planned = [paths.predicted(config, None, store).name for store in plan_predictions(config)]
    for table, record in needed.recorded_artifacts(run / "predict"):
        if record.stage != "predict" or table.suffix not in (".csv", ".parquet"):
            continue
        file = record.config_file
        if file is None or file.resolve() == paths.run_config(config).resolve():
            continue
        if table.name not in planned:
            yield table, "predictions that are not asked for"
            yield record.file, "about predictions that are not asked for"


def _studies(config: Config) -> Iterator[tuple[Path, str]]:
    """Studies, except that of ``best.yaml`` and the one used last."""
    for folder in _unused(paths.studies(config), paths.study_summary(config), "study"):
        yield folder, "study of other settings"
    for job in sorted(paths.tuning_job(config, None, "*").parent.glob("*.json")):
        worker = job.name.partition(".")[0]
        if worker.isdecimal() and int(worker) > config.get("tune", {"jobs": 0})["jobs"]:
            yield job, "about a job of a study that is not asked for"


def _exports(config: Config) -> Iterator[tuple[Path, str]]:
    """An export of an earlier model of the run."""
    folder = paths.exported(paths.run_folder(config))
    file = paths.stage_provenance(folder, "export")
    record = read_record(file) if file.is_file() else None
    model = paths.model(config)
    if record is None or not model.is_file() or checksum(model) in record.inputs.values():
        return
    for path in paths.exported_files(folder):
        if path.name in record.content["outputs"] and path.is_file():
            yield path, "exported from an earlier model"
    yield file, "about an export of an earlier model"


def _leftovers(config: Config) -> Iterator[tuple[Path, str]]:
    for top in (paths.data_folder(config), paths.run_folder(config)):
        for folder, folders, files in os.walk(top):
            for name in sorted([*folders, *files]):
                path = Path(folder, name)
                if is_leftover(path):
                    yield path, "left by a process that was killed"
            folders[:] = [name for name in folders if not is_leftover(Path(folder, name))]


_KINDS = (_parts, _generated_stores, _checkpoints, _tables, _studies, _exports, _leftovers)


def _unused(parent: Path, summary: Path, key: str) -> list[Path]:
    """Folders in ``parent`` whose name is a fingerprint, except the one used last.

    The folder that ``summary``, if it exists, names under ``key`` is also excluded; if it cannot be
    read, the result is empty.
    """
    named = (path for path in parent.glob("*") if _FINGERPRINT.fullmatch(path.name))
    by_use = sorted((path for path in named if path.is_dir()), key=_last_use)
    kept = by_use[-1].name if by_use else ""
    if not summary.exists():
        return [folder for folder in by_use if folder.name != kept]
    try:
        named_there = Path(read_json(summary)[key]).name
    except (DataError, KeyError, TypeError):
        return []
    return [folder for folder in by_use if folder.name not in (kept, named_there)]


def _last_use(folder: Path) -> int:
    return max(path.lstat().st_mtime_ns for path in (folder, *folder.iterdir()))
