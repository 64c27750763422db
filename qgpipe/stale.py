"""What in the output folders of a configuration is no longer used by it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qgpipe import paths
from qgpipe.config.resolve import data_sources
from qgpipe.data.plan import plan_parts
from qgpipe.errors import DataError
from qgpipe.files import is_leftover, read_json
from qgpipe.prediction.plan import plan_predictions
from qgpipe.provenance.checksums import checksum
from qgpipe.provenance.record import find_record, read_record

_PART = re.compile(r".+-\d{9}")  # <store>-<first sample>
_DATA_STAGES = ("generate", "preprocess", "gather", "split")
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Stale:
    """A file or folder that may go. ``size``: in bytes, of all that is in it."""

    path: Path
    why: str
    size: int


def find_stale(configs: Sequence[Mapping[str, Any]]) -> list[Stale]:
    """What the resolved ``configs`` of some runs have no use for, in their data and run folders.

    That is parts, generated stores and splits that they do not name, checkpoints of other
    settings, studies of other settings, predictions for stores that they do not name, exports of
    earlier models, and what killed processes left. Raw data that is not known to be generated is
    never among it, nor is another run, nor a file that is not named as qgpipe names its own.
    Raises ``DataError`` if a raw store is missing: then there is no telling which parts belong.
    """
    own = {Path(file).resolve() for config in configs for file in _files(config)}
    found: dict[Path, str] = {}
    for config in configs:
        for kind in _KINDS:
            found |= kind(config)
    found = dict(_unused_data(configs)) | found
    return [
        Stale(path, why, _size(path))
        for path, why in found.items()
        if not any(path.resolve() == raw or path.resolve() in raw.parents for raw in own)
    ]


def remove(stale: Stale) -> None:
    """Delete a file or folder."""
    if stale.path.is_dir() and not stale.path.is_symlink():
        shutil.rmtree(stale.path)
    else:
        stale.path.unlink(missing_ok=True)


def _parts(config: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Parts that are not planned, with their records, logs and benchmarks."""
    planned = {part.name for part in plan_parts(config)}
    samples = paths.part(config, "*")
    for part in sorted(samples.parent.glob(samples.name)):
        if part.stem not in planned and _PART.fullmatch(part.stem):
            yield part, "part of other data"
    for kind in (paths.provenance(samples), paths.data_log(config, "preprocess", "*"),
                 paths.data_benchmark(config, "preprocess", "*")):  # fmt: skip
        for file in sorted(kind.parent.glob(kind.name)):
            name = file.name.removesuffix(kind.name[1:])
            if name not in planned and _PART.fullmatch(name):
                yield file, "about a part of other data"


def _generated_stores(config: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Stores that the pipeline has generated, and their records, if none of them is asked for."""
    named = (config.get("generate") or {}).get("stores", [])
    wanted = {paths.raw_store(config, name).resolve() for name in named}
    wanted |= {Path(file).resolve() for file in _files(config)}
    for store in sorted(paths.raw_store(config, "*").parent.glob("*.zarr")):
        record = find_record(store)
        if store.resolve() not in wanted and record is not None and record.stage == "generate":
            yield store, "generated store that is not asked for"
            yield record.file, "about a generated store that is not asked for"


def _unused_data(configs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Path, str]]:
    """Data with a record that no run uses: that of points which a sweep no longer has."""
    used = {path.resolve() for config in configs for path in _used_data(config)}
    for folder in {paths.data_folder(config) for config in configs}:
        for depth in ("", "*/", "*/*/"):
            for file in sorted(folder.glob(f"{depth}*.provenance.json")):
                record = read_record(file)
                if record is None or record.stage not in _DATA_STAGES:
                    continue
                if not any(output.resolve() in used for output in record.outputs):
                    for path in (*record.outputs, file):
                        yield path, "data of no run"


def _used_data(config: Mapping[str, Any]) -> Iterator[Path]:
    yield paths.dataset(config)
    yield paths.split(config)
    for part in plan_parts(config):
        yield part.path
        yield paths.part(config, part.name)


def _files(config: Mapping[str, Any]) -> Iterator[str]:
    """The raw stores that are named, not generated."""
    for _, source in data_sources(config):
        yield from source["files"]


def _checkpoints(config: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Checkpoints, but for those that the finished model is from and those written last."""
    run = paths.run_folder(config)
    folders = _by_last_use(paths.checkpoints(run, ""))
    kept = {folder.name for folder in folders[-1:]}
    with suppress(DataError, KeyError):  # training may not have finished
        kept.add(Path(read_json(paths.summary(config))["checkpoints"]).name)
    for folder in folders:
        if folder.name not in kept:
            yield folder, "checkpoints of other settings"


def _tables(config: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Tables of the workflow that are not asked for; those made by a command are kept."""
    run = paths.run_folder(config)
    planned = [paths.predicted(config, None, store).name for store in plan_predictions(config)]
    for file in sorted((run / "predict").glob("*.provenance.json")):
        record = read_record(file)
        if record is None or record.stage != "predict" or record.config_file is None:
            continue
        if record.config_file.resolve() == paths.run_config(config).resolve():
            continue
        for table in record.outputs:
            if table.name not in planned:
                yield table, "predictions that are not asked for"
                yield file, "about predictions that are not asked for"


def _studies(config: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Studies, but for the one that ``best.yaml`` is from and the one that was used last."""
    folders = _by_last_use(paths.studies(config))
    kept = {folder.name for folder in folders[-1:]}
    with suppress(DataError, KeyError):  # none may have finished
        kept.add(read_json(paths.study_summary(config))["study"])
    for folder in folders:
        if folder.name not in kept:
            yield folder, "study of other settings"
    for job in sorted(paths.tuning_job(config, None, "*").parent.glob("*.json")):
        worker = job.name.partition(".")[0]
        if worker.isdigit() and int(worker) > config.get("tune", {"jobs": 0})["jobs"]:
            yield job, "about a job of a study that is not asked for"


def _exports(config: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """An export of a model that is no longer that of the run."""
    file = paths.stage_provenance(paths.exported(paths.run_folder(config)), "export")
    record = read_record(file)
    if record is None or all(
        path.exists() and checksum(path) == made for path, made in record.inputs.items()
    ):
        return
    for path in record.outputs:
        if path.exists():
            yield path, "exported from an earlier model"
    yield file, "about an export of an earlier model"


def _leftovers(config: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for folder in (paths.data_folder(config), paths.run_folder(config)):
        for path in sorted(folder.rglob(".*.tmp")):
            if is_leftover(path):
                yield path, "left by a process that was killed"


_KINDS = (_parts, _generated_stores, _checkpoints, _tables, _studies, _exports, _leftovers)


def _by_last_use(parent: Path) -> list[Path]:
    """The folders in ``parent`` that are named for a fingerprint, the last one used last."""
    named = (path for path in parent.glob("*") if _FINGERPRINT.fullmatch(path.name))
    return sorted(
        (path for path in named if path.is_dir()),
        key=lambda folder: max(file.stat().st_mtime_ns for file in (folder, *folder.iterdir())),
    )


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())
