"""Values in nested mappings, and objects by name."""

import importlib
from collections.abc import Sequence
from typing import Any

from qgpipe.system.rng import seed_everything


def import_and_get(importpath: str) -> Any:
    """The object with the dotted name ``importpath``. Raises ``KeyError`` if there is none."""
    owner, _, name = importpath.rpartition(".")
    try:
        return getattr(importlib.import_module(owner), name)
    except ImportError as error:
        raise KeyError(f"no module '{owner}': {error}") from error
    except (AttributeError, ValueError) as error:
        raise KeyError(f"there is no '{name}' in '{owner}'") from error


def get_at_path(cfg: Any, path: Sequence[Any], default: Any = None) -> Any:
    """The value at ``path``, a list of keys; ``default`` if only the last one is missing.

    Raises ``KeyError`` if another one is missing.
    """
    for step in path[:-1]:
        cfg = cfg[step]
    return cfg.get(path[-1], default)


def assign_at_path(cfg: Any, path: Sequence[Any], value: Any) -> None:
    """Set the value at ``path``, a list of keys and indices; raises ``KeyError`` as above."""
    for step in path[:-1]:
        cfg = cfg[step]
    cfg[path[-1]] = value


def seed_all_rngs(seed: int) -> None:
    """Seed the random numbers of Python, NumPy and torch."""
    seed_everything(int(seed))
