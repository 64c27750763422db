"""Sweeps: tags in a configuration stand for several values of a key.

``!sweep``, ``!range`` and ``!random_uniform`` each span a dimension, in the order of the file; a
``!coupled-sweep`` varies together with one of them. The points are all combinations, the last
dimension changing fastest. ``!reference`` is replaced by the value of another key at a point.
"""

import copy
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from qgpipe.config.key_path import Path, format_key, look_up, parse_key
from qgpipe.config.objects import PARTIAL, is_partial
from qgpipe.config.sweep_values import check_keys, values_of
from qgpipe.config.tags import SWEEP_TAGS
from qgpipe.errors import ConfigError

SPANNING = ("!sweep", "!range", "!random_uniform")
COUPLED, REFERENCE = "!coupled-sweep", "!reference"
_FIXED = (
    "name", "python_path", "data.output", "data.variant", "data.folds", "training.path", "baseline",
    "report",
)  # fmt: skip


@dataclass
class Dimension:
    """A swept key with its ``values``, and the values of the keys coupled to it."""

    path: Path
    values: list[Any]
    partners: dict[Path, list[Any]] = field(default_factory=dict)

    def at(self, place: int) -> dict[Path, Any]:
        """Values of the key and its partners at index ``place``."""
        partners = {path: values[place] for path, values in self.partners.items()}
        return {self.path: self.values[place], **partners}


def dimensions(config: Mapping[str, Any]) -> list[Dimension]:
    """The swept keys of ``config``, in its order.

    Raises ``ConfigError`` for a tag with wrong keys, for a key that has to be the same in all runs,
    and for a coupled sweep whose target is not swept or has another number of values.
    """
    tagged = list(_tagged(_counted(config), ()))
    seed = _seed(config)
    result = {}
    for path, tag, given in tagged:
        key = format_key(path)
        if tag != REFERENCE and any(f"{key}.".startswith((f"{f}.", f"{f}[")) for f in _FIXED):
            raise ConfigError(f"{tag} cannot stand here", key=key, remedy="give one value")
        if tag in SPANNING:
            values = values_of(tag, given, key, seed)
            for value in values:
                _refuse_nested(value, key)
            result[path] = Dimension(path, values)
    for path, tag, given in tagged:
        if tag == COUPLED:
            _couple(result, path, given)
    return list(result.values())


def points(swept: list[Dimension]) -> Iterator[tuple[int, ...]]:
    """Every combination, as the index of the value in each dimension."""
    return itertools.product(*(range(len(dimension.values)) for dimension in swept))


def substitute(config: Mapping[str, Any], values: Mapping[Path, Any]) -> dict[str, Any]:
    """``config`` with a value in place of each swept key, and references followed."""
    swept = _substituted(_counted(config), values, ())
    return _followed(swept, swept, (), ())


def _counted(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` without the top-level keys that begin with ``x-``, which only hold anchors."""
    return {key: value for key, value in config.items() if not str(key).startswith("x-")}


def _tagged(value: Any, path: Path) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    """The path, name and keys of every sweep tag, except for those inside another tag."""
    if (tag := _tag(value)) is not None:
        yield path, tag, value[tag]
    elif is_partial(value):  # its keys are addressed without the tag
        yield from _tagged(value[PARTIAL], path)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _tagged(inner, (*path, name))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _tagged(inner, (*path, place))


def _tag(value: Any) -> str | None:
    if isinstance(value, Mapping) and len(value) == 1:
        name = next(iter(value))
        return name if name in SWEEP_TAGS else None
    return None


def _seed(config: Mapping[str, Any]) -> int:
    """The seed of random values: ``training.seed``, or its first value if it is swept."""
    training = config.get("training")
    seed: Any = training.get("seed") if isinstance(training, Mapping) else None
    tag = _tag(seed)
    given = seed[tag] if tag is not None and isinstance(seed[tag], Mapping) else {}
    if tag == "!sweep" and isinstance(given.get("values"), list):
        seed = next(iter(given["values"]), 0)
    elif tag == "!range":
        seed = given.get("start")
    return seed if isinstance(seed, int) else 0


def _refuse_nested(value: Any, key: str) -> None:
    for _, tag, _ in _tagged(value, ()):
        if tag != REFERENCE:
            raise ConfigError(
                f"{tag} stands within the values of another sweep",
                key=key,
                remedy="write the values out",
            )


def _couple(swept: dict[Path, Dimension], path: Path, given: Mapping[str, Any]) -> None:
    key, keys = format_key(path), {"target", "values"}
    check_keys(COUPLED, given, key, keys, keys)
    target, values = parse_key(str(given["target"])), given["values"]
    if target not in swept:
        names = ", ".join(map(format_key, swept))
        raise ConfigError(
            f"!coupled-sweep goes along with '{given['target']}', which is not swept",
            key=key,
            remedy=f"swept are: {names}" if names else "nothing is",
        )
    count = len(swept[target].values)
    if not isinstance(values, list | tuple) or len(values) != count:
        found = len(values) if isinstance(values, list | tuple) else 0
        raise ConfigError(
            f"!coupled-sweep has {found} values, but {format_key(target)} has {count}",
            key=key,
            remedy="give one for each",
        )
    for value in values:
        _refuse_nested(value, key)
    swept[target].partners[path] = list(values)


def _substituted(value: Any, values: Mapping[Path, Any], path: Path) -> Any:
    if path in values:
        return copy.deepcopy(values[path])
    if is_partial(value):
        return {PARTIAL: _substituted(value[PARTIAL], values, path)}
    if isinstance(value, Mapping):
        return {name: _substituted(v, values, (*path, name)) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_substituted(v, values, (*path, place)) for place, v in enumerate(value)]
    return value


def _followed(value: Any, config: Mapping[str, Any], path: Path, behind: tuple[Path, ...]) -> Any:
    """``value`` with references replaced; ``behind``: the references that are being resolved."""
    if _tag(value) == REFERENCE:
        key, given = format_key(path), value[REFERENCE]
        check_keys(REFERENCE, given, key, {"target"}, {"target"})
        target = parse_key(str(given["target"]))
        if target in behind or path[: len(target)] == target:
            raise ConfigError("!reference leads back to itself", key=key)
        try:
            found = look_up(config, target)
        except KeyError:
            raise ConfigError(
                f"!reference: there is no key '{given['target']}'",
                key=key,
                remedy="write its whole path, model.layers[0].dim for instance",
            ) from None
        return _followed(copy.deepcopy(found), config, target, (*behind, target))
    if is_partial(value):
        return {PARTIAL: _followed(value[PARTIAL], config, path, behind)}
    if isinstance(value, Mapping):
        return {n: _followed(v, config, (*path, n), behind) for n, v in value.items()}
    if isinstance(value, list | tuple):
        return [_followed(v, config, (*path, place), behind) for place, v in enumerate(value)]
    return value
