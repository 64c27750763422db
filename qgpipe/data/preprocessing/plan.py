"""Plans the parts of a data set from metadata, before any chunk is read.

Runs while the Snakefile is parsed, so it imports neither numpy nor zarr.
"""

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qgpipe import paths
from qgpipe.config.objects import dotted_name
from qgpipe.config.resolve import data_sources, kept_arrays
from qgpipe.config.spec import check_keywords
from qgpipe.config.types import Config, DataSection, GenerateSection
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw import naming
from qgpipe.data.raw.columns import Columns, choose_columns
from qgpipe.data.raw.fingerprint import identity, is_state, observe
from qgpipe.data.raw.objects import store_path
from qgpipe.data.raw.stores import StoreInfo
from qgpipe.errors import ConfigError

MOST_PARTS = 100_000  # per store; each part is a job and a file
READER_NAMES = {
    f"qgpipe.{module}CausalSetReader" for module in ("", "data.reader.", "data.readers.reader.")
}


@dataclass(frozen=True)
class PartPlan:
    """The samples ``start:stop`` of a store, which become one part file.

    ``name``: ``<store>-<start>``, the file's stem. ``store``: the store's unique name.
    ``role``: ``all``, ``train``, ``validation`` or ``test``. ``num_samples``: of the whole
    store; if the store has an array with the number of samples written so far, parts beyond it are
    empty. ``source``: an identifier of the samples, which changes when the store is replaced; empty
    for a generated store. ``sample_bytes``: approximate bytes of the decoded arrays of one sample;
    in a store of groups, of the first.
    """

    name: str
    store: str
    path: Path
    layout: str
    num_samples: int
    role: str
    start: int
    stop: int
    generated: bool
    source: str
    sample_bytes: int

    def describe_store(self) -> dict[str, Any]:
        """The store's entry in ``dataset.json``."""
        return {
            "name": self.store,
            "path": str(self.path),
            "layout": self.layout,
            "num_samples": self.num_samples,
            "role": self.role,
        }


def plan_parts(config: Config) -> list[PartPlan]:
    """The parts of all data sets of a resolved configuration, in reading order.

    Generated stores come first, then ``data.files``, then the stages' own data. For the built-in
    reader the arrays that it will read are also checked.

    Raises ``ConfigError`` if there is no data, ``DataError`` if a store cannot be read.
    """
    taken: set[str] = set()
    parts: list[PartPlan] = []
    for role, source in data_sources(config):
        if role == "all" and config.get("generate"):
            parts += _generated(config, source["chunksize"], taken)
        for file in source["files"]:
            parts += _existing(config, store_path(file), role, source, taken)
    if not parts:
        raise ConfigError(
            "no data", key="data.files", remedy="name zarr stores, or give a 'generate' section"
        )
    return parts


def store_identity(source: str) -> str:
    """The identifier of the content of a whole store, from the ``source`` of one of its parts."""
    return source.partition("-")[0]


def _generated(config: Config, chunksize: int, taken: set[str]) -> list[PartPlan]:
    section = config["generate"]
    kept = kept_arrays(config, config["data"])
    if kept:
        _check_generated(section, kept)
    total = section["num_samples"]
    sample_bytes = 2 * max(section["size"]) ** 2  # two matrices; other arrays are small
    parts = []
    for store in section["stores"]:
        name, path = unique_name(store, taken), paths.raw_store(config, store)
        parts += [
            PartPlan(
                name=f"{name}-{start:09d}",
                store=name,
                path=path,
                layout=section["layout"],
                num_samples=total,
                role="all",
                start=start,
                stop=stop,
                generated=True,
                source="",
                sample_bytes=sample_bytes,
            )
            for start, stop in _ranges(total, chunksize, store)
        ]
    return parts


def _existing(
    config: Config, file: Path, role: str, source: DataSection, taken: set[str]
) -> Iterator[PartPlan]:
    store = open_store(file)
    if columns_of(store, source["reader"]) is not None:
        _check_kept(kept_arrays(config, source), str(store.path), store.arrays)
    name = unique_name(file.name, taken)
    ranges = _ranges(store.num_samples, source["chunksize"], str(store.path))
    files = [paths.part(config, f"{name}-{start:09d}") for start, _ in ranges]
    sample_bytes = store.sample_bytes()
    contents = store_contents(store, files)
    for start, stop in ranges:
        yield PartPlan(
            name=f"{name}-{start:09d}",
            store=name,
            path=file,
            layout=store.layout,
            num_samples=store.num_samples,
            role=role,
            start=start,
            stop=stop,
            generated=False,
            source=contents + store.numbering(start, stop),
            sample_bytes=sample_bytes,
        )


