"""The configuration language: reading, checking, naming objects."""

from typing import Any

from qgpipe.config.load import load_config
from qgpipe.config.resolve import resolve_config

__all__ = ["Run", "expand_runs", "load_config", "resolve_config"]


def __getattr__(name: str) -> Any:
    if name in ("Run", "expand_runs"):  # public here, defined in a package that imports this one
        from qgpipe.sweeps import expansion

        return getattr(expansion, name)
    raise AttributeError(f"module 'qgpipe.config' has no attribute '{name}'")
