"""Plans the stores to predict from metadata, before any chunk is read.

Runs while the Snakefile is parsed, so it imports neither torch nor zarr.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qgpipe import paths
from qgpipe.config.resolve import data_source, data_sources, generated_stores
from qgpipe.config.types import Config
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.preprocessing.data_plan import generated_identity
from qgpipe.data.preprocessing.plan import (
    built_in_arguments,
    columns_of,
    store_contents,
    unique_name,
)
from qgpipe.data.raw import naming
from qgpipe.data.raw.objects import store_path
from qgpipe.data.raw.stores import StoreInfo
from qgpipe.errors import ConfigError, DataError
from qgpipe.stages.registry import stage_section

KEY = "predict.files"


@dataclass(frozen=True)
class PredictedStore:
    """A store that the model of a run is to be applied to.

    ``name``: as in the ids of its graphs. ``contents``: an identifier of its content.
    ``generated``: whether the stage ``generate`` makes it. ``sample_bytes``: approximate bytes of
    the decoded arrays of one sample.
    """

    name: str
    path: Path
    contents: str
    generated: bool
    num_samples: int
    sample_bytes: int


def plan_predictions(
    config: Config, folders: Iterable[Path] = (), named_in: str = KEY
) -> dict[str, PredictedStore]:
    """The stores of ``predict.files`` by name, in their order; none without that section.

    ``folders``: of the user's code; ``named_in``: where the stores are named, for messages. For the
    built-in reader the arrays that it will read are checked, except the target.

    Raises ``DataError`` if a store or one of its arrays is missing, and ``ConfigError`` if tables
    cannot be written in the configured format.
    """
    if not config.get("predict"):
        return {}
    _require_format(config["predict"]["format"])
    folders = list(folders)
    generated = {path.resolve(): path for path in _generated(config).values()}
    return {
        name: _made_here(config, name, path, folders)
        if path.resolve() in generated
        else existing_store(config, name, path, paths.predicted(config, None, name), named_in)
        for name, path in _names(config).items()
    }


def prediction_section(
    config: Config, store: PredictedStore, folders: Iterable[Path] = ()
) -> dict[str, Any]:
    """The section of the table of ``store``: what it depends on besides the model."""
    section = stage_section(config, "predict", folders)
    return {**section, "store": store.contents, "samples": store.num_samples}


def reader_for(config: Config, store: StoreInfo, target: Any = None) -> Any:
    """The reader of the test set, without a target if ``store`` has none.

    ``target``: names of the model's target, if known.
    """
    return with_target_if_there(data_source(config, "test")["reader"], store, target)


def _names(config: Config) -> dict[str, Path]:
    """Stores by name: the name in the run's own data, or else a new unique name."""
    known: dict[Path, str] = {}
    taken: set[str] = set()
    for role, source in data_sources(config):
        generated = _generated(config) if role == "all" else {}
        named = [
            *generated.items(),
            *((store_path(f).name, store_path(f)) for f in source["files"]),
        ]
        for name, path in named:
            known.setdefault(path.resolve(), unique_name(name, taken))
    stores: dict[str, Path] = {}
    for file in config["predict"]["files"]:
        path = store_path(file)
        name = known.get(path.resolve()) or unique_name(path.name, taken)
        known[path.resolve()] = name
        stores[name] = path
    return stores


def _generated(config: Config) -> dict[str, Path]:
    """The stores that the stage ``generate`` makes, by name."""
    return {name: paths.raw_store(config, name) for name in generated_stores(config)}


def _made_here(config: Config, name: str, path: Path, folders: list[Path]) -> PredictedStore:
    section = config["generate"]
    contents = generated_identity(stage_section(config, "generate", folders))
    sample_bytes = 2 * max(section["size"]) ** 2
    return PredictedStore(name, path, contents, True, section["num_samples"], sample_bytes)


def existing_store(
    config: Config, name: str, path: Path, output: Path, named_in: str
) -> PredictedStore:
    """The store at ``path``, to which the model is applied for ``output``.

    Raises ``DataError`` if it is missing, or lacks an array that the built-in reader will read.
    """
    store = open_store(path, named_in)
    try:
        columns_of(store, reader_for(config, store))
    except DataError as error:
        error.problem += ", which the model is to be given"
        raise
    contents = store_contents(store, [output])
    return PredictedStore(name, path, contents, False, store.num_samples, store.sample_bytes())


def _require_format(name: str) -> None:
    if name == "parquet" and find_spec("pyarrow") is None:
        raise ConfigError(
            "tables in Parquet need pyarrow, which is not installed",
            key="predict.format",
            remedy="pip install 'qgpipe[parquet]', or write csv",
        )


def with_target_if_there(reader: Any, store: StoreInfo, target: Any = None) -> Any:
    """``reader``, as in a configuration, without the target if ``store`` does not have it.

    ``target``: names of the arrays of the model's target, if known; used if the reader does not
    name one. A user's reader is returned unchanged.
    """
    arguments = built_in_arguments(reader)
    if arguments is None:
        return reader
    wanted = _listed(arguments.get("target"))
    if wanted is None:
        usual = [name for name in naming.TARGET if name in store.arrays][:1]
        wanted = _listed(target) or usual
    if wanted and all(name in store.arrays for name in wanted):
        arguments["target"] = wanted
    else:
        arguments["target"] = []
        arguments.pop("class_names", None)
        arguments.pop("classes", None)
    return {"type": "qgpipe.CausalSetReader", "args": [], "kwargs": arguments}


def _listed(given: str | Sequence[str] | None) -> list[str] | None:
    return None if given is None else [given] if isinstance(given, str) else list(given)