def store_contents(store: StoreInfo, files: list[Path]) -> str:
    """An identifier of the content of ``store``; ``files``: made from it earlier, if they exist.

    A store that only gained samples since then keeps its identifier.
    """
    known = list(_recorded_states(files))
    return identity(observe(store, next(iter(known), None)), known)


def _recorded_states(files: list[Path]) -> Iterator[Mapping[str, Any]]:
    """The states of a store in the records of the last of ``files``, then of the first."""
    for file in dict.fromkeys((files[-1], files[0])):
        try:
            state = json.loads(paths.provenance(file).read_bytes())["store"]
        except (OSError, ValueError, KeyError, TypeError):  # no part, or no record
            continue
        if is_state(state):
            yield state


def _ranges(total: int, step: int, store: str) -> list[tuple[int, int]]:
    """``total`` samples of ``store`` in parts of ``step``."""
    starts = range(0, total, step)
    if len(starts) > MOST_PARTS:
        raise ConfigError(
            f"{store} has {total:,} samples, which makes {len(starts):,} parts of {step:,}",
            key="data.chunksize",
            remedy=f"raise it, so that there are at most {MOST_PARTS:,} parts",
        )
    return [(start, min(start + step, total)) for start in starts]


def unique_name(name: str, taken: set[str]) -> str:
    """A file name that is not in ``taken``, of letters, digits, dots, dashes and underscores."""
    name = name.removesuffix(".zip").removesuffix(".zarr")
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "store"
    result, number = base, 1
    while result in taken:
        number += 1
        result = f"{base}-{number}"
    taken.add(result)
    return result


def columns_of(store: StoreInfo, reader: Any) -> Columns | None:
    """The arrays that ``reader``, as the configuration names it, will read of ``store``.

    None if it is a user's reader. Raises ``DataError`` if there is no such array.
    """
    arguments = built_in_arguments(reader)
    return None if arguments is None else choose_columns(store, **arguments)


def built_in_arguments(reader: Any) -> dict[str, Any] | None:
    """The arguments, by name, of the built-in reader in the configuration.

    None if it is a user's reader. Raises ``ConfigError`` for an unknown argument.
    """
    if isinstance(reader, Mapping):
        parts = [reader.get("type"), reader.get("args"), reader.get("kwargs")]
    elif isinstance(reader, list | tuple):
        parts = [*reader, None, None]
    else:
        parts = [reader, None, None]
    kind, args, kwargs = parts[:3]
    if isinstance(kind, str):
        name = dotted_name(kind)
    else:
        name = f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', '')}"
    if name not in READER_NAMES:
        return None
    check_keywords(choose_columns, kwargs or {}, "data.reader.kwargs", 1, "CausalSetReader")
    try:
        bound = inspect.signature(choose_columns).bind(None, *(args or ()), **(kwargs or {}))
    except TypeError as error:
        raise ConfigError(f"CausalSetReader: {error}", key="data.reader") from None
    arguments = {name: value for name, value in bound.arguments.items() if name != "store"}
    naming.check_names(arguments)
    return arguments


def _check_generated(section: GenerateSection, kept: Mapping[str, str]) -> None:
    """Raise ``ConfigError`` if generated stores have not all arrays that are ``kept``."""
    from qgpipe.causets.writers.samples import GRAPH_ARRAYS, SampleSource  # imports numpy

    arrays = ["cset_size", "cset_type", "manifold_like", *GRAPH_ARRAYS]
    if not set(kept) <= set(arrays):  # a causal set of each class has to be made
        made_of = SampleSource(section, section["stores"][0]).description().made_of
        arrays += [name for name, array in made_of.items() if array.width is None]
    _check_kept(kept, "generated stores", arrays)


def _check_kept(kept: Mapping[str, str], where: str, arrays: Iterable[str]) -> None:
    """Raise ``ConfigError`` with its key for an array that is to be kept and is not there."""
    for name, key in kept.items():
        if name not in arrays:
            raise ConfigError(
                f"there is no array '{name}' in {where}",
                key=key,
                remedy=naming.did_you_mean(name, arrays),
            )
