"""Configurations with something wrong in them, which ``qgpipe check`` meets.

Four that work (``bases/*.yaml``) are changed key by key and line by line. What is certainly
wrong is known here by the kind of each key, not from the schema that is tested.
"""

from __future__ import annotations

import copy
import datetime
import importlib.util
import math
import random
import resource
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from judge import Mutant

import qgpipe.workflow.preflight  # noqa: F401  so that no fork has to import it
from qgpipe.cli import main
from qgpipe.config.dump import ConfigDumper
from qgpipe.config.tags import ConfigLoader

HERE = Path(__file__).parent
BASES = ("small", "generated", "swept", "transformer")
COUNT = 2400
MEMORY = 16 << 30  # bytes that a check may ask for, so that a fault does not take the machine along

INTEGERS = {
    "num_epochs", "batch_size", "seed", "num_workers", "accumulate_steps", "checkpoint_at",
    "num_samples", "chunksize", "patience", "grace_period", "trials", "jobs", "folds",
    "keep_checkpoints", "num_layers", "channels", "num_heads", "in_features", "out_features",
    "task", "prefetch_factor", "n_processes",
}  # fmt: skip
NUMBERS = {"ema_decay", "gradient_clip", "subset", "delta", "dropout", "low", "high"}
TRUTHS = {
    "drop_last", "shuffle", "pin_memory", "validate_data", "validate_order", "compress",
    "bucket_by_size", "deterministic", "embeddings", "log",
}  # fmt: skip
TEXTS = {"name", "output", "path", "device", "metric", "group_by"}
LISTS = {"files", "stores", "classes", "split", "size", "downstream_tasks", "evaluator_tasks"}
MAPPINGS = {
    "data", "training", "validation", "testing", "generate", "predict", "early_stopping", "tune",
    "validator", "tester", "tasks", "parameters", "optimizer_kwargs", "lr_scheduler_kwargs",
}  # fmt: skip
REQUIRED = {
    ("data",), ("training",), ("criterion",), ("model",), ("training", "seed"),
    ("training", "num_epochs"), ("training", "batch_size"), ("early_stopping", "patience"),
}  # fmt: skip
NAMES_ARE_FREE = {"tasks", "parameters"}
ARGUMENTS = ("kwargs", "args")

# Things that exist and are not what any key wants; none of them does anything when it is called.
WRONG_OBJECTS = (
    "builtins.dict", "builtins.list", "builtins.object", "builtins.type", "builtins.len",
    "builtins.ValueError", "os", "json", "torch", "torch.nn", "math.pi", "math.sqrt",
    "torch.nn.ReLU",
    "torch.nn.Linear", "torch.nn.Module", "torch.nn.Dropout", "torch.nn.CrossEntropyLoss",
    "torch.float32", "torch.tensor", "torch.cat", "numpy.mean", "numpy.float64", "numpy.ndarray",
    "torch.optim.LBFGS", "torch.optim.SparseAdam", "torch.optim.SGD", "torch.optim.Optimizer",
    "torch.optim.lr_scheduler.OneCycleLR", "torch.optim.lr_scheduler.LambdaLR",
    "torch.optim.lr_scheduler.StepLR", "torch.optim.lr_scheduler.ReduceLROnPlateau",
    "torch_geometric.nn.GATConv", "torch_geometric.nn.GINConv", "torch_geometric.nn.Sequential",
    "torch_geometric.nn.global_max_pool", "torch_geometric.nn.SAGPooling",
    "torch_geometric.data.Data",
    "sklearn.metrics.f1_score", "sklearn.metrics", "sklearn.metrics.confusion_matrix",
    "collections.OrderedDict", "pathlib.PurePath", "typing.Any", "abc.ABC", "enum.Enum",
    "functools.partial", "mymodule", "mymodule.loss", "mymodule.reader", "mymodule.nothing",
    "mymodule.loss.__name__", "nosuch.module", "torch.nn.Relu", "", ".", "a..b", "1.2", "torch.",
    "a b.c", "torch.nn.ReLU()", "qgpipe.GNNModel", "qgpipe.Trainer", "qgpipe.CausalSetReader",
    "qgpipe.models.Sequential", "QuantumGrav.Nothing",
)  # fmt: skip

