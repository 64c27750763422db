"""The configuration language: reading, checking, naming objects, fingerprints."""

from qgpipe.config.load import load_config
from qgpipe.config.resolve import resolve_config
from qgpipe.config.runs import Run, expand_runs

__all__ = ["Run", "expand_runs", "load_config", "resolve_config"]
