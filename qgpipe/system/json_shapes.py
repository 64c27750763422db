"""Compares JSON values with the shapes that files of qgpipe have.

A shape is a type (``float`` takes any finite number), ``None``, a set of texts, a tuple of shapes
any of which will do, ``[shape]`` for a list, ``{str: shape}`` for a mapping with any keys, or a
mapping of names to shapes, which has to have these keys; one that ends in ``?`` may be missing,
others may be there.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qgpipe.errors import DataError
from qgpipe.system.files import read_json

_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_NAMES |= {list: "a list", dict: "a mapping"}
_SHOWN = 60  # characters of a value


def read_shaped(path: str | Path, shape: Any, remedy: str) -> Any:
    """The JSON value in ``path``.

    Raises ``DataError`` with ``remedy`` if the file is missing or damaged, or is not of ``shape``.
    """
    try:
        value = read_json(path)
    except DataError as error:
        error.remedy = remedy
        raise
    if problem := misfit(value, shape):
        raise DataError(f"{path} is damaged: {problem}", remedy=remedy)
    return value


def misfit(value: Any, shape: Any, key: str = "") -> str | None:
    """The first part of ``value`` that does not match ``shape``, with its key; None if all do."""
    if isinstance(shape, tuple):
        found = [misfit(value, one, key) for one in shape]
        if None in found:
            return None
        deeper = [one for one in shape if _is_kind(value, one) and isinstance(one, dict | list)]
        return misfit(value, deeper[0], key) if deeper else _said(value, shape, key)
    if not _is_kind(value, shape):
        return _said(value, shape, key)
    if isinstance(shape, list):
        return _first(lambda i, v: misfit(v, shape[0], f"{key}[{i}]"), enumerate(value))
    if isinstance(shape, dict) and str in shape:
        return _first(lambda k, v: misfit(v, shape[str], _below(key, k)), value.items())
    if isinstance(shape, dict):
        for name, inner in shape.items():
            plain = name.removesuffix("?")
            if plain in value:
                if problem := misfit(value[plain], inner, _below(key, plain)):
                    return problem
            elif plain == name:
                return f"it has no key '{_below(key, name)}'"
    return None


def _is_kind(value: Any, shape: Any) -> bool:
    """Whether ``value`` is of the kind of ``shape``, without comparing its entries."""
    if shape is None:
        return value is None
    if isinstance(shape, set):
        return isinstance(value, str) and value in shape
    if isinstance(shape, list | dict):
        return isinstance(value, Mapping if isinstance(shape, dict) else list)
    if isinstance(value, bool):
        return shape is bool
    if shape is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, shape)


def _first(check: Callable[[Any, Any], str | None], items: Any) -> str | None:
    return next((problem for k, v in items if (problem := check(k, v))), None)


def _said(value: Any, shape: Any, key: str) -> str:
    shapes = shape if isinstance(shape, tuple) else (shape,)
    expected = " or ".join(dict.fromkeys(map(_name, shapes)))
    text = repr(value)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    what = f"'{key}'" if key else "it"
    return f"{what} is {shown}, not {expected}"


def _name(shape: Any) -> str:
    if shape is None:
        return "null"
    if isinstance(shape, set):
        return " or ".join(sorted(shape))
    return _NAMES[type(shape) if isinstance(shape, list | dict) else shape]


def _below(key: str, name: Any) -> str:
    return f"{key}.{name}" if key else str(name)
