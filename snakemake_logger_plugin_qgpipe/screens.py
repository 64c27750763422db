"""Where lines go: to a plain stream, or above a live part of a terminal."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from snakemake_logger_plugin_qgpipe.captured import Captured
from snakemake_logger_plugin_qgpipe.state import State

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

REFRESHES = 4  # a second


def is_live(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal on which parts can be drawn anew."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")


class Plain:
    """Lines on a stream, without any control characters."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def say(self, text: str, style: str = "") -> None:
        """Write ``text`` as lines of its own; nobody may be there any more to read it."""
        with suppress(OSError):
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def close(self) -> None:
        """Nothing is left to be done."""


class Live:
    """Lines that scroll above a part that shows how far stages and trainings are."""

    def __init__(self, state: State, lock: threading.RLock, colours: bool):
        """``lock`` is held by whoever changes ``state``."""
        from rich.live import Live as LiveDisplay

        self._state, self._lock = state, lock
        self._captured = Captured(self._said)
        stream = os.fdopen(
            self._captured.terminal(), "w", encoding=sys.stderr.encoding, errors="replace"
        )
        self._console = _console(stream, colours)
        self._display = LiveDisplay(
            get_renderable=self._frame,
            console=self._console,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._display.start(refresh=True)

    def say(self, text: str, style: str = "") -> None:
        """Print ``text`` above the live part."""
        from rich.text import Text

        self._print(Text(text, style=style))

    def close(self) -> None:
        """Take the live part away, and give the terminal back."""
        self._captured.close()
        with suppress(OSError):
            self._display.stop()
            self._console.file.close()

    def _said(self, line: str) -> None:
        from rich.text import Text

        self._print(Text.from_ansi(line))

    def _print(self, text: Text) -> None:
        with suppress(OSError):  # the terminal has been closed: jobs have to get rid of their words
            self._console.print(text, soft_wrap=True)

    def _frame(self) -> Any:
        from rich.text import Text

        from snakemake_logger_plugin_qgpipe.frame import frame

        width, height = self._console.size
        with self._lock:
            return Text("\n").join(frame(self._state, width, height))


def _console(stream: TextIO, colours: bool) -> Console:
    from rich.console import Console, ConsoleDimensions

    class OwnTerminal(Console):
        """A console that asks its own terminal for its size, and leaves the cursor visible."""

        @property  # type: ignore[misc]  # nobody sets it
        def size(self) -> ConsoleDimensions:
            columns, lines = os.get_terminal_size(self.file.fileno())
            return ConsoleDimensions(columns or 80, lines or 25)

        def show_cursor(self, show: bool = True) -> bool:
            # Hidden, it would stay so after a kill, or while the workflow is suspended.
            return False

    return OwnTerminal(file=stream, no_color=None if colours else True, highlight=False)
