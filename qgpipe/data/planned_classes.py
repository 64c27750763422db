"""How many samples of each class there will be, as far as that can be told before reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from qgpipe.data import names
from qgpipe.data.plan import PartPlan, columns_of
from qgpipe.data.stores import open_store


def check_folds(config: Mapping[str, Any], parts: Iterable[PartPlan]) -> None:
    """Raise ``ConfigError`` if there are fewer samples, or samples of a class, than folds.

    The latter if the folds are stratified. Where classes cannot be told without reading causal
    sets (a reader of the user's, a group for each causal set, a filter), that is left to the split.
    """
    data = config["data"]
    if not data["folds"]:
        return
    from qgpipe.data.split import require_folds, require_graphs  # imports numpy: only if asked for

    stores = {part.store: part for part in parts}.values()
    require_graphs(sum(part.num_samples for part in stores), data["folds"])
    if data["split_method"] != "stratified":
        return
    counts: Counter[int] = Counter()
    for part in stores:
        found = _generated(config) if part.generated else _stored(part, data["reader"])
        if found is None:
            return
        counts.update(found)
    require_folds(counts, data["folds"])


def _generated(config: Mapping[str, Any]) -> Counter[int] | None:
    """Classes take turns in a generated store."""
    reader = config["data"]["reader"]
    kwargs = reader.get("kwargs") if isinstance(reader, Mapping) else None
    if (kwargs or {}).get("target") not in (None, names.TARGET[0]):
        return None
    section = config["generate"]
    return Counter(i % len(section["classes"]) for i in range(section["num_samples"]))


def _stored(part: PartPlan, reader: Any) -> Counter[int] | None:
    """The classes in the target array, if it is one array of integers."""
    store = open_store(part.path)
    columns = columns_of(store, reader)
    if columns is None or not columns.stacked or len(columns.target) != 1:
        return None
    from qgpipe.data.arrays import decoding_context, read_columns
    from qgpipe.data.bad_samples import BadSamples

    target = columns.target[0]
    bad = BadSamples(store, skip=True)  # what cannot be read is said when it is
    values = read_columns([target], bad, decoding_context(1), range(part.num_samples))[target.name]
    if values.dtype.kind not in "biu" or values.size != part.num_samples:
        return None
    return Counter(values.reshape(-1).tolist())
