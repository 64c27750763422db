"""The jobs of the preprocess stage: a part of a store, and the list of all parts."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qgpipe.config.resolve import data_sources, kept_arrays
from qgpipe.config.spec import build_object
from qgpipe.config.types import Config, DataSection
from qgpipe.data.graphs.packed import Packed
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.arrays import count_samples
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.data.storage.manifest import write_dataset
from qgpipe.data.storage.part_file import write_part
from qgpipe.errors import DataError

__all__ = ["preprocess_part", "write_dataset"]

log = logging.getLogger(__name__)


def preprocess_part(
    config: Config,
    store_path: str | Path,
    store_name: str,
    start: int,
    stop: int,
    output: str | Path,
    role: str = "all",
    processes: int = 1,
) -> dict[str, Any]:
    """Read, check and pack the samples ``start:stop`` of a store into the part file ``output``.

    ``config``: the resolved configuration; ``role``: which of its data sections is used (see
    ``config.resolve.data_sources``). ``processes``: threads of the built-in reader, or processes of
    a user's reader. The file's bytes do not depend on it.

    If the store's array ``num_samples`` says that it has fewer samples than planned, the part is
    shorter or empty. Returns the part's description, as ``read_part_info`` does.

    With ``data.on_bad_sample: skip`` bad samples are left out and listed. Otherwise the first one
    raises ``DataError``, naming store, sample and array, and no file is written.
    """
    source = dict(data_sources(config))[role]
    store = open_store(store_path)
    if stop > store.num_samples:
        raise DataError(
            f"there are {store.num_samples} samples, but {stop} were planned",
            store=str(store_path),
            remedy="the store has changed: run the pipeline again",
        )
    stop = min(stop, count_samples(store))
    start = min(start, stop)
    bad = BadSamples(store, source["on_bad_sample"] == "skip")
    kept = kept_arrays(config, source)
    packed, num_filtered, names = _read(source, bad, start, stop, processes, kept)
    info = {
        "store": store_name,
        "start": start,
        "stop": stop,
        "num_filtered": num_filtered,
        "num_skipped": len(bad.reasons),
        "skipped": bad.listed(range(start, stop)),
        **names,
    }
    written = write_part(output, packed, info, source["compress"])
    log.info(
        "%s: %d graphs of samples %d-%d, %d filtered out",
        store_name, packed.num_graphs, start, stop, num_filtered,
    )  # fmt: skip
    if names.get("computed"):
        log.info("%s: computed from the relations: %s", store_name, ", ".join(names["computed"]))
    for index, reason in sorted(bad.reasons.items()):
        log.warning("%s: left out sample %s: %s", store_name, store.sample_name(index), reason)
    return written


def _read(
    source: DataSection,
    bad: BadSamples,
    start: int,
    stop: int,
    processes: int,
    kept: Iterable[str],
) -> tuple[Packed, int, dict[str, Any]]:
    """Packed graphs, number of graphs filtered out, and names of features and classes."""
    store = bad.store
    reader = build_object(source["reader"], "data.reader")
    one_by_one = source.get("pre_filter") or source.get("pre_transform")
    if not isinstance(reader, CausalSetReader):
        from qgpipe.data.readers.sample_reader import with_reader  # imports torch

        packed, filtered = with_reader(reader, source, bad).read(start, stop, processes)
        return packed, filtered, _names()
    reader = reader.keeping(*kept)
    packed = reader.read(
        store,
        start,
        stop,
        source["float_type"],
        source["int_type"],
        source["validate_data"],
        processes,
        source["validate_order"],
        bad,
    )
    names = reader.describe(store)
    if not one_by_one:
        return packed, 0, names
    from qgpipe.data.readers.sample_reader import with_packed

    packed, filtered = with_packed(packed, source, bad).read(start, stop, processes)
    if source.get("pre_transform"):
        # The user's function may have changed the features, so their names are unknown.
        listed = {k: v for k, v in names.items() if k == "classes"}
        known = names["class_names"] if listed else reader.names["class_names"]
        names = {**_names(class_names=known), **listed}
    return packed, filtered, names


def _names(**known: Any) -> dict[str, Any]:
    unknown = dict.fromkeys(("node_features", "graph_features", "target", "class_names"))
    return {**unknown, **known}
