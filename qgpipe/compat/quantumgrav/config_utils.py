"""The YAML tags as QuantumGravPy loads them, and the configurations that a sweep stands for."""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import yaml

from qgpipe.compat.quantumgrav.base import ConfigurationError, errors_as_there
from qgpipe.compat.quantumgrav.utils import import_and_get
from qgpipe.config.key_path import parse_key
from qgpipe.config.sweep_values import values_of
from qgpipe.config.sweeps import dimensions, points, substitute
from qgpipe.system.quantumgrav_import import COMPAT, NAME

_PLAIN = (bool, str, float, int, set, type(None))


class Loader(yaml.SafeLoader):
    """Loads sweeps as mappings with a ``type``, and ``!pyobject a.b.C`` as the object."""


class PyObjectTag(str):
    """A dotted name that is written as ``!pyobject``."""

    __slots__ = ()


yaml.SafeDumper.add_representer(
    PyObjectTag, lambda dumper, value: dumper.represent_scalar("!pyobject", str(value))
)


def get_loader() -> type[yaml.SafeLoader]:
    """The loader for ``yaml.load``."""
    return Loader


def range_inclusive(start: float, stop: float, step: float) -> np.ndarray:
    """The numbers from ``start`` in steps of ``step`` to ``stop``, which is included."""
    with errors_as_there():
        return np.array(values_of("!range", {"start": start, "stop": stop, "step": step}, "", 0))


def convert_to_pyobject_tags(config: Any, *, emit_yaml_tags: bool = False) -> Any:
    """``config`` with objects in it as text, ``!pyobject a.b.C``.

    With ``emit_yaml_tags`` as values that ``yaml.safe_dump`` writes as tags.
    """
    if isinstance(config, Mapping):
        return {
            k: convert_to_pyobject_tags(v, emit_yaml_tags=emit_yaml_tags) for k, v in config.items()
        }
    if isinstance(config, list | tuple):
        return [convert_to_pyobject_tags(v, emit_yaml_tags=emit_yaml_tags) for v in config]
    if isinstance(config, _PLAIN):
        return config
    kind = getattr(config, "func", config)  # of a functools.partial
    kind = kind if hasattr(kind, "__name__") else type(kind)
    module = kind.__module__
    if module.startswith(COMPAT):
        module = NAME + module.removeprefix(COMPAT)
    name = f"{module}.{kind.__name__}"
    return PyObjectTag(name) if emit_yaml_tags else f"!pyobject {name}"


class ConfigHandler:
    """The configurations that ``!sweep`` and ``!coupled-sweep`` in one stand for: ``run_configs``.

    ``config``: as ``yaml.load`` with ``get_loader()`` returns it. The runs are numbered in their
    ``name``, or in that of the ``model`` if it has one.
    """

    def __init__(self, config: dict[str, Any], name_addition: str | None = None):
        self.config = config
        with errors_as_there():
            tagged = _as_tags(config)
            swept = dimensions(tagged)
            self.sweep_targets = [dimension.path for dimension in swept]
            self.run_configs = [
                substitute(tagged, _values(swept, place)) if swept else config
                for place in points(swept)
            ]
        for number, run in enumerate(self.run_configs):
            in_model = "name" in run.get("model", {})
            named = run["model"] if in_model else run
            addition = ("run" if in_model else "") if name_addition is None else name_addition
            named["name"] = f"{named.get('name', 'run_')}_{addition}_{number}"


def _values(swept: Any, place: tuple[int, ...]) -> dict[Any, Any]:
    values: dict[Any, Any] = {}
    for dimension, k in zip(swept, place, strict=True):
        values |= dimension.at(k)
    return values


def _as_tags(value: Any) -> Any:
    """``value`` with swept nodes in the form that ``qgpipe.config`` has for them."""
    if isinstance(value, Mapping):
        kind = value.get("type")
        if kind == "sweep":
            return {"!sweep": {"values": value["values"]}}
        if kind == "coupled-sweep":
            target = ".".join(map(str, value["target"]))
            return {"!coupled-sweep": {"target": target, "values": value["values"]}}
        return {k: _as_tags(v) for k, v in value.items()}
    return [_as_tags(v) for v in value] if isinstance(value, list | tuple) else copy.copy(value)


def _object(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    try:
        return import_and_get(node.value.strip())
    except KeyError as error:
        raise ConfigurationError(error.args[0], key=f"!pyobject {node.value}") from error


def _given(loader: yaml.SafeLoader, node: yaml.Node) -> dict[Any, Any]:
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


def _sweep(loader: yaml.SafeLoader, node: yaml.Node) -> dict[str, Any]:
    return {"type": "sweep", "values": _given(loader, node)["values"]}


def _coupled(loader: yaml.SafeLoader, node: yaml.Node) -> dict[str, Any]:
    given = _given(loader, node)
    target = list(parse_key(given["target"]))
    return {"target": target, "values": given["values"], "type": "coupled-sweep"}


def _reference(loader: yaml.SafeLoader, node: yaml.Node) -> dict[str, Any]:
    return {"type": "reference", "target": list(parse_key(_given(loader, node)["target"]))}


def _range(loader: yaml.SafeLoader, node: yaml.Node) -> dict[str, Any]:
    given = _given(loader, node)
    start, stop, step = given["start"], given["stop"], given.get("step")
    if step is None:
        step = 1 if isinstance(start, int) and isinstance(stop, int) else 0.1
    values = range_inclusive(start, stop, step)
    return {"type": "range", "values": values, "tune_values": (start, stop, step)}


def _random(loader: yaml.SafeLoader, node: yaml.Node) -> dict[str, Any]:
    given = _given(loader, node)
    with errors_as_there():  # the same values whenever the file is read
        values = values_of("!random_uniform", given, f"line {node.start_mark.line}", 0)
    limits = float(given["start"]), float(given["stop"])
    tuned = (*limits, bool(given.get("log", False)))
    return {"type": "random_uniform", "values": values, "tune_values": tuned}


for _tag, _constructor in {
    "!pyobject": _object,
    "!sweep": _sweep,
    "!coupled-sweep": _coupled,
    "!reference": _reference,
    "!range": _range,
    "!random_uniform": _random,
}.items():
    Loader.add_constructor(_tag, _constructor)
