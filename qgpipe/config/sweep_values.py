"""The values of sweep tags."""

import math
import random
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from qgpipe.errors import ConfigError, shown

_KEYS = {
    "!sweep": {"values"},
    "!range": {"start", "stop", "step"},
    "!random_uniform": {"start", "stop", "log", "size"},
}
_OPTIONAL = {"step", "log", "size"}
MOST_RUNS = 5_000  # per configuration; planning more would take minutes
_DIGITS = 6  # significant digits of a drawn number, readable in names
_DRAWN = 5


def values_of(tag: str, given: Mapping[str, Any], key: str, seed: int) -> list[Any]:
    """The values of ``!sweep``, ``!range`` or ``!random_uniform`` at ``key``, at least one.

    Random numbers depend only on ``seed``, ``key`` and their index. Raises ``ConfigError`` if the
    tag's own keys are wrong.
    """
    check_keys(tag, given, key, _KEYS[tag], _KEYS[tag] - _OPTIONAL)
    if tag == "!sweep":
        values = given["values"]
        if not isinstance(values, list | tuple) or not values:
            raise ConfigError(
                "!sweep has no values", key=key, remedy="give a list: {values: [1, 2]}"
            )
        _refuse_many(len(values), key)
        return list(values)
    start, stop = (_number(given, name, key) for name in ("start", "stop"))
    if tag == "!range":
        return _range(start, stop, given.get("step"), key)
    return _uniform(start, stop, given, key, seed)


def check_keys(tag: str, given: Any, key: str, known: set[str], required: set[str]) -> None:
    """Raise ``ConfigError`` unless ``tag`` has the required keys and no unknown ones."""
    remedy = f"its keys are {', '.join(sorted(known))}"
    if not isinstance(given, Mapping):
        raise ConfigError(f"{tag} takes a mapping, got {shown(given)}", key=key, remedy=remedy)
    if missing := sorted(required - set(given)):
        raise ConfigError(f"{tag} lacks '{missing[0]}'", key=key, remedy=remedy)
    if unknown := sorted(set(map(str, given)) - known):
        raise ConfigError(f"{tag} has no key '{unknown[0]}'", key=key, remedy=remedy)


def _refuse_many(count: int, key: str) -> None:
    if count > MOST_RUNS:
        raise ConfigError(
            f"{count:,} values are that many runs, and {MOST_RUNS:,} are the most",
            key=key,
            remedy="take fewer values",
        )


def _range(start: Decimal, stop: Decimal, step: Any, key: str) -> list[int | float]:
    """The values from ``start`` in steps to ``stop``, which is included if a step ends there.

    The default step is 1 between integers, else 0.1. Computed in decimals, so that 0.1, 0.2, 0.3
    are exact.
    """
    if step is None:
        width = Decimal(1) if _is_whole(start, stop) else Decimal("0.1")
    else:
        width = _number({"step": step}, "step", key)
    if width == 0 or (stop - start) / width < 0:
        raise ConfigError(
            f"no steps of {width} lead from {start} to {stop}",
            key=key,
            remedy="give a step that is not zero and has the right sign",
        )
    count = int(((stop - start) / width).min(Decimal(sys.maxsize))) + 1
    _refuse_many(count, key)
    values = [start + i * width for i in range(count)]
    whole = _is_whole(start, stop, width)
    return [int(value) if whole else float(value) for value in values]


def _uniform(
    start: Decimal, stop: Decimal, given: Mapping[str, Any], key: str, seed: int
) -> list[float]:
    low, high, log = float(start), float(stop), given.get("log", False)
    size = given.get("size", _DRAWN)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigError(
            f"!random_uniform: size is {shown(size)}", key=key, remedy="use 5, for one"
        )
    if low >= high or (log and low <= 0):
        raise ConfigError(
            f"nothing can be drawn between {start} and {stop}",
            key=key,
            remedy="start is below stop, and above 0 with log: true",
        )
    _refuse_many(size, key)
    generator = random.Random(f"{seed}/{key}")
    shares = [generator.random() for _ in range(size)]
    if log:
        ratio = math.log(high / low)
        drawn = [low * math.exp(share * ratio) for share in shares]
    else:
        drawn = [low + share * (high - low) for share in shares]
    return [min(max(float(f"{value:.{_DIGITS}g}"), low), high) for value in drawn]


def _number(given: Mapping[str, Any], name: str, key: str) -> Decimal:
    """A number as a ``Decimal``; it may be text, as ``1e-4`` is in YAML 1.1."""
    value = given[name]
    try:
        if isinstance(value, bool):
            raise ValueError
        number = Decimal(str(value))
        if not number.is_finite():
            raise ValueError
    except (ArithmeticError, ValueError):
        raise ConfigError(f"'{name}' is no number: {shown(value)}", key=key) from None
    return number


def _is_whole(*numbers: Decimal) -> bool:
    """Whether all were written as integers."""
    return all(number.as_tuple().exponent == 0 for number in numbers)
