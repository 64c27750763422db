"""A terse log for ``snakemake --logger qgpipe``: a line a job, and errors in full."""

from __future__ import annotations

import logging
import sys
import time

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

_SILENT = {
    LogEvent.WORKFLOW_STARTED,
    LogEvent.RESOURCES_INFO,
    LogEvent.JOB_STARTED,
    LogEvent.JOB_FINISHED,
    LogEvent.SHELLCMD,
    LogEvent.RULEGRAPH,
}
# What Snakemake says at every start or for every job, and a user need not know.
_CHATTER = (
    "Assuming unrestricted shared filesystem",
    "Building DAG of jobs",
    "Using shell:",
    "Conda environments: ignored",
    "Select jobs to execute",
)


class LogHandler(LogHandlerBase, logging.StreamHandler):
    """Writes one line for each job that starts, and how many are done."""

    def __post_init__(self) -> None:
        """Write to standard error, as Snakemake's own log does."""
        logging.StreamHandler.__init__(self, sys.stderr)

    @property
    def writes_to_stream(self) -> bool:
        """Replaces Snakemake's own stream log."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """No file of its own."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's filter (``--quiet``) applies."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Snakemake's formatter is used for what is not shortened here."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """No graph is drawn."""
        return False

    def format(self, record: logging.LogRecord) -> str:
        """One line for jobs and progress; Snakemake's own text for errors."""
        event = getattr(record, "event", None)
        clock = time.strftime("%H:%M:%S")
        fields = record.__dict__
        if event == LogEvent.JOB_INFO:
            wildcards = " ".join(map(str, fields["wildcards"].values()))
            return f"{clock}  {fields['rule_name']} {wildcards}".rstrip()
        if event == LogEvent.PROGRESS:
            return f"{clock}  {fields['done']} of {fields['total']} steps done"
        return super().format(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record unless it says nothing to a user."""
        if getattr(record, "event", None) in _SILENT:
            return
        text = self.format(record)
        if text and text != "None" and not text.startswith(_CHATTER):
            self.stream.write(text + self.terminator)
            self.flush()
