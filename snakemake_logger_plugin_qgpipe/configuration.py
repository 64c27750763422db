"""Why Snakemake could not read a configuration, in qgpipe's words.

Snakemake reads ``--configfile`` before the Snakefile, and tells a mistake in it by a traceback or
without its place. Its error comes to a filter of its log while it is handled.
"""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

from qgpipe.config.load import load_config
from qgpipe.errors import ConfigError

_READING, _FILE = "_load_configfile", "configpath_or_obj"  # Snakemake's function, its argument


def explain(record: logging.LogRecord) -> bool:
    """Let ``record`` say what is wrong with a configuration, if it tells that one cannot be read.

    A filter, which lets all records pass.
    """
    file = _unreadable() if record.levelno >= logging.ERROR else None
    if file is not None:
        try:
            load_config(file)
        except ConfigError as error:
            record.msg, record.args = f"{error}", ()
    return True


def _unreadable() -> Path | None:
    """The configuration in whose reading the error arose that is being handled."""
    for frame, _ in traceback.walk_tb(sys.exc_info()[2]):
        file = frame.f_locals.get(_FILE)
        if frame.f_code.co_name == _READING and isinstance(file, str | Path):
            return Path(file)
    return None
