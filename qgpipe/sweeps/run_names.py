"""Readable names for the points of a sweep, ``lr=0.001,hidden=64``.

The name of a point depends only on its values and on which keys are swept, so the runs of a sweep
keep their names when a value is added.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from qgpipe.config.dump import to_plain
from qgpipe.config.key_path import Path
from qgpipe.config.objects import TAG, is_tagged

_LONGEST_VALUE = 32
_LONGEST = 150  # of a name: a folder's may have 255
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)")


def short_keys(paths: Sequence[Path]) -> list[str]:
    """A name for each key: its last step, or the fewest last steps that make it unique."""
    names = [[str(step) for step in path] for path in paths]

    def ending(steps: list[str], count: int) -> str:
        # A list index is always preceded by the key of the list.
        while count < len(steps) and steps[-count].isdigit():
            count += 1
        return ".".join(steps[-count:])

    result = []
    for steps in names:
        others = [other for other in names if other is not steps]
        count = next(
            n
            for n in range(1, len(steps) + 1)
            if n == len(steps) or all(ending(o, n) != ending(steps, n) for o in others)
        )
        result.append(_clean(ending(steps, count)))
    return result


def point_name(keys: Sequence[str], values: Sequence[Any]) -> str:
    """The name of a point: ``key=value`` for each of the short ``keys``."""
    pairs = (f"{key}={value_name(v)}" for key, v in zip(keys, values, strict=True))
    return _shortened(",".join(pairs), _LONGEST)


def value_name(value: Any) -> str:
    """A short text for a value: a number, the last part of an object's name, or a list as 64x64.

    Mappings and long values end in eight hex digits of a hash.
    """
    plain = to_plain(value)
    if isinstance(plain, dict):
        kind = plain.get("type")
        return "-".join(filter(None, [_text(kind) if kind else "", _digest(plain)]))
    return _shortened(_text(plain), _LONGEST_VALUE, _digest(plain))


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return f"{value:.12g}"
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return f"{float(value):.12g}"
        name = value.removeprefix(TAG).rpartition(".")[2] if is_tagged(value) else value
        return _clean(name) or "empty"
    if isinstance(value, list):
        flat = not any(isinstance(item, list | dict) for item in value)
        return ("x" if flat else "_").join(map(_text, value)) or "none"
    return _digest(value)


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-")


def _shortened(text: str, longest: int, digest: str | None = None) -> str:
    if len(text) <= longest:
        return text
    return f"{text[: longest - 9].rstrip('-_,=')}-{digest or _digest(text)}"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:8]