STRANGE_VALUES = (
    None, "", [], {}, 0, 1, -1, 0.5, -0.5, True, False, "text", "5", "1e-4", [1, 2], {"a": 1},
    math.nan, math.inf, -math.inf, "nan", "inf", "1e999", "-1e999", 1e300, 5e-324, 10**12,
    -(10**12),
    2**63, 2**64, 10**30, -(10**30), "9" * 5000, "x" * 300, "x" * 100_000, "a\nb", "a\n", "a\x00b",
    "\x1b[31mred", "\ud800", "ü/é", "../../..", "/", "/dev/null", "~nobody/x", "a{b}c", "{run}",
    "%s %d", "!pyobject", "!pyobject ", "!sweep", [[]], [[[[1]]]], [None], [math.nan],
    {"type": None},
    {"type": "torch.nn.ReLU"}, {"kwargs": {}}, {"a": {"b": {"c": {}}}}, {1: 2, "a": 3},
    {"": 1}, {"!sweep": {"values": [1, 2]}}, {"!sweep": {"values": []}}, {"!sweep": {"values": 3}},
    {"!sweep": {"values": list(range(10_000))}}, {"!sweep": [1]}, {"!sweep": None},
    {"!range": {"start": 0, "stop": 10**9}}, {"!range": {"start": 1, "stop": 0}},
    {"!range": {"start": "a", "stop": []}}, {"!random_uniform": {"start": 0, "stop": 1}},
    {"!random_uniform": {"start": 0, "stop": 1, "size": 10**8}},
    {"!random_uniform": {"start": 0, "stop": math.inf}}, {"!reference": {"target": "name"}},
    {"!reference": {"target": "training"}}, {"!reference": {"target": ""}}, {"!reference": {}},
    {"!reference": {"target": "model.encoder_kwargs.layers[99999999999999999999]"}},
    {"!coupled-sweep": {"target": "training.seed", "values": [1]}},
    {"!partial": {"type": "math.sqrt"}},
    {"!partial": {"type": None}}, {"!partial": 3}, datetime.date(2024, 1, 2), b"bytes",
)  # fmt: skip

Path_ = tuple[str | int, ...]


def template(folder: Path) -> None:
    """A store of 20 causal sets, a module, and the configurations that work."""
    errors = HERE.parent / "errors"
    spec = importlib.util.spec_from_file_location("errors_conftest", errors / "conftest.py")
    assert spec is not None and spec.loader is not None
    conftest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conftest)
    folder.mkdir(parents=True)
    conftest.write_store(folder / "data.zarr")
    shutil.copy(errors / "mymodule.py", folder)


def mutants(count: int, seed: int) -> Iterator[Mutant]:
    """``count`` mutants; the first ones are of all sorts, too."""
    rng = random.Random(seed)
    yield from (_as_it_is(base) for base in BASES[:count])
    files = list(_whole_files())
    rng.shuffle(files)
    for made in range(max(0, count - len(BASES))):
        kind = made % 6
        if kind == 5 and files:
            name, content, refused = files.pop()
            yield Mutant(name, partial(_write, content), _check, refused)
        elif kind == 4:
            yield _changed_text(rng)
        else:
            yield _changed_key(rng)


def _as_it_is(base: str) -> Mutant:
    return Mutant(f"{base} as it is", partial(_write, _text(base).encode()), _check, False, _clean)


def _check() -> int:
    warnings.simplefilter("ignore")  # torch's of arguments, which are no messages
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    tempfile.tempdir = str(Path.cwd())
    return main(["check", "run.yaml"])


def _clean(folder: Path) -> bool:
    """Whether the check has left nothing behind."""
    known = {"data.zarr", "mymodule.py", "run.yaml", "__pycache__"}
    left = {path.name for path in folder.iterdir()} - known
    return all("_propagate_" in name for name in left)  # PyG's, which it removes at exit


