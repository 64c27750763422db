"""Finds files in shared folders that other configurations need."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from qgpipe import paths
from qgpipe.config.load import load_config
from qgpipe.config.resolve import data_sources, evaluated_sets, generated_stores
from qgpipe.config.types import Config
from qgpipe.data.preprocessing.plan import plan_parts, unique_name
from qgpipe.data.raw.objects import store_path
from qgpipe.errors import DataError, QgpipeError
from qgpipe.prediction.plan import plan_predictions
from qgpipe.provenance.record import Record, read_record
from qgpipe.sweeps.expansion import expand_runs

PART = re.compile(r"(?P<store>.+)-\d{9}")  # <store>-<first sample>
_RECORD = ".provenance.json"


def recorded_artifacts(folder: Path) -> Iterator[tuple[Path, Record]]:
    """Artifacts in ``folder`` with their records, each found by the record's name beside it.

    Paths in records are not used, because records may have been altered.
    """
    for file in sorted(folder.glob(f"*{_RECORD}")):
        record = read_record(file) if file.is_file() else None
        artifact = file.with_name(file.name.removesuffix(_RECORD))
        if record is not None and artifact.name in record.content["outputs"]:
            yield artifact, record


def data_artifacts(config: Config) -> Iterator[tuple[Path, Record]]:
    """As ``recorded_artifacts``, for the data folder of ``config`` and folders of sweeps in it."""
    top = paths.data_folder(config)
    below = _folders(top)
    deeper = [folder for one in below for folder in _folders(one)]
    of_sets = [folder for one in below for folder in _folders(one / "evaluate")]
    for folder in dict.fromkeys((top, *below, *deeper, *of_sets)):
        yield from recorded_artifacts(folder)


def needed_by_others(configs: Sequence[Config], files: Sequence[Path] = ()) -> set[Path]:
    """What configurations other than ``configs``, which are in ``files``, need; resolved paths.

    The others are those of other runs in the same ``training.path``, and existing files that are
    named in records in the folders of ``configs``. If such a file has changed, all artifacts that
    were made with it are needed.

    Raises ``DataError`` if that of another run cannot be read.
    """
    own_runs = {paths.run_folder(config).resolve() for config in configs}
    needed: set[Path] = set()
    for parent in {Path(config["training"]["path"]) for config in configs}:
        for folder in _folders(parent):
            other = folder / "config.yaml"
            if folder.resolve() in own_runs or not other.is_file():
                continue
            try:
                needed |= _needed_by(other)
            except QgpipeError as error:
                raise DataError(
                    f"{other} cannot be read, so there is no telling what it needs: {error}",
                    remedy="fix it, or delete the run",
                ) from None
    for others, made in _made_by(configs).items():
        if others[0].parent in own_runs or others == tuple(file.resolve() for file in files):
            continue
        try:
            asked = _needed_by(*others)
        except QgpipeError:
            asked = set()
        needed |= asked if asked & made else made
    return needed


def raw_stores(config: Config) -> Iterator[Path]:
    """The raw stores that ``config`` names, to train on or to predict."""
    for _, source in data_sources(config):
        yield from map(store_path, source["files"])
    asked = config.get("predict")
    yield from map(store_path, asked["files"] if asked else [])


def used_data(config: Config) -> Iterator[Path]:
    """The files in its data folder that ``config`` uses, with records, logs and benchmarks."""
    yield paths.dataset(config)
    yield paths.split(config)
    yield from (paths.baseline_answers(config), paths.training_set(config))
    for name in evaluated_sets(config):
        yield paths.baseline_scores(config, name)
    for name in generated_stores(config):
        yield paths.raw_store(config, name)
    for name in _parts(config):
        part = paths.part(config, name)
        yield from (part, paths.provenance(part))
        yield paths.data_log(config, "preprocess", name)
        yield paths.data_benchmark(config, "preprocess", name)


def _parts(config: Config) -> set[str]:
    """The names of the planned parts; if a store is missing, of all existing parts."""
    try:
        return {part.name for part in plan_parts(config)}
    except QgpipeError:
        taken: set[str] = set()
        for name in generated_stores(config):
            unique_name(name, taken)
        for _, source in data_sources(config):
            for store in source["files"]:
                unique_name(store_path(store).name, taken)
    there = (file.stem for file in paths.part(config, "_").parent.glob("*.safetensors"))
    return {name for name in there if (m := PART.fullmatch(name)) and m["store"] in taken}


def _needed_by(*files: Path) -> set[Path]:
    found: set[Path] = set()
    for run in expand_runs(load_config(*files)):
        found |= {path.resolve() for path in (*used_data(run.config), *raw_stores(run.config))}
        found |= {paths.predicted(run.config, None, s).resolve() for s in _predicted(run.config)}
    return found


def _predicted(config: Config) -> set[str]:
    """The names of the stores to predict; if one is missing, of all existing tables."""
    try:
        return set(plan_predictions(config))
    except QgpipeError:
        return {table.stem for table in paths.predicted(config, None, "_").parent.glob("*.*")}


def _made_by(configs: Sequence[Config]) -> dict[tuple[Path, ...], set[Path]]:
    """What the folders of ``configs`` hold by the configuration files that it was made by."""
    found: dict[tuple[Path, ...], set[Path]] = {}
    folders = {paths.data_folder(config): config for config in configs}
    records = [pair for config in folders.values() for pair in data_artifacts(config)]
    for config in configs:
        records += recorded_artifacts(paths.run_folder(config) / "predict")
    for artifact, record in records:
        if record.config_files and all(file.is_file() for file in record.config_files):
            made = found.setdefault(tuple(file.resolve() for file in record.config_files), set())
            made |= {path.resolve() for path in (artifact, *_beside(artifact))}
    return found


def _beside(part: Path) -> Iterator[Path]:
    """The paths of log and benchmark of a part."""
    config = cast(Config, {"data": {"output": part.parent.parent}})  # all that these need
    yield paths.data_log(config, "preprocess", part.stem)
    yield paths.data_benchmark(config, "preprocess", part.stem)


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.glob("*") if path.is_dir() and not path.is_symlink())
