"""Places in a configuration: ``model.layers[0].dim`` as text and as steps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qgpipe.config.objects import PARTIAL, is_partial

Path = tuple[str | int, ...]

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def parse_key(text: str) -> Path:
    """The steps of a dotted key; list places are numbers, ``a[0].b`` or ``a.0.b``."""
    steps = [name or index for name, index in _STEP.findall(text)]
    return tuple(int(step) if step.isdigit() else step for step in steps)


def format_key(path: Path) -> str:
    """The dotted key of some steps."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def look_up(config: Any, path: Path) -> Any:
    """The value at ``path``. Raises ``KeyError`` if there is none."""
    for step in path:
        if is_partial(config):
            config = config[PARTIAL]
        if isinstance(config, Mapping):
            # A key may look like a number: the tasks of early stopping, for instance.
            step = step if step in config else str(step)
        elif not isinstance(config, list | tuple) or not isinstance(step, int):
            raise KeyError(step)
        try:
            config = config[step]
        except IndexError:
            raise KeyError(step) from None
    return config
