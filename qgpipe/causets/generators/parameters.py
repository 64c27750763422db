"""Parameters of generators: a number, or a range from which one is drawn for each causal set."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from qgpipe.errors import ConfigError, shown

RealParameter = float | Sequence[float]
IntegerParameter = int | Sequence[int]


def draw_real(
    rng: np.random.Generator, value: RealParameter, name: str, lowest: float, highest: float
) -> float:
    """``value`` if it is a number; if it is a range ``[low, high]``, a number drawn uniformly.

    Raises ``ConfigError`` if ``value`` is neither, or leaves ``lowest`` … ``highest``.
    """
    low, high = _range(value, name, lowest, highest, Real)
    return float(low) if low == high else float(rng.uniform(low, high))


def draw_integer(
    rng: np.random.Generator, value: IntegerParameter, name: str, lowest: int, highest: float
) -> int:
    """``value`` if it is an integer; if it is ``[low, high]``, one drawn uniformly, ends included.

    Raises ``ConfigError`` if ``value`` is neither, or leaves ``lowest`` … ``highest``.
    """
    low, high = _range(value, name, lowest, highest, Integral)
    return int(low) if low == high else int(rng.integers(int(low), int(high) + 1))


def highest(value: IntegerParameter) -> int:
    """The largest number that a parameter, which has been drawn from, can be."""
    return int(value[1] if isinstance(value, Sequence) else value)


def require_choice(value: Any, name: str, choices: Sequence[Any]) -> None:
    """Raise ``ConfigError`` if the parameter ``name`` has a value that is none of ``choices``."""
    kind = int if isinstance(value, Integral) and not isinstance(value, bool) else type(value)
    if not any(value == choice and kind is type(choice) for choice in choices):
        words = [str(choice).lower() if isinstance(choice, bool) else choice for choice in choices]
        *others, last = ["null" if word is None else str(word) for word in words]
        raise ConfigError(
            f"'{name}' is {shown(value)}", remedy=f"give {', '.join(others)} or {last}"
        )


def _range(
    value: RealParameter, name: str, lowest: float, highest: float, kind: type
) -> tuple[float, float]:
    ends: Any = [value, value] if isinstance(value, Real) else value
    word = "an integer" if kind is Integral else "a number"
    limits = f"from {lowest:g}" + (f" to {highest:g}" if np.isfinite(highest) else " up")
    if (
        isinstance(ends, str)
        or not isinstance(ends, Sequence)
        or len(ends) != 2
        or not all(isinstance(end, kind) and not isinstance(end, bool) for end in ends)
        or not lowest <= ends[0] <= ends[1] <= highest
    ):
        raise ConfigError(
            f"'{name}' is {shown(value)}",
            remedy=f"give {word} {limits}, or a range [low, high] of them",
        )
    return ends[0], ends[1]
