"""``dataset.json``: the parts of a data set, gathered from their headers."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qgpipe.data.storage.part_file import read_part_info
from qgpipe.data.storage.part_header import COUNTED, KINDS
from qgpipe.errors import DataError
from qgpipe.system.files import read_json, write_json
from qgpipe.system.json_shapes import misfit
from qgpipe.system.logs import NOTES

FORMAT = 1
BINS = 30  # at most, of the histogram of sizes

_NAMES = ("node_features", "graph_features", "target", "class_names")
_SHAPE = {
    "num_graphs": int,
    "stores": [{"name": str, "path": str, "layout": str, "num_samples": int, "role": str}],
    "parts": [
        {
            "file": str,
            "store": str,
            "role": {"all", "train", "validation", "test"},
            **dict.fromkeys(COUNTED, int),
            "checksum": str,
        }
    ],
    "attributes": {str: {"kind": KINDS, "dtype": str, "shape": [int]}},
    "node_features": (None, [str]),
    "graph_features": (None, [str]),
    "target": (None, str, [str]),
    "class_names": (None, [str]),
    "classes?": [int],
    "class_counts": (None, {str: int}),
}


def read_dataset(path: str | Path) -> dict[str, Any]:
    """The content of a ``dataset.json``, checked.

    Raises ``DataError`` if it is missing, damaged, of another format, or lists a part twice.
    """
    description = read_json(path)
    version = description.get("format") if isinstance(description, dict) else None
    if version != FORMAT:
        raise DataError(
            f"{path} has data set format {version}; this version of qgpipe reads {FORMAT}",
            remedy="run the preprocess stage again",
        )
    problem = misfit(description, _SHAPE)
    if problem is None:
        counts = [part["num_graphs"] for part in description["parts"]]
        names = [(part["store"], part["start"]) for part in description["parts"]]
        if min(counts, default=0) < 0 or sum(counts) != description["num_graphs"]:
            problem = f"its parts have {sum(counts)} graphs, not {description['num_graphs']}"
        elif len(set(names)) < len(names):
            problem = "it lists samples twice"
    if problem is not None:
        raise DataError(f"{path} is damaged: {problem}", remedy="run the preprocess stage again")
    return description


def recorded_part(folder: Path, part: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a ``part`` that ``dataset.json``, in ``folder``, lists.

    Only its header is read. Raises ``DataError`` if it is missing, damaged, or another part.
    """
    file = folder / part["file"]
    info = read_part_info(file)
    for name in ("checksum", "store", *COUNTED):
        if info[name] != part[name]:
            raise DataError(
                f"{file} is not the part that dataset.json recorded: '{name}' is {info[name]}, "
                f"not {part[name]}",
                remedy="delete it and run the pipeline again",
            )
    return info


def write_dataset(
    parts: Sequence[str | Path], stores: Sequence[Mapping[str, Any]], output: str | Path
) -> None:
    """List ``parts``, in this order, in the file ``output``, with counts, names and checksums.

    ``stores``: the entries ``name, path, layout, num_samples, role`` of the stores of the parts;
    ``path``: the current path of a store. Features that were computed are added to its entry as
    ``computed``. Only the headers of the parts are read. Bad samples that were left out are listed
    with the reasons.

    Raises ``DataError`` if there is no graph in any part, or if stores differ in the features,
    targets or classes that were read from them; both stores are named.
    """
    output = Path(output)
    infos = [read_part_info(part) for part in parts]
    filled = [info for info in infos if info["num_graphs"]]
    if not filled:
        _refuse_nothing(infos, stores)
    for info in filled[1:]:
        _check_agreement(filled[0], info)
    if skipped := sum(info["num_skipped"] for info in infos):
        samples_read = sum(info["stop"] - info["start"] for info in infos)
        NOTES.warning(
            "%d of %d samples were left out as bad: see dataset.json", skipped, samples_read
        )
    roles = {store["name"]: store["role"] for store in stores}
    samples: Counter[str] = Counter()
    computed: dict[str, dict[str, list[str]]] = {}
    for info in infos:
        samples[info["store"]] += info["stop"] - info["start"]
        if info.get("computed"):
            computed[info["store"]] = {"computed": info["computed"]}
    write_json(
        output,
        {
            "format": FORMAT,
            "num_graphs": sum(info["num_graphs"] for info in infos),
            "num_filtered": sum(info["num_filtered"] for info in infos),
            "num_skipped": sum(info["num_skipped"] for info in infos),
            "skipped": [
                {"id": f"{info['store']}/{skipped['sample']}", "reason": skipped["reason"]}
                for info in infos
                for skipped in info["skipped"]
            ],
            "stores": [
                {
                    **store,
                    "path": str(store["path"]),
                    "num_samples": samples[store["name"]],
                    **computed.get(store["name"], {}),
                }
                for store in stores
            ],
            "parts": [
                {
                    "file": Path(os.path.relpath(part, output.parent)).as_posix(),
                    "store": info["store"],
                    "role": roles[info["store"]],
                    **{name: info[name] for name in COUNTED},
                    "checksum": info["checksum"],
                }
                for part, info in zip(parts, infos, strict=True)
            ],
            "attributes": _attributes(filled),
            **{name: filled[0][name] for name in _NAMES},
            **({"classes": filled[0]["classes"]} if "classes" in filled[0] else {}),
            "class_counts": _class_counts(filled),
            "sizes": _sizes(filled),
        },
    )


