"""PyG's graphs and batches, with the rules by which a data set's attributes are joined."""

import copy
import functools
import weakref
from collections.abc import Mapping
from typing import Any

from torch_geometric.data import Batch, Data


class RuledData(Data):
    """A graph with its own rules for batching some of its attributes."""

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        rule = self._rule(key)
        return super().__cat_dim__(key, value, *args, **kwargs) if rule is None else rule[0]

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        rule = self._rule(key)
        if rule is None:
            return super().__inc__(key, value, *args, **kwargs)
        return self.num_nodes if rule[1] else 0

    def _rule(self, key: str) -> tuple[int | None, bool] | None:
        return self.__dict__.get("_rules", {}).get(key)


class _BatchType(type(Batch), type(Data)):  # type: ignore[misc]
    """The metaclass that PyG creates for each class of batches."""


class EdgeFormatBatch(Batch, RuledData, metaclass=_BatchType):
    """A batch with its edges in a compact form: ``edge_batch``.

    ``edge_index`` is made from them when it is first asked for.
    """

    @property
    def edge_index(self) -> Any:
        """The edges as int64 [2, E]."""
        if "edge_index" not in self._store:
            self._store["edge_index"] = self._store["edge_batch"].edge_index()
        return self._store["edge_index"]

    @edge_index.setter
    def edge_index(self, value: Any) -> None:
        self._store["edge_index"] = value

    @property
    def num_edges(self) -> int:
        """Number of edges of all graphs."""
        return self._store["edge_batch"].total

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str) and key == "edge_index":
            return self.edge_index
        return super().__getitem__(key)

    def __contains__(self, key: str) -> bool:
        return key == "edge_index" or super().__contains__(key)

    def get_example(self, idx: int) -> Any:
        """Graph ``idx`` of the batch, as a ``Data`` with its ``edge_index``."""
        self._store["edge_index"] = self.edge_index
        return super().get_example(idx)

    def __reduce__(self) -> Any:
        """Pickled as a batch with ``edge_index``."""
        self._store["edge_index"] = self.edge_index
        return super().__reduce__()


def empty(attributes: Mapping[str, Any], kind: type[Data] | type[Batch]) -> Any:
    """An empty ``Data``, ``Batch`` or ``EdgeFormatBatch`` that knows how to join ``attributes``."""
    rules = _unusual_rules(attributes)
    if kind is Data:
        result = RuledData() if rules else Data()
    else:
        base = EdgeFormatBatch if kind is EdgeFormatBatch else RuledData if rules else Data
        result = copy.copy(_empty_batch(base))
    if rules:
        result.__dict__["_rules"] = rules
    return result


def filled(like: Any, fields: dict[str, Any], facts: dict[str, Any]) -> Any:
    """A batch of the class and rules of ``like``, which is empty, with these attributes.

    ``facts`` are what PyG keeps beside them. Not by ``copy`` and ``setattr``: PyG's way takes
    longer than to copy the tensors of a small batch.
    """
    batch = object.__new__(type(like))
    batch.__dict__.update(like.__dict__)
    store = object.__new__(type(like._store))
    store.__dict__.update(
        like._store.__dict__, _mapping=fields, _parent=weakref.ref(batch), **facts
    )
    batch.__dict__["_store"] = store
    return batch


@functools.cache
def _empty_batch(base: type[Data]) -> Batch:
    """Cached: PyG's lookup of the class takes as long as collating a small batch."""
    return Batch(_base_cls=base)


def _unusual_rules(attributes: Mapping[str, Any]) -> dict[str, tuple[int | None, bool]]:
    """Concatenation axis and increment of the attributes for which PyG's defaults are wrong."""
    rules = {}
    for name, attribute in attributes.items():
        is_index = "index" in name or name == "face"
        dimensions = attribute.values.ndim
        if attribute.scalar:
            cat_dim: int | None = None
            usual = dimensions == 1
        else:
            cat_dim = attribute.cat_dim
            usual = (cat_dim - (-1 if is_index else 0)) % dimensions == 0
        if not usual or attribute.increment != is_index or "batch" in name:
            rules[name] = (cat_dim, attribute.increment)
    return rules
