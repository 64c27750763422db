"""Checks before a run whether there are enough samples for the sets of the split.

Where this is not known without reading causal sets (a user's reader, a group for each causal set, a
filter), the split checks it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qgpipe.config.types import Config
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.preprocessing.plan import PartPlan, built_in_arguments, columns_of
from qgpipe.data.raw import naming
from qgpipe.data.splits.sizes import (
    STAGES,
    require_batches,
    require_filled,
    require_folds,
    require_graphs,
    share_size,
    split_sizes,
)

BLOCK = 2**20  # samples whose classes are read at once, at least one chunk


def check_sets(config: Config, parts: Sequence[PartPlan]) -> None:
    """Raise ``ConfigError`` if a set would be empty, or a fold would lack samples or a class.

    A set smaller than a batch counts as empty if incomplete batches are dropped.
    """
    data = config["data"]
    num_samples = sum(part.num_samples for part in _stores(parts) if part.role == "all")
    if num_samples == 0:
        return  # every set has its own data
    folds = data["folds"]
    if folds:
        require_graphs(num_samples, folds)
    if folds and data["split_method"] == "stratified":
        counts = class_counts(config, parts)
        if counts is not None:
            require_folds(counts, folds)
    may_be_fewer = data["pre_filter"] is not None or data["on_bad_sample"] == "skip"
    if data["split_method"] not in ("random", "stratified") or folds or may_be_fewer:
        return
    drawn = num_samples if data["subset"] is None else share_size(num_samples, data["subset"])
    sizes = split_sizes(drawn, data["split"])
    require_filled(sizes, data["split"])
    if len(sizes) == len(STAGES):
        require_batches(config, sizes)


def class_counts(config: Config, parts: Sequence[PartPlan]) -> Counter[int] | None:
    """The number of samples of each class in the data that is split; None if unknown."""
    counts: Counter[int] = Counter()
    for part in _stores(parts):
        if part.role != "all":
            continue
        found = _generated(config) if part.generated else _stored(part, config["data"]["reader"])
        if found is None:
            return None
        counts.update(found)
    return _numbered(counts, config["data"]["reader"])


def _numbered(counts: Counter[int], reader: Any) -> Counter[int]:
    """``counts`` by class number; the reader may say which value in the store is which class."""
    classes = (built_in_arguments(reader) or {}).get("classes")
    if classes is None:
        return counts
    return Counter({classes.index(v): n for v, n in counts.items() if v in classes})


def _stores(parts: Iterable[PartPlan]) -> Iterable[PartPlan]:
    """One part of each store."""
    return {part.store: part for part in parts}.values()


def _generated(config: Config) -> Counter[int] | None:
    """The classes of a generated store, which alternate; None if they are not the target."""
    reader = config["data"]["reader"]
    kwargs = reader.get("kwargs") if isinstance(reader, Mapping) else None
    if (kwargs or {}).get("target") not in (None, naming.TARGET[0]):
        return None
    section = config["generate"]
    return Counter(i % len(section["classes"]) for i in range(section["num_samples"]))


def _stored(part: PartPlan, reader: Any) -> Counter[int] | None:
    """The counts of classes in the target array; None if it is not one array of integers."""
    store = open_store(part.path)
    columns = columns_of(store, reader)
    if columns is None or len(columns.target) != 1:
        return None
    target = columns.target[0]
    if target.name not in store.sample_arrays:
        return None
    from qgpipe.data.raw.arrays import aligned, decoding_context, read_columns
    from qgpipe.data.raw.bad_samples import BadSamples

    bad = BadSamples(store, skip=True)  # read errors are reported by the job that reads the samples
    context = decoding_context(store, 1)
    counts: Counter[int] = Counter()
    for first, last in aligned(
        0, part.num_samples, -(-BLOCK // target.chunks[0]) * target.chunks[0]
    ):
        values = read_columns([target], bad, context, range(first, last))[target.name]
        if values.dtype.kind not in "biu" or values.size != last - first:
            return None
        counts.update(values.ravel().tolist())
    return counts