@cache
def _text(base: str) -> str:
    return (HERE / "bases" / f"{base}.yaml").read_text(encoding="utf-8")


@cache
def _config(base: str) -> dict[str, Any]:
    return yaml.load(_text(base), Loader=ConfigLoader)


@cache
def _places(base: str) -> list[Path_]:
    return list(_walk(_config(base), ()))


def _walk(value: Any, path: Path_) -> Iterator[Path_]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else ()
    for step, one in enumerate(value) if isinstance(value, list) else inner:
        yield from _walk(one, (*path, step))


def _write(content: bytes, folder: Path) -> None:
    (folder / "run.yaml").write_bytes(content)


# Changes of one key


def _changed_key(rng: random.Random) -> Mutant:
    base = rng.choice(BASES)
    config = copy.deepcopy(_config(base))
    path = rng.choice(_places(base))
    *above, last = path
    parent = config
    for step in above:
        parent = parent[step]
    change = rng.choice(CHANGES)
    what, refused = change(parent, last, path, config, rng)
    name = f"{base}: {'.'.join(map(str, path))} {what}"
    content = yaml.dump(config, Dumper=ConfigDumper, sort_keys=False).encode()
    return Mutant(name[:200], partial(_write, content), _check, refused, _clean)


def _value(parent: Any, last: Any, path: Path_, config: Any, rng: random.Random) -> tuple:
    value = copy.deepcopy(rng.choice(STRANGE_VALUES))
    parent[last] = value
    return f"= {str(value)[:60]!a}", True if _is_wrong(path, value) else None


def _object(parent: Any, last: Any, path: Path_, config: Any, rng: random.Random) -> tuple:
    name = rng.choice(WRONG_OBJECTS)
    parent[last] = f"!pyobject {name}" if name and rng.random() < 0.7 else name
    return f"= object {name}", None


def _remove(parent: Any, last: Any, path: Path_, config: Any, rng: random.Random) -> tuple:
    del parent[last]
    return "removed", True if path in REQUIRED else None


def _rename(parent: Any, last: Any, path: Path_, config: Any, rng: random.Random) -> tuple:
    if not isinstance(parent, dict):
        return _value(parent, last, path, config, rng)
    new = rng.choice(
        [f"{last}s", str(last)[1:], f"{last} ", str(last).upper(), 7, None, True, "", "a\nb"]
    )
    parent[new] = parent.pop(last)
    closed = not _is_free(path) and not {*path[:-1]} & NAMES_ARE_FREE
    return f"renamed {new!a}", True if closed and new != last else None


def _wrapped(parent: Any, last: Any, path: Path_, config: Any, rng: random.Random) -> tuple:
    forms: list[Callable[[Any], Any]] = [
        lambda v: [v], lambda v: {"value": v}, lambda v: [v, v], lambda v: {"type": v},
        lambda v: str(v), lambda v: {"!sweep": {"values": [v]}},
        lambda v: {"!sweep": {"values": [v, v]}},
        lambda v: [[[v]]], lambda v: {"!partial": {"type": v}},
    ]  # fmt: skip
    parent[last] = forms[rng.randrange(len(forms))](parent[last])
    return f"wrapped {str(parent[last])[:40]!a}", True if _is_wrong(path, parent[last]) else None


def _moved(parent: Any, last: Any, path: Path_, config: Any, rng: random.Random) -> tuple:
    value = parent[last]
    del parent[last]
    target = rng.choice([place for place in _walk(config, ()) if place[: len(path)] != path])
    for step in target[:-1]:
        config = config[step]
    config[target[-1]] = value
    return f"moved to {'.'.join(map(str, target))}", None


def _doubled(parent: Any, last: Any, path: Path_, config: Any, rng: random.Random) -> tuple:
    if isinstance(parent, list):
        parent.insert(last, copy.deepcopy(parent[last]))
        return "doubled", None
    parent[f"x-{last}"] = copy.deepcopy(parent[last])
    closed = not _is_free(path) and not {*path[:-1]} & NAMES_ARE_FREE
    return "doubled as x-", True if closed and len(path) > 1 else None


