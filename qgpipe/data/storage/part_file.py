"""Part files: packed graphs on disk, as safetensors.

The layout is the public safetensors one (8-byte little-endian header length, JSON header,
data), so that any safetensors reader opens it. The header's ``__metadata__["qgpipe"]``
describes the part, and is read without touching the arrays. In a compressed part each array
is the bytes of a zstd frame; the description holds its type and shape.
"""

import hashlib
import json
import mmap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qgpipe.data.graphs.packed import Attribute, BitAdjacency, ConstantEdges, EdgePairs, Packed
from qgpipe.data.storage.part_header import (
    DTYPE_NAMES,
    DTYPES,
    FORMAT,
    METADATA_KEY,
    in_order,
    read_header,
    refuse,
)
from qgpipe.errors import ConfigError
from qgpipe.system.files import atomic_path

ALIGNMENT = 64  # of the start of the data section, in bytes: a cache line
HASH_BLOCK = 1 << 24
COMPRESSION_LEVEL = 9  # of zstd: a few per cent smaller than the usual 3, still 50 MB/s


def write_part(
    path: str | Path, packed: Packed, info: Mapping[str, Any], compress: bool = False
) -> dict[str, Any]:
    """Write ``packed`` to ``path`` atomically; returns the same as :func:`read_part_info`.

    ``info`` is stored in the header unchanged (JSON values): ``store``, ``start``, ``stop``,
    ``num_filtered``, ``num_skipped``, ``skipped``, ``node_features``, ``graph_features``,
    ``target``, ``class_names``. ``compress``: for archives; such a part cannot be mapped.

    In the description, ``bytes`` is the size of the arrays in memory, ``stored_bytes`` their size
    in the file, and ``checksum`` that of the bytes in the file.
    """
    arrays = _arrays(packed)
    forms = {name: [DTYPE_NAMES[a.dtype.name], list(a.shape)] for name, a in arrays.items()}
    num_bytes = sum(array.nbytes for array in arrays.values())
    if compress:
        arrays = {name: _compressed(array) for name, array in arrays.items()}
    names = in_order({name: array.dtype for name, array in arrays.items()})
    header: dict[str, Any] = {}
    digest, end = hashlib.sha256(), 0
    for name in names:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": DTYPE_NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
        digest.update(_bytes_of(array))
    description = {
        **info,
        **describe(packed),
        "format": FORMAT,
        "compressed": forms if compress else None,
        "bytes": num_bytes,
        "stored_bytes": end,
        "checksum": f"sha256:{digest.hexdigest()}",
    }
    text = json.dumps({"__metadata__": {METADATA_KEY: json.dumps(description)}, **header})
    encoded = text.encode()
    encoded += b" " * (-(len(encoded) + 8) % ALIGNMENT)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for name in names:
            file.write(_bytes_of(arrays[name]))
    return description


def describe(packed: Packed) -> dict[str, Any]:
    """Counts, sizes, classes, and type and shape of every array of ``packed``, as JSON values.

    ``sizes`` holds the distinct numbers of nodes and how many graphs have each;
    ``class_counts`` how many graphs have each value of an integer ``y`` (null for others).
    """
    values, counts = np.unique(packed.sizes, return_counts=True)
    targets = integer_targets(packed)
    return {
        "num_graphs": packed.num_graphs,
        "num_nodes": int(packed.node_ptr[-1]),
        "num_edges": int(packed.edge_ptr[-1]),
        "edge_form": "bits" if isinstance(packed.edges, BitAdjacency) else "pairs",
        "explicit_num_nodes": packed.explicit_num_nodes,
        "attributes": {
            name: {
                "kind": attribute.kind,
                "dtype": attribute.values.dtype.name,
                "shape": list(attribute.values.shape[1:]),
                "cat_dim": attribute.cat_dim,
                "increment": attribute.increment,
                "scalar": attribute.scalar,
            }
            for name, attribute in packed.attributes.items()
        },
        "constants": {
            name: {"value": constant.value, "dtype": constant.dtype, "shape": list(constant.shape)}
            for name, constant in packed.constants.items()
        },
        "sizes": {"values": values.tolist(), "counts": counts.tolist()},
        "class_counts": None if targets is None else count_values(targets),
    }


def integer_targets(packed: Packed) -> np.ndarray | None:
    """``y`` as int64 [N] if it is one integer or boolean a graph, else None."""
    target = packed.attributes.get("y")
    if target is None:
        return None
    return _integer_targets(target.values, target.kind, packed.num_graphs)


def _integer_targets(values: np.ndarray, kind: str, num_graphs: int) -> np.ndarray | None:
    if kind != "graph" or values.dtype.kind not in "biu" or values.size != num_graphs:
        return None
    return values.reshape(-1).astype(np.int64)


def count_values(values: np.ndarray) -> dict[str, int]:
    """How often each value occurs, by the value as text: a key of JSON."""
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(map(str, found.tolist()), counts.tolist(), strict=True))


def read_part_info(path: str | Path) -> dict[str, Any]:
    """The description of a part, read from its header.

    Raises ``DataError`` if the file is missing, not a part, of another format version or truncated.
    """
    return read_header(Path(path))[1]


