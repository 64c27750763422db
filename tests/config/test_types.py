"""The types of a resolved configuration: as the schema has it, and checked by mypy."""

import ast
import copy
import functools
import operator
import subprocess
import sys
import types
import typing
from pathlib import Path
from typing import Any, Literal, NotRequired

import pytest

from qgpipe.config import load_config, resolve_config
from qgpipe.config import types as config_types
from qgpipe.config.schema import resolve_part, schema

ROOT = Path(__file__).parents[2]
KINDS = {"integer": int, "number": float, "string": str, "boolean": bool, "null": type(None)}
# What the schema does not require, but resolve_config adds.
ADDED = {"testing", "validation.batch_size", "testing.batch_size"}


def kind_of(part: dict, hint: Any, key: str, seen: set) -> Any:
    """The type of the resolved values of ``part``; of mappings with keys that in ``hint``."""
    part = resolve_part(part)
    if part.get("x-pyobject"):
        return Any
    if "anyOf" in part:
        branches = zip(part["anyOf"], typing.get_args(hint), strict=True)
        return union(kind_of(branch, own, key, seen) for branch, own in branches)
    # Null stands for the default: it remains where that is null.
    with_null = "default" in part and part["default"] is None
    if "enum" in part:
        values = tuple(value for value in part["enum"] if value is not None)
        return union([Literal[values], *([type(None)] if with_null else [])])
    names = [part["type"]] if isinstance(part["type"], str) else part["type"]
    return union(
        container(part, name, hint, key, seen) if name in ("array", "object") else KINDS[name]
        for name in names
        if name != "null" or with_null
    )


def union(kinds) -> Any:
    return functools.reduce(operator.or_, kinds)


def container(part: dict, name: str, hint: Any, key: str, seen: set) -> Any:
    hints = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if name == "object" and "properties" in part:
        own = next((h for h in hints if typing.is_typeddict(h)), None)
        assert own is not None, key
        compare(part, own, key, seen)
        return own
    outer = list if name == "array" else dict
    own = next((h for h in hints if typing.get_origin(h) is outer), None)
    assert own is not None, key
    inner = part.get("items" if name == "array" else "additionalProperties")
    kind = Any if inner is None else kind_of(inner, typing.get_args(own)[-1], f"{key}[]", seen)
    return list[kind] if name == "array" else dict[str, kind]


def compare(part: dict, kind: type, key: str = "", seen: set | None = None) -> set:
    """Assert that the typed dictionary ``kind`` is what ``part`` of the schema says."""
    seen = set() if seen is None else seen
    seen.add(kind)
    hints = typing.get_type_hints(kind, include_extras=True)
    assert sorted(hints) == sorted(part["properties"]), key or "Config"
    for name, sub in part["properties"].items():
        path, hint = f"{key}.{name}".strip("."), hints[name]
        optional = typing.get_origin(hint) is NotRequired
        (hint,) = typing.get_args(hint) if optional else (hint,)
        always = name in part.get("required", ()) or "default" in resolve_part(sub) or path in ADDED
        assert optional != always, path
        assert hint == kind_of(sub, hint, path, seen), path
    return seen


def test_keys_and_kinds_are_those_of_the_schema():
    defined = {kind for kind in vars(config_types).values() if typing.is_typeddict(kind)}
    assert compare(schema(), config_types.Config) | {config_types.LoaderSection} == defined


@pytest.mark.parametrize(
    ("definition", "key", "part"),
    [
        ("training", "a_new_key", {"type": "integer", "default": 1}),
        ("training", "num_epochs", None),
        ("training", "seed", {"type": "number"}),
        ("training", "ema_decay", {"type": ["number", "null"], "default": 0.9}),
        ("data", "residency", {"enum": ["auto", "memory"], "default": "auto"}),
        ("data", "files", {"type": "array", "items": {"type": "integer"}, "default": []}),
        ("data", "output", {"type": "string"}),
        ("data", "output", {"type": ["string", "array"], "default": "a"}),
        ("generator", "type", {"type": "string"}),
        ("stopping_task", "delta", {"type": "integer", "default": 0}),
        ("gnn_model", "active_tasks", {"type": ["object", "null"], "default": None}),
    ],
)
def test_neither_can_be_changed_alone(monkeypatch, definition, key, part):
    changed = copy.deepcopy(schema())
    properties = changed["$defs"][definition]["properties"]
    if part is None:
        del properties[key]
    else:
        properties[key] = part
    monkeypatch.setattr("qgpipe.config.schema.schema", lambda: changed)
    with pytest.raises(AssertionError):
        compare(changed, config_types.Config)


