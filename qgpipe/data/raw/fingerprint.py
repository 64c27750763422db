"""Whether a raw store is still the one that its parts were read from.

The check reads the metadata of every array and, for each array, looks at the chunk with the first
sample: its size and date and, if these differ, its first MiB. A store that was touched, copied or
moved is recognised. One that was replaced, or whose arrays were rewritten, counts as changed even
if its metadata is the same. A store that only gained samples counts as the same. A single value
that changed far from the first sample is not noticed, except in a zip file: there, any change is.
Objects on a server are compared likewise; the server's generation (ETag) takes the place of the
date.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from qgpipe.data.raw.metadata import ArrayInfo
from qgpipe.data.raw.objects import ObjectPath, archive_digest, look
from qgpipe.data.raw.store_files import read_file
from qgpipe.data.raw.stores import StoreInfo
from qgpipe.errors import DataError

READ_BYTES = 2**20


def observe(store: StoreInfo, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The state of ``store`` as JSON values.

    ``num_samples``; ``metadata``: digest of all metadata that does not change when samples are
    appended; ``files``: for each array the size in bytes, date in ns and digest of the file with
    its first chunk, and the number of samples that fit into it (``room``; null: any). Digests of
    files whose size and date are as in the earlier state ``known`` are taken from there.
    """
    earlier = (known or {}).get("files", {})
    arrays = dict(store.arrays)
    rooms: dict[str, int | None] = {
        name: array.grid[0] if _has_samples(store, array) else 0 for name, array in arrays.items()
    }
    if store.count:
        arrays[store.count.name], rooms[store.count.name] = store.count, None
    return {
        "num_samples": store.num_samples,
        "metadata": _digest(_metadata(store)),
        "files": {
            name: {"room": rooms[name], **_file(array, earlier.get(name, {}))}
            for name, array in arrays.items()
        },
    }


def identity(state: Mapping[str, Any], earlier: Iterable[Mapping[str, Any]] = ()) -> str:
    """An identifier of the content: that of the first of the ``earlier`` states which it continues.

    ``earlier`` are states with their ``identity``, as parts have recorded them.
    """
    for known in earlier:
        if continues(state, known):
            return known["identity"]
    contents = {name: file["digest"] for name, file in state["files"].items()}
    return _digest([state["metadata"], contents])


def is_state(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether ``value`` is a state with its identity, as a record that is not damaged holds it."""
    return (
        isinstance(value, Mapping)
        and value.keys() >= {"identity", "num_samples", "metadata", "files"}
        and isinstance(value["num_samples"], int)
        and isinstance(value["files"], Mapping)
        and all(isinstance(f, Mapping) and "digest" in f for f in value["files"].values())
    )


def continues(state: Mapping[str, Any], earlier: Mapping[str, Any]) -> bool:
    """Whether the samples of ``earlier`` seem to be unchanged.

    A chunk that was not full may differ if there are more samples now.
    """
    grown = state["num_samples"] > earlier["num_samples"]
    if state["metadata"] != earlier["metadata"] or state["files"].keys() != earlier["files"].keys():
        return False
    for name, file in state["files"].items():
        room = file["room"]
        may_differ = grown and (room is None or room > earlier["num_samples"])
        if file["digest"] != earlier["files"][name]["digest"] and not may_differ:
            return False
    return True


def _has_samples(store: StoreInfo, array: ArrayInfo) -> bool:
    """Whether axis 0 of ``array`` counts the samples."""
    return array.name in store.sample_arrays and array.shape[:1] == (store.num_samples,)


def _metadata(store: StoreInfo) -> list[Any]:
    arrays = [
        [
            array.name,
            array.dtype,
            array.shape[1:] if _has_samples(store, array) else array.shape,
            array.grid,
            array.chunks,
            array.attributes,
        ]
        for _, array in sorted(store.arrays.items())
    ]
    found = [store.layout, store.zarr_format, store.attributes, arrays]
    archive = archive_digest(store.path) if isinstance(store.path, ObjectPath) else None
    return found if archive is None else [*found, archive]


def _file(array: ArrayInfo, known: Mapping[str, Any]) -> dict[str, Any]:
    """Size, date and digest of the file with the first chunk; nulls if there is no such file.

    An object has a generation instead of a date.
    """
    path = type(array.path)(next(array.chunk_files([range(1)] * len(array.shape))))
    if isinstance(path, ObjectPath):
        return look(path, known)
    try:
        stat = path.stat()
    except OSError:
        return {"bytes": None, "date": None, "digest": None}
    seen = {"bytes": stat.st_size, "date": stat.st_mtime_ns}
    unchanged = seen.items() <= known.items()
    return {**seen, "digest": known["digest"] if unchanged else _digest_of(path, array)}


def _digest_of(path: Path, array: ArrayInfo) -> str:
    try:
        content = read_file(path, READ_BYTES)
    except ValueError as error:
        raise DataError(
            str(error),
            store=str(array.path.parent),
            array=array.name,
            remedy="write the array again",
        ) from None
    digest = hashlib.sha256(content or b"")
    digest.update(str(path.stat().st_size).encode())
    return digest.hexdigest()[:16]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