def _refuse_nothing(
    infos: Sequence[Mapping[str, Any]], stores: Sequence[Mapping[str, Any]]
) -> None:
    filtered = sum(info["num_filtered"] for info in infos)
    problem = f"no graph is left; {filtered} were filtered out"
    skipped = [entry for info in infos for entry in info["skipped"]]
    if skipped:
        problem += f", {len(skipped)} skipped as bad, the first because {skipped[0]['reason']}"
    raise DataError(
        problem,
        store=", ".join(str(store["path"]) for store in stores),
        remedy="check data.pre_filter and the stores",
    )


def _check_agreement(first: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Raise ``DataError`` unless two parts have the same names and attributes."""
    for name in (*_NAMES, "classes"):
        if first.get(name) != other.get(name):
            _differ(name, first, other, first.get(name), other.get(name))
    ours, theirs = _arrays(first), _arrays(other)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            _differ(f"'{name}'", first, other, ours.get(name), theirs.get(name))


def _differ(
    what: str, first: Mapping[str, Any], other: Mapping[str, Any], ours: Any, theirs: Any
) -> None:
    raise DataError(
        f"{what} is {ours or 'missing'} in store '{first['store']}', from sample "
        f"{first['start']} on, but {theirs or 'missing'} in store '{other['store']}', from sample "
        f"{other['start']} on",
        remedy="read the same features and targets of the same types from every store",
    )


def _arrays(info: Mapping[str, Any]) -> dict[str, str]:
    """Type and shape of each attribute, stored or constant."""
    entries = {**info["attributes"], **info["constants"]}
    return {name: f"{entry['dtype']} {entry['shape']}" for name, entry in entries.items()}


def _attributes(infos: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Kind, type and shape of a row of each attribute."""
    result: dict[str, Any] = {}
    for info in infos:
        edges = {name: {"kind": "edge", **entry} for name, entry in info["constants"].items()}
        for name, entry in {**info["attributes"], **edges}.items():
            known = result.setdefault(name, {k: entry[k] for k in ("kind", "dtype", "shape")})
            if known["kind"] != entry["kind"]:
                known["kind"] = "ragged"
    return dict(sorted(result.items()))


def _class_counts(infos: Sequence[Mapping[str, Any]]) -> dict[str, int] | None:
    total: Counter[str] = Counter()
    for info in infos:
        if info["class_counts"] is None:
            return None
        total.update(info["class_counts"])
    return {key: total[key] for key in sorted(total, key=int)}


def _sizes(infos: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Smallest, largest and mean number of nodes, and a histogram with bins of equal width."""
    total: Counter[int] = Counter()
    for info in infos:
        total.update(dict(zip(info["sizes"]["values"], info["sizes"]["counts"], strict=True)))
    sizes, counts = np.array(sorted(total.items()), np.int64).T
    width = -(-int(sizes[-1] - sizes[0] + 1) // BINS)
    edges = np.arange(sizes[0], sizes[-1] + width + 1, width)
    heights, _ = np.histogram(sizes, bins=edges, weights=counts)
    return {
        "min": int(sizes[0]),
        "max": int(sizes[-1]),
        "mean": float(np.average(sizes, weights=counts)),
        "histogram": {"edges": edges.tolist(), "counts": heights.astype(int).tolist()},
    }
