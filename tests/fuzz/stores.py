"""Stores with something wrong in them, which ``qgpipe check`` and a training in Python meet.

Four that work (both layouts in both formats of zarr) of twelve causal sets, so that a check reads
all of them. What is broken is one field of the metadata, one file, the values of one array, or
the names of the groups. Arrays are written here byte by byte, because zarr starts threads.
"""

from __future__ import annotations

import copy
import json
import math
import os
import random
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from judge import Mutant

import qgpipe.training.prepare
import qgpipe.training.trainer
import qgpipe.workflow.preflight  # here, so that no fork has to import it
from qgpipe.cli import main
from qgpipe.config import load_config
from qgpipe.errors import QgpipeError

ERRORS = Path(__file__).parents[1] / "errors"
COUNT = 240
MEMORY = 16 << 30  # bytes that a run may ask for, so that a fault does not take the machine along
SAMPLES, LARGEST = 12, 6
STORES = ("stacked2", "stacked3", "groups2", "groups3")
READ = ("adjacency_matrix", "cset_size", "in_degree", "out_degree", "cset_type")
OF_GROUPS = ("adjacency_matrix", "in_degree", "out_degree", "cset_type")

STRANGE_VALUES = (
    None, True, False, 0, -1, 1, 2.5, "", "text", "5", [], [0], [-1], [1], [[]], [None], ["a"], {},
    {"a": 1},
    [2, 2], [12], [12, 6], [12, 6, 6, 6], [13, 6, 6], [1.5, 6, 6], [True, 6, 6], [12, -6, -6], [0,
    6, 6],
    [12, 0, 0], [10**9, 6, 6], [10**9], [10**18, 6, 6], [12, 10**6, 10**6], [12, 10**9, 10**9],
    [10**6, 10**6, 10**6], [2**63, 1, 1], [2**64], [10**30, 10**30, 10**30], [1] * 40, [10**18],
    10**9, 2**63, 10**30, -(10**30), math.nan, math.inf, "NaN", "Infinity", "\x00", "a\nb",
    "\ud800",
    "x" * 100_000, "|u1", "<f4", "<f8", "<i8", ">i4", "|b1", "<c16", "|O", "|S10", "<U10",
    "<M8[ns]",
    "|V8", "<f1000000000", "|S2000000000", "|V9223372036854775807", "<i3", "float32", "int64",
    "float16",
    "bfloat16", "complex64", "string", "r99999999999", "uint8", "bool", 2, 3, 99, "group", "array",
    {"id": "zlib"}, {"id": "blosc"}, {"id": "pickle"}, {"id": None}, {"name": "default"},
    {"name": "regular", "configuration": {"chunk_shape": [10**18, 6, 6]}},
    [{"name": "bytes"}], [{"name": "zstd"}], [{"name": "nosuch", "configuration": {}}],
    [{"name": "sharding_indexed"}],
)  # fmt: skip


def template(folder: Path) -> None:
    """The stores, a module, and the configuration that reads the one that a mutant breaks."""
    import zarr

    folder.mkdir(parents=True)
    shutil.copy(ERRORS / "mymodule.py", folder)
    arrays, whole = _arrays(), {"write_empty_chunks": True}
    for zarr_format in (2, 3):
        stacked = zarr.open_group(
            folder / f"stacked{zarr_format}.zarr", mode="w", zarr_format=zarr_format
        )
        for name, values in arrays.items():
            stacked.create_array(name, data=values, chunks=(5, *values.shape[1:]), config=whole)
        stacked.attrs["class_names"] = ["a", "b", "c"]
        groups = zarr.open_group(
            folder / f"groups{zarr_format}.zarr", mode="w", zarr_format=zarr_format
        )
        for sample, n in enumerate(arrays["cset_size"].tolist()):
            group = groups.create_group(f"cset_{sample + 1}")
            for name, values in arrays.items():
                inside = (slice(n),) * (values.ndim - 1)
                group.create_array(name, data=np.asarray(values[sample][inside]), config=whole)


def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = rng.integers(3, LARGEST + 1, SAMPLES)
    adjacency = np.zeros((SAMPLES, LARGEST, LARGEST), "u1")
    for matrix, n in zip(adjacency, sizes, strict=True):
        matrix[:n, :n] = np.triu(rng.random((n, n)) < 0.6, 1).T
    return {
        "adjacency_matrix": adjacency,
        "cset_size": sizes,
        "in_degree": adjacency.sum(2).astype("f4"),
        "out_degree": adjacency.sum(1).astype("f4"),
        "cset_type": np.arange(SAMPLES) % 3,
    }


