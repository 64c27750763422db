"""Keys of a configuration as dotted text, ``model.layers[0].dim``, and as steps."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from qgpipe.config.objects import PARTIAL, is_partial
from qgpipe.config.tags import SWEEP_TAGS

Path = tuple[str | int, ...]

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_PLACE = re.compile("[0-9]{1,9}")


def parse_key(text: str) -> Path:
    """The steps of a dotted key; list indices are numbers, ``a[0].b`` or ``a.0.b``."""
    steps = [name or index for name, index in _STEP.findall(text)]
    return tuple(int(step) if _PLACE.fullmatch(step) else step for step in steps)


def format_key(path: Path) -> str:
    """The dotted key of some steps."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The values in ``value``, at any depth, that are no mappings or lists, with dotted keys."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from leaves(inner, f"{key}[{i}]")
    else:
        yield key, value


def look_up(config: Any, path: Path) -> Any:
    """The value at ``path``. Raises ``KeyError`` if there is none."""
    for step in path:
        if is_partial(config):
            config = config[PARTIAL]
        if isinstance(config, Mapping):
            # A key of a mapping may look like a number, as in the tasks of early stopping.
            step = step if step in config else str(step)
        elif not isinstance(config, list | tuple) or not isinstance(step, int):
            raise KeyError(step)
        try:
            config = config[step]
        except IndexError:
            raise KeyError(step) from None
    return config


def replace_at(config: Any, path: Path, value: Any) -> Any:
    """A copy of ``config`` with ``value`` at ``path``.

    Missing keys of mappings are added. Raises ``KeyError`` if a list has no such index, or if the
    path leads into a plain value or a sweep tag.
    """
    if not path:
        return value
    step, *rest = path
    if is_partial(config):
        return {PARTIAL: replace_at(config[PARTIAL], path, value)}
    if isinstance(config, Mapping) and not set(config) & set(SWEEP_TAGS):
        key = step if step in config else str(step)
        inner = {} if config.get(key) is None else config[key]
        return {**config, key: replace_at(inner, tuple(rest), value)}
    if isinstance(config, list | tuple) and isinstance(step, int) and step < len(config):
        changed = replace_at(config[step], tuple(rest), value)
        return [*config[:step], changed, *config[step + 1 :]]
    raise KeyError(step)
