"""Whether a store has the features that a model was trained on."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qgpipe.config.types import DataSection
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.preprocessing.plan import columns_of
from qgpipe.errors import DataError

_ARRAYS = {"node_features": "x", "graph_features": "graph_features"}


def check_metadata(
    source: DataSection, reader: Any, path: Path, trained: Mapping[str, Any]
) -> None:
    """Raise ``DataError`` as ``check_names`` does, using only the metadata of the store ``path``.

    ``source``: the data section; ``reader``: for this store. If the names are not known from it,
    nothing is compared.
    """
    columns = columns_of(open_store(path), reader)
    if columns is None or source["pre_transform"]:
        return
    found = {"node_features": columns.node_features, "graph_features": columns.graph_features}
    check_names(str(path), trained, found)


def check_names(store: str, trained: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise ``DataError`` if the names of node or graph features are not those of the model.

    ``trained``: the facts in the model's file; ``found``: the names read from ``store``. If either
    has no names, as with a user's reader, nothing is compared.
    """
    for kind in _ARRAYS:
        ours, theirs = trained.get(kind), found.get(kind)
        if ours is not None and theirs is not None and list(ours) != list(theirs):
            _refuse_names(store, kind.replace("_", " "), ours, theirs)


def check_arrays(store: str, trained: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise ``DataError`` if arrays of the graphs are missing, or of another width or type.

    ``found``: a description of packed graphs. Targets do not count.
    """
    ours, theirs = trained.get("attributes"), found["attributes"]
    if ours is None:  # a file of an earlier version: the model is checked when it is called
        return
    for name in _compared(ours, theirs):
        before, now = ours.get(name), theirs.get(name)
        if before is None or now is None or _form(before) != _form(now):
            raise DataError(
                f"the model was trained with {_said(before)}, here there {_is(now)}",
                store=store,
                array=name,
                remedy="let the reader give what it gave in training, or train a model for this",
            )


def _compared(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """The arrays to compare: known inputs of models, and all others of the training data."""
    for name in dict.fromkeys((*_ARRAYS.values(), *ours)):
        if name != "y" and (name in ours or name in theirs):
            yield name


def _form(array: Mapping[str, Any]) -> tuple[str, list[int]]:
    return array["dtype"], list(array["shape"])


def _said(array: Mapping[str, Any] | None) -> str:
    if array is None:
        return "none"
    columns = array["shape"][-1] if array["shape"] else 1
    return f"{columns} column{'s' if columns != 1 else ''} of {array['dtype']}"


def _is(array: Mapping[str, Any] | None) -> str:
    said = _said(array)
    return f"{'is' if said.startswith(('none', '1 ')) else 'are'} {said}"


def _refuse_names(store: str, kind: str, ours: Sequence[str], theirs: Sequence[str]) -> None:
    missing = [name for name in ours if name not in theirs]
    new = [name for name in theirs if name not in ours]
    lists = {"missing": missing, "new": new}
    parts = [f"{', '.join(some)} {which}" for which, some in lists.items() if some]
    raise DataError(
        f"the model was trained on {len(ours)} {kind}, this store gives {len(theirs)}: "
        f"{'; '.join(parts) or 'the same in another order'}",
        store=store,
        remedy=f"name the arrays {', '.join(ours)} in the reader's kwargs, in this order, or "
        "train a model for this",
    )