def check_keys(value: dict, kind: type, key: str = "") -> None:
    """Assert that ``value`` has the keys of the typed dictionary ``kind``."""
    hints = typing.get_type_hints(kind, include_extras=True)
    required = {name for name, hint in hints.items() if typing.get_origin(hint) is not NotRequired}
    assert required <= value.keys() <= hints.keys(), key
    for name, inner in value.items():
        hint = hints[name]
        hint = typing.get_args(hint)[0] if typing.get_origin(hint) is NotRequired else hint
        kinds = [k for k in typing.get_args(hint) or (hint,) if typing.is_typeddict(k)]
        if kinds and isinstance(inner, dict) and typing.get_origin(hint) is not dict:
            of_the_user = len(kinds) > 1 and "type" in inner
            check_keys(inner, kinds[0 if of_the_user else -1], f"{key}.{name}")


def test_a_resolved_configuration_has_the_keys(minimal):
    check_keys(resolve_config(minimal), config_types.Config)
    minimal.update(model={"type": "mymodule.Model"}, validation={}, predict={"files": ["b.zarr"]})
    minimal.update(parallel={"world_size": 2}, tune={"parameters": {"training.seed": {}}})
    minimal["testing"] = {"tester": {"type": "mymodule.Tester"}, "data": {"files": ["t.zarr"]}}
    minimal["data"]["split"] = [0.9, 0.1]
    check_keys(resolve_config(minimal), config_types.Config)
    check_keys(resolve_config(load_config(ROOT / "config" / "run.yaml")), config_types.Config)


MODULE = """
from qgpipe.config import resolve_config
from qgpipe.config.types import Config, TrainingSection


def seed(config: Config) -> int:
    return config["{training}"]["seed"]


def epochs(training: TrainingSection) -> int:
    return training["{num_epochs}"]


def folder() -> str:
    return resolve_config({{}})["data"]["{output}"]
"""
RIGHT = {"training": "training", "num_epochs": "num_epochs", "output": "output"}


def checked_by_mypy(file: Path) -> str:
    """What ``mypy`` says of ``file``, with the settings of ``make check``."""
    command = [sys.executable, "-m", "mypy", "--no-color-output", str(file)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout


def test_a_misspelt_key_in_code_fails_the_check(tmp_path):
    file = tmp_path / "reads_a_config.py"
    file.write_text(MODULE.format(**RIGHT))
    assert "Success" in checked_by_mypy(file)
    wrong = {"training": "trainig", "num_epochs": "num_epoch", "output": "ouput"}
    file.write_text(MODULE.format(**wrong))
    report = checked_by_mypy(file)
    assert "Found 3 errors" in report
    for key, kind in zip(wrong.values(), ("Config", "TrainingSection", "DataSection"), strict=True):
        assert f'TypedDict "{kind}" has no key "{key}"' in report


NAMED = {"config": config_types.Config, "source": config_types.DataSection}


def asked_for(file: Path) -> set[tuple[str, str]]:
    """What a module asks a configuration or data section for, which mypy lets pass."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Call(ast.Attribute(of, "get"), [ast.Constant(str(key)), *_]):
                found.add((getattr(of, "id", getattr(of, "attr", "")), key))
            case ast.Compare(ast.Constant(str(key)), [ast.In() | ast.NotIn()], [of]):
                found.add((getattr(of, "id", getattr(of, "attr", "")), key))
    return {(name, key) for name, key in found if name in NAMED}


def test_what_a_configuration_is_asked_for_are_keys():
    asked = set().union(*(asked_for(file) for file in (ROOT / "qgpipe").rglob("*.py")))
    assert {("config", "generate"), ("config", "validation"), ("source", "group_by")} <= asked
    keys = {name: typing.get_type_hints(kind) for name, kind in NAMED.items()}
    assert [(name, key) for name, key in asked if key not in keys[name]] == []
