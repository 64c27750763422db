"""Differences between two nested structures of mappings and lists."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

ABSENT = "(absent)"
LONGEST = 60  # characters of a value in a message


class Difference(NamedTuple):
    """A dotted key and its two values; ``ABSENT`` if a value is missing."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key}: {_shown(self.before)} → {_shown(self.after)}"


def differences(before: Any, after: Any, key: str = "") -> Iterator[Difference]:
    """All differences of ``before`` and ``after``; lists of unequal length differ as a whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}, key=str):
            inner = f"{key}.{name}" if key else str(name)
            yield from differences(before.get(name, ABSENT), after.get(name, ABSENT), inner)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{key}[{i}]")
    elif before != after or type(before) is not type(after):
        yield Difference(key, before, after)


def _shown(value: Any) -> str:
    text = value if value is ABSENT else repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
