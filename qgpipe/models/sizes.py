"""Fills in the sizes of layers that a ``model`` section leaves to the data."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from torch import nn

from qgpipe.config.key_path import Path, format_key, leaves, parse_key
from qgpipe.config.objects import PARTIAL, is_partial
from qgpipe.errors import ConfigError, QgpipeError
from qgpipe.models.build import build_model
from qgpipe.models.construct.open_sizes import Found, OpenSize, Probe
from qgpipe.models.shape_check import check_model
from qgpipe.system.rng import random_numbers_kept

_ARGUMENTS = {"args": 1, "kwargs": 2}  # their places in a spec that is a list
_HEADS = "downstream_tasks"


def has_open_sizes(section: Mapping[str, Any]) -> bool:
    """Whether a ``null`` in the ``model`` section stands for a size."""
    nested = (key for key, value in leaves(section) if value is None)
    if not any("[" in key or "." in key for key in nested):
        return False
    try:
        with random_numbers_kept():
            build_model(section, trust=True)
    except OpenSize:
        return True
    except QgpipeError:  # raised again when it is built
        pass
    return False


def fill_sizes(
    section: Mapping[str, Any],
    batch: Any,
    outputs: Callable[[int], int],
    apply_model: Callable[[nn.Module, Any], Any] | None = None,
    **names: Any,
) -> dict[str, Any]:
    """A copy of the ``model`` section with numbers in place of sizes that are ``null``.

    Numbers of inputs are those of the features that arrive there when the model is called with
    ``batch``; ``outputs(head)`` is the number of outputs of a head. ``names``: of features, as in
    ``check_model``. Raises ``ConfigError`` with the key of a size that the data does not tell, and
    the errors of ``build_model`` and ``check_model``.
    """
    filled = dict(section)
    probes: dict[Path, Probe] = {}
    active = filled.pop("active_tasks", None)  # heads that are off have sizes, too
    while True:
        try:
            with random_numbers_kept():
                model = build_model(filled, trust=True)
        except OpenSize as size:
            place = _place(filled, size.key or "")
            probe = outputs(_head(place, size)) if size.is_output else Probe(1)
            if isinstance(probe, Probe):
                probes[place] = probe
            filled = _put(filled, place, probe)
            continue
        if not probes:
            break
        with suppress(Found):
            check_model(model, batch, apply_model=apply_model, **names)
        answered = [place for place, probe in probes.items() if probe.found is not None]
        if not answered:
            raise ConfigError(
                "no features reach this layer, whose size is left to the data",
                key=f"model.{format_key(next(iter(probes)))}",
                remedy="write the number",
            )
        for place in answered:
            filled = _put(filled, place, probes.pop(place).found)
    return filled if "active_tasks" not in section else {**filled, "active_tasks": active}


def _head(place: Path, size: OpenSize) -> int:
    """The head whose number of outputs is at ``place``; that of a model of another kind is 0."""
    if place[0] in ("args", "kwargs"):
        return 0
    if place[0] != _HEADS or not isinstance(place[1], int):
        raise ConfigError(
            "only a head leaves its number of outputs to the data",
            key=size.key,
            remedy="write the number",
        )
    return place[1]


def _place(section: Any, key: str) -> Path:
    """The steps to ``key``, as messages give it, in a section whose specs may be lists."""
    steps: list[str | int] = []
    inside = section
    for step in parse_key(key.removeprefix("model.")):
        if is_partial(inside):
            steps.append(PARTIAL)
            inside = inside[PARTIAL]
        if isinstance(inside, list | tuple) and step in _ARGUMENTS:
            step = _ARGUMENTS[str(step)]
        try:
            inside = inside[step]
        except (LookupError, TypeError):
            raise ConfigError(
                "a size that is left to the data has to be given by name, in kwargs", key=key
            ) from None
        steps.append(step)
    return tuple(steps)


def _put(section: Any, place: Path, value: Any) -> Any:
    """A copy of ``section`` with ``value`` at ``place``."""
    if not place:
        return value
    first, *rest = place
    items = section.items() if isinstance(section, Mapping) else enumerate(section)
    changed = {k: _put(v, tuple(rest), value) if k == first else v for k, v in items}
    return changed if isinstance(section, Mapping) else [*changed.values()]
