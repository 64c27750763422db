"""What ``snakemake --logger qgpipe`` shows: how far stages and trainings are, errors, results."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import OutputSettingsLoggerInterface

from qgpipe.system.logs import SHOWING, SHOWN
from snakemake_logger_plugin_qgpipe.interruption import interrupt_once
from snakemake_logger_plugin_qgpipe.narrator import Narrator
from snakemake_logger_plugin_qgpipe.outcome import outcome
from snakemake_logger_plugin_qgpipe.screens import Live, Plain, is_live
from snakemake_logger_plugin_qgpipe.state import State

SNAKEMAKE = "snakemake.logging"  # the name of Snakemake's logger
LOG_FILE = "Complete log(s): "
POLL_SECONDS = 0.5  # how often the files of trainings are looked at


class LogHandler(LogHandlerBase):
    """Follows a run of the workflow, and shows it.

    On a terminal stages and trainings are drawn at its bottom, elsewhere they are told by plain
    lines. A dry run, ``--verbose`` and ``--debug-dag`` show Snakemake's own words, and what
    ``--quiet`` silences is silent here.
    """

    def __post_init__(self) -> None:
        """Write to standard error, as Snakemake's own log does."""
        settings = self.common_settings
        self._here = Path.cwd()
        self._own: logging.Handler | None = None
        self._log_file: str | None = None
        interrupt_once()
        self._lock = threading.RLock()
        self._ends = threading.Event()
        self._follower: threading.Thread | None = None
        self._is_closed = False
        self._screen: Plain | Live = Plain(sys.stderr)
        self._narrator = Narrator(State(self._here), live=False)
        self._showing_before = os.environ.get(SHOWING)
        silenced = {str(getattr(kind, "name", kind)).upper() for kind in settings.quiet or ()}
        is_quiet = bool(silenced & {"ALL", "RULES", "PROGRESS"})
        if settings.dryrun or settings.verbose or settings.debug_dag or is_quiet:
            self._own = _snakemakes_own(settings)
        else:
            # Records come here by a queue. A filter sees them at once: before a job starts.
            logging.getLogger(SNAKEMAKE).addFilter(self._begin)
        if self._own is None or is_quiet:
            os.environ[SHOWING] = SHOWN  # jobs leave it to this process, or to nobody
        atexit.register(self.close)

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
        """Snakemake's formatter is used for what is not put in other words here."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """No graph is drawn."""
        return False

    def emit(self, record: logging.LogRecord) -> None:
        """Show what ``record`` tells."""
        if self._own is not None:
            self._own.setFormatter(self.formatter)
            self._own.emit(record)
            return
        fields = record.__dict__
        text = self.format(record)
        if text.startswith(LOG_FILE):
            self._log_file = text.removeprefix(LOG_FILE)
        with self._lock:  # not while something is said: who draws the screen holds a lock, too
            lines = list(self._narrator.lines(fields, text))
        self._say(lines)

    def close(self) -> None:
        """Show in the end what came out, and leave the terminal as it was."""
        if self._is_closed:
            return
        self._is_closed = True
        self._ends.set()
        logging.getLogger(SNAKEMAKE).removeFilter(self._begin)
        if self._follower is not None:
            self._follower.join()
            self._screen.close()
            self._screen = Plain(sys.stderr)
            self._say([(line, "") for line in outcome(self._state, self._here, self._log_file)])
        if self._showing_before is None:
            os.environ.pop(SHOWING, None)
        super().close()

    @property
    def _state(self) -> State:
        return self._narrator.state

    def _begin(self, record: logging.LogRecord) -> bool:
        """Get ready when jobs are about to start: the working directory is the workflow's now."""
        if getattr(record, "event", None) != LogEvent.RUN_INFO or self._follower is not None:
            return True
        live = is_live(sys.stderr)
        self._narrator = Narrator(State(Path.cwd()), live)
        if live:
            colours = not self.common_settings.nocolor
            self._screen = Live(self._state, self._lock, colours)
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()
        return True

    def _follow(self) -> None:
        while not self._ends.wait(POLL_SECONDS):
            with self._lock:
                lines = list(self._narrator.epochs())
            self._say(lines)

    def _say(self, lines: list[tuple[str, str]]) -> None:
        for text, style in lines:
            self._screen.say(text, style)


def _snakemakes_own(settings: OutputSettingsLoggerInterface) -> logging.Handler:
    """The handler that Snakemake has without a plugin."""
    from snakemake.logging import ColorizingTextHandler

    stream = sys.stdout if settings.stdout else sys.stderr
    return ColorizingTextHandler(nocolor=settings.nocolor, stream=stream)