def open_part(path: str | Path, mapped: bool = True) -> Packed:
    """The graphs of a part.

    ``mapped``: arrays are memory-mapped, else read at once. Raises ``DataError`` as
    :func:`read_part_info`, and ``ConfigError`` if a compressed part is to be mapped.
    """
    path = Path(path)
    header, info, start = read_header(path)
    if mapped and info["compressed"]:
        raise ConfigError(
            f"the part {path} is compressed, so it has to fit into memory",
            key="data.residency",
            remedy="set it to memory, or data.compress to false",
        )
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if mapped else None
        data = np.fromfile(file, np.uint8) if mapping is None else np.frombuffer(mapping, np.uint8)
    arrays = {
        name: _array(path, name, data[start:][slice(*entry["data_offsets"])], entry, info)
        for name, entry in header.items()
    }
    return replace(_packed(arrays, info), mapping=mapping)


def read_targets(path: str | Path) -> np.ndarray | None:
    """``y`` of a part's graphs, int64 [N], if it is one integer or boolean a graph, else None.

    Nothing else is read. Raises ``DataError`` as :func:`read_part_info`.
    """
    values = read_graph_attribute(path, "y")
    return None if values is None else _integer_targets(values, "graph", len(values))


def read_graph_attribute(path: str | Path, name: str) -> np.ndarray | None:
    """An attribute with one row for each graph, [N, ...]; None if there is no such attribute.

    Nothing else is read. Raises ``DataError`` as :func:`read_part_info`.
    """
    header, info, start = read_header(Path(path))
    entry = info["attributes"].get(name)
    if entry is None or entry["kind"] != "graph":
        return None
    return _read_array(Path(path), f"attribute/{name}", header, info, start)


def read_sample_index(path: str | Path) -> np.ndarray:
    """Index of each graph's sample in its store, int64 [N].

    Nothing else is read. Raises ``DataError`` as :func:`read_part_info`.
    """
    header, info, start = read_header(Path(path))
    return _read_array(Path(path), "sample_index", header, info, start)


def verify_part(path: str | Path) -> None:
    """Compare the checksum of a part's data with the one in its header.

    Raises ``DataError`` if they differ, and as :func:`read_part_info`.
    """
    path = Path(path)
    _, info, start = read_header(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(HASH_BLOCK):
            digest.update(block)
    if f"sha256:{digest.hexdigest()}" != info["checksum"]:
        refuse(path, "is damaged: its checksum does not match its data")


def _arrays(packed: Packed) -> dict[str, np.ndarray]:
    arrays = {"sample_index": packed.sample_index, "node_ptr": packed.node_ptr}
    if isinstance(packed.edges, BitAdjacency):
        arrays["adjacency_bits"] = packed.edges.bits
        arrays["bits_ptr"] = packed.edges.ptr
        arrays["num_edges"] = packed.edges.num_edges
    elif isinstance(packed.edges, EdgePairs):
        arrays["edge_index"] = packed.edges.edge_index
        arrays["edge_ptr"] = packed.edges.edge_ptr
    else:
        raise TypeError("edges are stored as bits or pairs")
    for name, attribute in packed.attributes.items():
        arrays[f"attribute/{name}"] = attribute.values
        if attribute.ptr is not None:
            arrays[f"ptr/{name}"] = attribute.ptr
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _compressed(array: np.ndarray) -> np.ndarray:
    from numcodecs import Zstd  # only archives need it

    content = Zstd(COMPRESSION_LEVEL).encode(_bytes_of(array)) if array.size else b""
    return np.frombuffer(content, np.uint8)


def _array(
    path: Path, name: str, data: np.ndarray, entry: Mapping[str, Any], info: Mapping[str, Any]
) -> np.ndarray:
    """An array from its bytes in the file; ``entry``: its entry in the header."""
    dtype, shape = entry["dtype"], entry["shape"]
    if info["compressed"]:
        from numcodecs import Zstd

        dtype, shape = info["compressed"][name]
        try:
            data = np.frombuffer(Zstd().decode(data) if data.size else b"", np.uint8)
        except RuntimeError as error:
            refuse(path, f"is damaged: {error}")
    return data.view(DTYPES[dtype]).reshape(shape)


def _read_array(
    path: Path, name: str, header: Mapping[str, Any], info: Mapping[str, Any], start: int
) -> np.ndarray:
    """One array of a part, without the others; ``start``: offset of the data section in bytes."""
    begin, end = header[name]["data_offsets"]
    data = np.fromfile(path, np.uint8, end - begin, offset=start + begin)
    return _array(path, name, data, header[name], info)


def _packed(arrays: dict[str, np.ndarray], info: dict[str, Any]) -> Packed:
    edges: BitAdjacency | EdgePairs
    if info["edge_form"] == "bits":
        edges = BitAdjacency(arrays["adjacency_bits"], arrays["bits_ptr"], arrays["num_edges"])
    else:
        edges = EdgePairs(arrays["edge_index"], arrays["edge_ptr"])
    return Packed(
        sample_index=arrays["sample_index"],
        node_ptr=arrays["node_ptr"],
        edges=edges,
        attributes={
            name: Attribute(
                arrays[f"attribute/{name}"],
                entry["kind"],
                arrays.get(f"ptr/{name}"),
                entry["cat_dim"],
                entry["increment"],
                entry["scalar"],
            )
            for name, entry in info["attributes"].items()
        },
        constants={
            name: ConstantEdges(entry["value"], entry["dtype"], tuple(entry["shape"]))
            for name, entry in info["constants"].items()
        },
        explicit_num_nodes=info["explicit_num_nodes"],
    )


def _bytes_of(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
