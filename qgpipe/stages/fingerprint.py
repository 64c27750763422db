"""Fingerprints of trainings: which checkpoints belong to which trajectory."""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qgpipe.config.dump import to_plain
from qgpipe.config.resolve import data_source
from qgpipe.config.types import Config
from qgpipe.errors import ConfigError
from qgpipe.stages.registry import stage_section
from qgpipe.stages.session_code import live_code


@dataclass(frozen=True)
class Trajectory:
    """Digests of everything that the weights after each epoch depend on."""

    config: str
    data: str
    split: str

    @property
    def name(self) -> str:
        """A digest of the three in sixteen hex digits, the name of the folder of checkpoints."""
        return _digest(asdict(self))[:16]

    def differences(self, other: Mapping[str, str]) -> list[str]:
        """Which of ``config``, ``data`` and ``split`` differ from those in ``other``."""
        return [part for part, digest in asdict(self).items() if other.get(part) != digest]


def trajectory(config: Config, data: str, split: str, folders: Iterable[Path] = ()) -> Trajectory:
    """The trajectory of a resolved ``config`` on data and split with these checksums.

    It depends on model, criterion, optimizer, schedule, seed, batch size, evaluation, and the
    user's code in ``folders`` that these name. It does not depend on the number of epochs (so that
    a run can be continued for longer), the device, workers and logging.
    """
    section = stage_section(_nameable(config), "train", folders)
    section["training"] = {k: v for k, v in section["training"].items() if k != "num_epochs"}
    elsewhere = ("data", "testing", "predict", "training")
    shaping = [value for key, value in config.items() if key not in elsewhere]
    shaping.append({k: v for k, v in config["training"].items() if k != "loggers"})
    transforms = [data_source(config, role)["transform"] for role in ("train", "validation")]
    digest = _digest({"section": section, "live": live_code([shaping, transforms])})
    return Trajectory(digest, data, split)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _nameable(value: Any) -> Any:
    """``value`` with local functions replaced by their qualified names, for runs in Python."""
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
