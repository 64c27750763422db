"""``~`` in paths of a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgpipe.errors import ConfigError

_STAGES = ("training", "validation", "testing")


def with_homes(config: dict[str, Any]) -> dict[str, Any]:
    """``config``, complete, with ``~`` and ``~user`` at the beginning of a path spelt out.

    No shell has done it: a folder called ``~`` would be made. Raises ``ConfigError`` if there is
    no such user.
    """
    sections = [config["data"], *(config.get(stage, {}).get("data") for stage in _STAGES)]
    sections += [config["training"], config.get("predict")]
    for section in filter(None, sections):
        for key in ("files", "output", "path"):
            value = section.get(key)
            if isinstance(value, str):
                section[key] = spelt_out(value)
            elif value is not None:
                section[key] = [spelt_out(file) for file in value]
    return config


def spelt_out(path: str) -> str:
    """``path`` with the home that it begins with, if it does. Raises ``ConfigError``."""
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise ConfigError(
            f"'{path}' begins with the home of nobody", remedy="write the whole path"
        ) from None