CHANGES = (
    _value,
    _value,
    _value,
    _value,
    _object,
    _object,
    _remove,
    _rename,
    _wrapped,
    _moved,
    _doubled,
)


def _is_free(path: Path_) -> bool:
    """Whether a key stands among arguments, or in the values of a tag."""
    return any(
        isinstance(s, int) or str(s).startswith("!") or str(s).endswith(ARGUMENTS)
        for s in path[:-1]
    )


def _is_wrong(path: Path_, value: Any) -> bool:
    """Whether ``value`` can certainly not stand at ``path``."""
    key = path[-1]
    if _is_free(path) or {*path[:-1]} & {"tasks", "x-anchors"} or "parameters" in path[:-2]:
        return False
    if isinstance(value, dict) and any(str(k).startswith("!") for k in value):
        return False  # what it stands for may be right
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text_of_number = isinstance(value, str) and any(c.isdigit() for c in value)
    if key in INTEGERS:
        wrong = not number and value is not None and not text_of_number
        return wrong or (number and (not math.isfinite(value) or value < 0 or value % 1 != 0))
    if key in NUMBERS:
        wrong = not number and value is not None and not text_of_number
        return wrong or (number and not math.isfinite(value))
    if key in TRUTHS:
        return not isinstance(value, bool) and value is not None
    if key in TEXTS:
        return (value is not None and not isinstance(value, str)) or (
            isinstance(value, str) and any(ord(c) < 32 for c in value)
        )
    if key in LISTS:
        return value is not None and not isinstance(value, list)
    if key in MAPPINGS:
        return value is not None and not isinstance(value, dict)
    return False


# Changes of the text


def _changed_text(rng: random.Random) -> Mutant:
    base = rng.choice(BASES)
    text = bytearray(_text(base).encode())
    what = rng.choice(TEXT_CHANGES)
    place = rng.randrange(len(text))
    what(text, place, rng)
    name = f"{base}: {what.__name__.strip('_')} at byte {place}"
    return Mutant(name, partial(_write, bytes(text)), _check, None, _clean)


def _flip(text: bytearray, place: int, rng: random.Random) -> None:
    text[place] ^= 1 << rng.randrange(8)


def _insert(text: bytearray, place: int, rng: random.Random) -> None:
    text[place:place] = rng.choice(
        [b"\t", b"\x00", b"\x07", b"[", b"{", b"}", b"]", b"'", b'"', b": ", b"- ", b"&a ",
        b"*a ", b"!!int ",
         b"!!bool ", b"!!timestamp ", b"!!binary ", b"!!set ", b"!sweep ", b"!pyobject ",
         b"!unknown ", b"<<: ",
         b"? ", b"|\n", b">\n", b"#", b"\n---\n", b"\xff", b"\xc3", b"\xe2\x80\xa8", b"%", b"@",
         b"`", b"\r"]
    )  # fmt: skip


def _truncate(text: bytearray, place: int, rng: random.Random) -> None:
    del text[place:]


def _of_lines(change: Callable[[list[bytes], int, random.Random], None]) -> Callable:
    def changed(text: bytearray, place: int, rng: random.Random) -> None:
        lines = bytes(text).splitlines(keepends=True)
        change(lines, bytes(text[:place]).count(b"\n") % len(lines), rng)
        text[:] = b"".join(lines)

    changed.__name__ = change.__name__
    return changed


@_of_lines
def _delete_line(lines: list[bytes], at: int, rng: random.Random) -> None:
    del lines[at]


@_of_lines
def _double_line(lines: list[bytes], at: int, rng: random.Random) -> None:
    lines.insert(at, lines[at])


@_of_lines
def _indent_line(lines: list[bytes], at: int, rng: random.Random) -> None:
    lines[at] = rng.choice([b" ", b"  ", b"    ", b"\t"]) + lines[at]


@_of_lines
def _dedent_line(lines: list[bytes], at: int, rng: random.Random) -> None:
    lines[at] = lines[at][rng.choice([1, 2, 4]) :]


