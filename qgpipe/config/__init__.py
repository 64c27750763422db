"""The configuration language: reading, checking, naming objects, fingerprints."""

from qgpipe.config.load import load_config
from qgpipe.config.resolve import resolve_config

__all__ = ["load_config", "resolve_config"]
