"""A configuration as YAML or plain values, with objects replaced by their names."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from qgpipe.config.objects import PARTIAL, TAG, is_tagged, object_name
from qgpipe.config.tags import SWEEP_TAGS


def to_plain(config: Any, key: str = "") -> Any:
    """``config`` with every Python object replaced by its tagged name, partials by mappings.

    The result consists of mappings, lists, strings, numbers, booleans and ``None``. Raises
    ``ConfigError`` with the key of an object that has no importable name.
    """
    if isinstance(config, Mapping):
        return {k: to_plain(v, f"{key}.{k}" if key else str(k)) for k, v in config.items()}
    if isinstance(config, list | tuple):
        return [to_plain(v, f"{key}[{i}]") for i, v in enumerate(config)]
    if config is None or isinstance(config, str | bool | int | float):
        return config
    if isinstance(config, Path):
        return str(config)
    if isinstance(config, functools.partial):
        parts = {"type": config.func, "args": config.args, "kwargs": config.keywords}
        return {PARTIAL: to_plain(parts, key)}
    return object_name(config, key or None)


def to_yaml(config: Mapping[str, Any]) -> str:
    """YAML text, from which ``load_config`` returns ``to_plain(config)``."""
    return yaml.dump(to_plain(config), Dumper=ConfigDumper, sort_keys=False, allow_unicode=True)


_LINE = 88


class ConfigDumper(yaml.SafeDumper):
    """Writes tags, puts short lists on one line, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Aliases are never used."""
        return True

    def choose_scalar_style(self) -> str:
        """Tagged names need no quotes."""
        if getattr(self.event, "tag", None) == TAG.strip():
            return ""
        return super().choose_scalar_style()


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    if is_tagged(value):
        return dumper.represent_scalar(TAG.strip(), value.removeprefix(TAG))
    return yaml.SafeDumper.represent_str(dumper, value)


def _mapping(dumper: yaml.SafeDumper, value: dict) -> yaml.Node:
    tag, inner = next(iter(value.items()), (None, None))
    if len(value) == 1 and tag in (PARTIAL, *SWEEP_TAGS) and isinstance(inner, dict):
        return dumper.represent_mapping(tag, inner)
    return yaml.SafeDumper.represent_dict(dumper, value)


def _list(dumper: yaml.SafeDumper, value: list) -> yaml.Node:
    short = len(repr(value)) <= _LINE
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=short)


ConfigDumper.add_representer(str, _string)
ConfigDumper.add_representer(dict, _mapping)
ConfigDumper.add_representer(list, _list)