def mutants(count: int, seed: int) -> Iterator[Mutant]:
    """``count`` mutants; the first ones are of all sorts, too."""
    rng = random.Random(seed)
    for made in range(count):
        store = STORES[made % len(STORES)]
        run = RUNS[made // len(STORES) % len(RUNS)]
        if made < len(STORES):
            yield _mutant(store, "as it is", _leave, _check, False)
            continue
        changes = CHANGES_OF_GROUPS if store.startswith("groups") else CHANGES
        what, change, refused = changes[made // len(STORES) % len(changes)](store, rng)
        yield _mutant(store, what, change, run, refused)


def _mutant(
    store: str, what: str, change: Callable[[Path], object], run: Callable, refused: bool | None
) -> Mutant:
    name = f"{store}: {what}"[:200]
    run_name = "" if run is _check else ", in Python"
    return Mutant(name + run_name, partial(_make, store, change), run, refused, _clean)


def _make(store: str, change: Callable[[Path], object], folder: Path) -> None:
    text = (ERRORS / "run.yaml").read_text().replace("data.zarr", f"{store}.zarr")
    (folder / "run.yaml").write_text(text)
    change(folder / f"{store}.zarr")


def _leave(path: Path) -> None:
    pass


# Runs


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    tempfile.tempdir = str(Path.cwd())


def _check() -> int:
    _limit()
    return main(["check", "run.yaml"])


def _train() -> int:
    """What a user does in Python, until there is something to train with."""
    _limit()
    try:
        trainer = qgpipe.training.trainer.Trainer.from_config(load_config("run.yaml"))
        for loader in trainer.prepare_dataloaders():
            list(loader)
    except QgpipeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


RUNS = (_check, _train, _check)


def _clean(folder: Path) -> bool:
    """Whether no half-made file is left."""
    return not any(path.name.endswith(".tmp") for path in folder.rglob("*"))


# Files


def _metadata_name(store: str) -> str:
    return ".zarray" if store.endswith("2") else "zarr.json"


def _array_folder(store: str, rng: random.Random) -> tuple[str, str]:
    """Name and folder below the store of an array that is read."""
    if store.startswith("stacked"):
        name = rng.choice(READ)
        return name, name
    name = rng.choice(OF_GROUPS)
    return name, f"cset_{rng.choice([1, 1, 2, SAMPLES])}/{name}"


def _chunks(folder: Path) -> list[Path]:
    """The chunk files of an array."""
    known = {".zarray", ".zattrs", "zarr.json"}
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in known)


def _missing(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _truncated(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _random(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(path.stat().st_size))


def _longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0x55
    path.write_bytes(content)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _socket(path: Path) -> None:
    path.unlink()
    before = Path.cwd()
    os.chdir(path.parent)  # the name of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _to_zero(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _to_null(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/null")


def _deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def _not_utf8(path: Path) -> None:
    path.write_bytes(b"\xff\xfe" + path.read_bytes())


def _list(path: Path) -> None:
    path.write_text("[1, 2]")


def _digits(path: Path) -> None:
    path.write_text('{"shape": ' + "9" * 5000 + "}")


def _empty_object(path: Path) -> None:
    path.write_text("{}")


NO_FILES = (_fifo, _socket, _folder, _loop, _to_zero)
DAMAGED_CHUNKS = (_empty, _truncated, _random, _zeros)
UNSURE_CHUNKS = (
    _missing,
    _dangling,
    _flipped,
    _to_null,
    _longer,
)  # what follows in a longer one is ignored
DAMAGED_METADATA = (_empty, _truncated, _random, _deep, _not_utf8, _list, _digits, _to_null)
UNSURE_METADATA = (_missing, _dangling, _empty_object)

Change = tuple[str, Callable[[Path], object], bool | None]


def _chunk_file(store: str, rng: random.Random) -> Change:
    name, inner = _array_folder(store, rng)
    how = rng.choice((*NO_FILES, *NO_FILES, *DAMAGED_CHUNKS, *UNSURE_CHUNKS))
    refused = None if how in UNSURE_CHUNKS else True
    number = rng.randrange(3)

    def change(path: Path) -> None:
        chunks = _chunks(path / inner)
        how(chunks[number % len(chunks)])

    if name == "cset_size" and store.startswith("groups"):
        refused = None
    return f"chunk {number} of {inner} {how.__name__.strip('_')}", change, refused


def _metadata_file(store: str, rng: random.Random) -> Change:
    how = rng.choice((*NO_FILES, *NO_FILES, *DAMAGED_METADATA, *UNSURE_METADATA))
    _, inner = _array_folder(store, rng)
    file = f"{inner}/{_metadata_name(store)}"
    refused = True if how in (*NO_FILES, *DAMAGED_METADATA, _missing) else None
    if rng.random() < 0.25:
        file = ".zgroup" if store.endswith("2") else "zarr.json"
        refused = True if store.endswith("3") and refused and how is not _dangling else None
    return f"{file} {how.__name__.strip('_')}", lambda path: how(path / file), refused


def _field(store: str, rng: random.Random) -> Change:
    """One field of the metadata of an array with another value."""
    _, inner = _array_folder(store, rng)
    seed, value = rng.random(), copy.deepcopy(rng.choice(STRANGE_VALUES))
    removed = rng.random() < 0.1

    def change(path: Path) -> None:
        file = path / inner / _metadata_name(store)
        node = json.loads(file.read_text())
        place = places(node)[int(seed * len(places(node)))]
        parent = node
        for step in place[:-1]:
            parent = parent[step]
        if removed:
            del parent[place[-1]]
        else:
            parent[place[-1]] = value
        file.write_text(json.dumps(node))

    what = "removed" if removed else f"= {str(value)[:50]!a}"
    return f"field at {seed:.3f} of {inner} {what}", change, None


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths of all values below ``value``."""
    if isinstance(value, dict):
        inner: Any = value.items()
    else:
        inner = enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    return found + [place for step, one in inner for place in places(one, (*path, step))]


def _shape(store: str, rng: random.Random) -> Change:
    """A shape, the shape of a chunk, or both, that cannot be."""
    name, inner = _array_folder(store, rng)
    which = rng.choice(["shape", "chunks", "both"])
    value = rng.choice(
        [10**9, 10**18, 2**62, 2**63, 10**30, -1, -(10**18), 0, 1.5, "6", None, True, [6], math.nan]
    )
    axis = rng.randrange(3)
    every = rng.random() < 0.3

    def change(path: Path) -> None:
        file = path / inner / _metadata_name(store)
        node = json.loads(file.read_text())
        shapes = [node["shape"]] if which != "chunks" else []
        if which != "shape":
            grid = node.get("chunk_grid", {}).get("configuration", {})
            shapes.append(node["chunks"] if "chunks" in node else grid["chunk_shape"])
        for shape in shapes:
            for k in range(len(shape)) if every else [axis % len(shape)] if shape else []:
                shape[k] = value
        file.write_text(json.dumps(node))

    scalar = store.startswith("groups") and name == "cset_type"
    refused = (
        None if scalar or (which == "chunks" and value in (10**9, True)) or value is True else True
    )
    axes = "all axes" if every else f"axis {axis}"
    return f"{which} of {inner}, {axes} = {value!r}", change, refused


# Arrays


def write_array(folder: Path, values: np.ndarray, zarr_format: int) -> None:
    """An array of one chunk that is not compressed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shape = list(values.shape)
    if zarr_format == 2:
        node = {
            "zarr_format": 2, "shape": shape, "chunks": [max(1, n) for n in shape], "order": "C",
            "dtype": values.dtype.str, "compressor": None, "filters": None, "fill_value": None,
        }  # fmt: skip
        file, chunk = ".zarray", ".".join("0" * values.ndim) or "0"
    else:
        grid = {"name": "regular", "configuration": {"chunk_shape": [max(1, n) for n in shape]}}
        node = {
            "zarr_format": 3, "node_type": "array", "shape": shape, "chunk_grid": grid,
            "data_type": values.dtype.name, "fill_value": 0 if values.dtype.kind != "b" else False,
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}], "attributes": {},
        }  # fmt: skip
        file, chunk = "zarr.json", "/".join(["c", *"0" * values.ndim])
    (folder / file).write_text(json.dumps(node))
    (folder / chunk).parent.mkdir(parents=True, exist_ok=True)
    (folder / chunk).write_bytes(values.tobytes())


def _values_of(name: str, inner: str) -> np.ndarray:
    values = _arrays()[name]
    if inner == name:
        return values
    sample = int(inner.split("/")[0].removeprefix("cset_")) - 1
    n = int(_arrays()["cset_size"][sample])
    return np.asarray(values[sample][(slice(n),) * (values.ndim - 1)])


def _array(store: str, rng: random.Random) -> Change:
    """An array of another type, rank or length."""
    name, inner = _array_folder(store, rng)
    how = rng.choice(["dtype", "rank", "less rank", "longer", "shorter", "no samples", "removed"])
    dtype = rng.choice(["c16", "f2", "i1", "u8", ">i4", "b1", "f8"])

    def change(path: Path) -> None:
        values = _values_of(name, inner)
        changed = {
            "dtype": lambda: values.astype(dtype),
            "rank": lambda: np.stack([values, values], -1),
            "less rank": lambda: values.reshape(-1)[:1].reshape(()),
            "longer": lambda: np.concatenate([np.atleast_1d(values)] * 2),
            "shorter": lambda: np.atleast_1d(values)[:-1],
            "no samples": lambda: np.atleast_1d(values)[:0],
        }
        if how == "removed":
            shutil.rmtree(path / inner)
        else:
            write_array(path / inner, changed[how](), int(store[-1]))

    refused = how in ("longer", "shorter", "no samples", "less rank") or None
    if store.startswith("groups"):
        first = inner.startswith("cset_1/")
        refused = None if first and name == "cset_type" else refused
        refused = True if how == "removed" else refused
        refused = None if name == "cset_type" and how == "less rank" else refused
    if how == "removed" and name != "cset_size":
        refused = True
    if how == "dtype" and dtype == "c16":
        refused = True
    what = f"{how} {dtype}" if how == "dtype" else how
    return f"{inner} {what}", change, refused


def _value(store: str, rng: random.Random) -> Change:
    """One value of an array that no causal set can have."""
    name, inner = _array_folder(store, rng)
    value = rng.choice(
        [math.nan, math.inf, -math.inf, -1, -(10**9), 7, 255, 10**9, 2**40, 1e300, 0.5]
    )
    place = rng.random()
    sure = {
        "adjacency_matrix": True,
        "cset_size": value not in (0.5,),
        "in_degree": not math.isfinite(value),
        "out_degree": not math.isfinite(value),
        "cset_type": not math.isfinite(value) or value == -1 or abs(value) > 2**31 or value == 7,
    }

    def change(path: Path) -> None:
        values = _values_of(name, inner)
        dtype = "f8" if isinstance(value, float) else "i8"
        if name.endswith("degree"):
            dtype = "f8"
        changed = values.astype(dtype)
        flat = changed.reshape(-1)
        at = int(place * len(flat)) if name in ("cset_size", "cset_type") else 0
        flat[at] = value
        write_array(path / inner, changed, int(store[-1]))

    refused = True if sure[name] and name != "cset_type" else None
    return f"a value of {inner} = {value!r}", change, refused


def _claim(store: str, rng: random.Random) -> Change:
    """A number of samples, or the length of all arrays, that is not so."""
    count = rng.choice([10**9, 2**62, 0, -1, SAMPLES + 1, 10**6, SAMPLES // 2])
    name = rng.choice(["num_samples", "num_causal_sets"])
    whole = rng.random() < 0.5 and store.startswith("stacked") and count > 0

    def change(path: Path) -> None:
        if not whole:
            write_array(path / name, np.array([count]), int(store[-1]))
            return
        for file in path.rglob(_metadata_name(store)):
            node = json.loads(file.read_text())
            if node.get("shape"):
                node["shape"][0] = count
                file.write_text(json.dumps(node))

    if whole:
        return f"all arrays of length {count}", change, count > 10**6 or None
    return f"{name} says {count}", change, True if count > SAMPLES or count <= 0 else None


def _root(store: str, rng: random.Random) -> Change:
    """What stands in place of the store, or of one of its folders."""
    inner = rng.choice([".", _array_folder(store, rng)[1], _array_folder(store, rng)[1]])
    how = rng.choice([_missing, _fifo, _socket, _loop, _dangling, _empty, _to_null])

    def change(path: Path) -> None:
        folder = path / inner if inner != "." else path
        shutil.rmtree(folder)
        folder.write_bytes(b"0")
        how(folder)

    needed = None if inner.endswith("cset_size") else True
    return f"{inner} {how.__name__.strip('_')}", change, needed


# Groups


def _group(store: str, rng: random.Random) -> Change:
    how = rng.choice(
        ["doubled", "padded", "all padded", "file", "fifo", "link", "removed", "empty", "zero",
         "huge", "letters", "negative", "unicode"]
    )  # fmt: skip
    number = rng.choice([1, 2, SAMPLES])

    def change(path: Path) -> None:
        group = path / f"cset_{number}"
        new = {
            "zero": "cset_0", "huge": f"cset_{'9' * 200}", "letters": "cset_x",
            "negative": "cset_-1",
            "unicode": "cset_٣", "padded": f"cset_{number:04d}", "doubled": f"cset_{number:04d}",
        }  # fmt: skip
        if how == "doubled":
            shutil.copytree(group, path / new[how])
        elif how in new:
            group.rename(path / new[how])
        elif how == "all padded":
            for k in range(1, SAMPLES + 1):
                (path / f"cset_{k}").rename(path / f"cset_{k:03d}")
        else:
            shutil.rmtree(group)
            if how == "file":
                group.write_text("text")
            elif how == "fifo":
                os.mkfifo(group)
            elif how == "link":
                group.symlink_to("nowhere")
            elif how == "empty":
                group.mkdir()

    refused = how in ("doubled", "file", "fifo", "link", "empty") or None
    return f"group cset_{number} {how}", change, refused


CHANGES = (
    _field, _chunk_file, _shape, _metadata_file, _array, _field, _value, _claim, _chunk_file, _root,
    _shape, _metadata_file,
)  # fmt: skip
CHANGES_OF_GROUPS = (
    _field, _chunk_file, _shape, _metadata_file, _array, _group, _value, _claim, _chunk_file, _root,
    _group, _metadata_file,
)  # fmt: skip
