"""Why Snakemake could not read a configuration, in qgpipe's words.

Snakemake reads ``--configfile`` before the Snakefile, and tells a mistake in it by a traceback or
without its place; one that our plan finds it tells with lines of the Snakefile. Its error comes to
a filter of its log while it is handled.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from snakemake_interface_common.exceptions import WorkflowError

from qgpipe.config.load import load_config
from qgpipe.errors import ConfigError

# Snakemake's functions that read a configuration, with the argument that names the file.
_READING = {"_load_configfile": "configpath_or_obj", "load_configfile": "configpath"}
_PLANNING = "plan_workflow"  # our function that the Snakefile calls


def explain(record: logging.LogRecord) -> bool:
    """Let ``record`` say what is wrong with a configuration, and nothing else.

    A filter, which lets all records pass.
    """
    error = sys.exc_info()[1]
    if record.levelno < logging.ERROR or error is None:
        return True
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if any(frame.f_code.co_name == _PLANNING for frame in frames):
        if isinstance(error, WorkflowError):  # without the lines of the Snakefile that led there
            record.msg, record.args = f"{error}", ()
    elif (file := _unreadable(frames)) is not None:
        try:
            load_config(file)
        except ConfigError as found:
            record.msg, record.args = f"{found}", ()
    return True


def _unreadable(frames: Sequence[FrameType]) -> Path | None:
    """The configuration in whose reading the error arose that is being handled."""
    for frame in frames:
        file = frame.f_locals.get(_READING.get(frame.f_code.co_name, ""))
        if isinstance(file, str | Path):
            return Path(file)
    return None
