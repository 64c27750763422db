"""Fingerprints of configurations: which training state belongs to which trajectory."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qgpipe.config.dump import to_plain
from qgpipe.config.sections import stage_section
from qgpipe.errors import ConfigError


def trajectory(
    config: Mapping[str, Any], data: str, split: str, folders: Iterable[Path] = ()
) -> str:
    """Sixteen hex digits of all that shapes a training trajectory.

    That is the model, criterion, optimizer, schedule, seed, batch size, evaluation, the
    user's code that these name, and ``data`` and ``split``, the checksums of both. The
    number of epochs, the device, workers and logging do not count: a longer run continues.
    """
    section = stage_section(_nameable(config), "train", folders)
    section["training"] = {k: v for k, v in section["training"].items() if k != "num_epochs"}
    text = json.dumps({"section": section, "data": data, "split": split}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _nameable(value: Any) -> Any:
    """``value`` with local functions under their qualified names, for runs started in Python."""
    if isinstance(value, Mapping):
        return {k: _nameable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_nameable(v) for v in value]
    if isinstance(value, functools.partial):
        return _nameable([value.func, value.args, value.keywords])
    try:
        return to_plain(value)
    except ConfigError:
        return getattr(value, "__qualname__", None) or type(value).__qualname__
