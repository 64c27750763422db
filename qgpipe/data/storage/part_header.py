"""Reads and checks the header of a part file, which has to be as ``write_part`` writes it."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from qgpipe.data.graphs.packed import WORD
from qgpipe.errors import DataError
from qgpipe.system.json_shapes import misfit

FORMAT = 1
METADATA_KEY = "qgpipe"
HEADER_LIMIT = 100_000_000  # bytes, the limit of safetensors
DTYPE_NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "float16": "F16",
    "uint32": "U32", "int32": "I32", "float32": "F32", "uint64": "U64", "int64": "I64",
    "float64": "F64",
}  # fmt: skip
DTYPES = {name: np.dtype(dtype) for dtype, name in DTYPE_NAMES.items()}

KINDS = {"node", "edge", "graph", "ragged"}  # as ``graphs.packed.Kind``

_ENTRY = {"dtype": set(DTYPES), "shape": [int], "data_offsets": [int]}
_NAMES = (None, [str])
COUNTED = (
    "start", "stop", "num_graphs", "num_filtered", "num_skipped", "num_nodes", "num_edges", "bytes",
    "stored_bytes",
)  # fmt: skip
_INFO = {
    "store": str,
    **dict.fromkeys(COUNTED, int),
    "skipped": [{"sample": int, "reason": str}],
    "edge_form": {"bits", "pairs"},
    "explicit_num_nodes": bool,
    "node_features": _NAMES,
    "graph_features": _NAMES,
    "target": (None, str, [str]),
    "class_names": _NAMES,
    "classes?": [int],
    "attributes": {
        str: {
            "kind": KINDS,
            "dtype": set(DTYPE_NAMES),
            "shape": [int],
            "cat_dim": (int, None),
            "increment": bool,
            "scalar": bool,
        }
    },
    "constants": {str: {"value": (float, bool), "dtype": set(DTYPE_NAMES), "shape": [int]}},
    "sizes": {"values": [int], "counts": [int]},
    "class_counts": (None, {str: int}),
    "compressed": (None, {str: list}),
    "checksum": str,
}


def read_header(path: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Entries of the arrays, description, and offset of the data section in bytes.

    Raises ``DataError`` if the file is missing, truncated or of another format, or if its arrays or
    their offsets do not match the description.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, HEADER_LIMIT):
                refuse(path, "is not a part file, or is cut off")
            header = json.loads(file.read(length))
        info = json.loads(header.pop("__metadata__")[METADATA_KEY])
        version, num_bytes = info["format"], info["stored_bytes"]
        expected = 8 + length + num_bytes
    except FileNotFoundError:
        raise DataError(f"no such file: {path}", remedy="run the preprocess stage") from None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}",
            remedy="change its permissions, or delete it and run the pipeline again",
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        refuse(path, "is not a part file, or is damaged")
    if version != FORMAT:
        refuse(path, f"has part format {version}; this version of qgpipe reads format {FORMAT}")
    if size != expected:
        refuse(path, f"is damaged: {size} bytes instead of {expected}")
    computed = info.get("computed", [])
    if (
        problem := misfit(info, _INFO)
        or misfit(computed, [str])
        or misfit(header, {str: _ENTRY})
        or _misplaced(header, info)
    ):
        refuse(path, f"is damaged: in its header {problem}")
    return header, info, 8 + length


def refuse(path: Path, problem: str) -> NoReturn:
    """Raise ``DataError`` for a part that has a ``problem``."""
    raise DataError(f"{path} {problem}", remedy="delete it and run the pipeline again")


def in_order(dtypes: Mapping[str, np.dtype]) -> list[str]:
    """The names of the arrays in the order in the file.

    The offset of an array must be a multiple of its alignment; largest first leaves no gaps.
    """

    def alignment(name: str) -> int:
        return WORD if name == "adjacency_bits" else dtypes[name].itemsize

    return sorted(dtypes, key=lambda name: (-alignment(name), name))


def _misplaced(header: Mapping[str, Any], info: Mapping[str, Any]) -> str | None:
    """What is wrong with the arrays of a part; None if they match its description."""
    forms = info["compressed"]
    if forms is None:
        forms = {name: [entry["dtype"], entry["shape"]] for name, entry in header.items()}
    if forms.keys() != header.keys():
        return "'compressed' has other arrays"
    expected = _expected_shapes(info)
    if forms.keys() != expected.keys():
        names = ", ".join(sorted(forms.keys() ^ expected.keys()))
        return f"arrays are missing or superfluous: {names}"
    for name, (kinds, shape) in expected.items():
        form = forms[name]
        if len(form) != 2 or form[0] not in kinds or misfit(form[1], [int]):
            return f"'{name}' is {form}"
        given = form[1]
        if len(given) != len(shape) or any(
            n < 0 or wanted not in (None, n) for n, wanted in zip(given, shape, strict=True)
        ):
            return f"'{name}' has the shape {given}"
    end = 0
    for name in in_order({name: DTYPES[entry["dtype"]] for name, entry in header.items()}):
        entry = header[name]
        num_bytes = prod(entry["shape"]) * DTYPES[entry["dtype"]].itemsize
        if min(entry["shape"], default=0) < 0 or entry["data_offsets"] != [end, end + num_bytes]:
            return f"'{name}' lies at {entry['data_offsets']}"
        end += num_bytes
    return None if end == info["stored_bytes"] else f"arrays end at {end}"


def _expected_shapes(info: Mapping[str, Any]) -> dict[str, tuple[set[str], list[int | None]]]:
    """Types and shape of each array of a part; None in a shape stands for any number."""
    graphs, nodes, edges = info["num_graphs"], info["num_nodes"], info["num_edges"]
    rows = {"node": nodes, "edge": edges, "graph": graphs, "ragged": None}
    found: dict[str, tuple[set[str], list[int | None]]] = {
        "sample_index": ({"I64"}, [graphs]),
        "node_ptr": ({"I64"}, [graphs + 1]),
    }
    if info["edge_form"] == "bits":
        found["adjacency_bits"] = ({"U8"}, [None])
        found["bits_ptr"] = ({"I64"}, [graphs + 1])
        found["num_edges"] = ({"I64"}, [graphs])
    else:
        found["edge_index"] = ({"U16", "U32"}, [2, edges])
        found["edge_ptr"] = ({"I64"}, [graphs + 1])
    for name, entry in info["attributes"].items():
        dtype = {DTYPE_NAMES[entry["dtype"]]}
        found[f"attribute/{name}"] = (dtype, [rows[entry["kind"]], *entry["shape"]])
        if entry["kind"] == "ragged":
            found[f"ptr/{name}"] = ({"I64"}, [graphs + 1])
    return found