@_of_lines
def _swap_lines(lines: list[bytes], at: int, rng: random.Random) -> None:
    other = rng.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]


@_of_lines
def _retag_line(lines: list[bytes], at: int, rng: random.Random) -> None:
    tags = [
        b"!sweep",
        b"!range",
        b"!reference",
        b"!partial",
        b"!!str",
        b"!!int",
        b"!!map",
        b"!!seq",
        b"!!bool",
    ]
    key, colon, rest = lines[at].partition(b":")
    lines[at] = key + colon + b" " + rng.choice(tags) + rest if colon else lines[at]


TEXT_CHANGES = (
    _flip, _insert, _insert, _truncate, _delete_line, _double_line, _indent_line, _dedent_line,
    _swap_lines, _retag_line,
)  # fmt: skip


# Whole files


def _whole_files() -> Iterator[tuple[str, bytes, bool | None]]:
    small = _text("small")
    named = small.replace("name: small", "name: ümlaut")
    for encoding in ("utf-16", "utf-32", "latin-1", "cp1252"):
        yield f"in {encoding}", named.encode(encoding), True
    yield "with a byte order mark", small.encode("utf-8-sig"), None
    yield "with line ends of Windows", small.replace("\n", "\r\n").encode(), None
    yield "with line ends of old Macs", small.replace("\n", "\r").encode(), None
    for name, text in {
        "empty": "", "a comment": "# x\n", "a list": "- 1\n", "a number": "1\n", "null": "~\n",
        "a text": "x\n",
        "two documents": small + "---\n" + small, "an end": "...\n",
        "a directive": "%YAML 9.9\n---\na: 1\n",
        "brackets": "a: " + "[" * 10_000, "closed brackets": "a: " + "[" * 5_000 + "]" * 5_000,
        "braces": "a: " + "{a: " * 500 + "1" + "}" * 500, "an anchor in itself": "a: &a [*a]\n",
        "a mapping in itself": "x-a: &a {b: *a}\n" + small, "an unknown alias": "a: *b\n",
        "laughs": _laughs("[{}]"), "laughs in mappings": _laughs("{{{}}}", "k{}: "),
        "digits": small.replace("seed: 1", f"seed: {'1' * 5000}"),
        "hex digits": small.replace("seed: 1", f"seed: 0x{'f' * 5000}"),
        "a date": small.replace("name: small", "name: 2024-13-45"),
        "another date": small.replace("name: small", "name: 2024-01-02"),
        "a long line": "a: " + "x " * 1_000_000 + "\nb c\n",
        "a long key": "k" * 2000 + ": 1\n" + small,
    }.items():  # fmt: skip
        yield name, text.encode(), True
    for key in (
        "7",
        "~",
        "on",
        "1.5",
        "? [a]",
        "? {a: b}",
        "2024-01-02",
        "null",
        "''",
        ".nan",
        "!!binary aGk=",
    ):
        yield f"a key {key}", f"{small}\n{key}: 1\n".encode(), True
    for tag in ("bool maybe", "int x", "float x", "timestamp x", "binary ü", "set [a]",
                "omap {a: 1}",
                "python/name:os.getcwd", "python/object/apply:os.getcwd []", "python/tuple [1]",
                "null x",
                "map x", "seq x", "str [1]", "merge x", "value x"):  # fmt: skip
        refused = None if tag == "null x" else True
        yield f"!!{tag}", small.replace("name: small", f"name: !!{tag}").encode(), refused
    for merged in ("3", "[1]", "x", "[[]]", "{7: 1}"):
        yield f"<<: {merged}", f"<<: {merged}\n{small}".encode(), True


def _laughs(form: str, key: str = "") -> str:
    lines = ["x-0: &a0 " + form.format(", ".join(key.format(i) + "1" for i in range(9)))]
    for depth in range(1, 12):
        inner = ", ".join(f"{key.format(i)}*a{depth - 1}" for i in range(9))
        lines.append(f"x-{depth}: &a{depth} {form.format(inner)}")
    return "\n".join(lines) + "\n"
