"""Stopping on a signal, between two steps or within an evaluation."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from qgpipe.system.logs import SIGNALS, TRY_AGAIN
from qgpipe.training.distributed.process_group import ALONE, PeriodicMax, Processes


class Interrupted(SystemExit):
    """Training was told to stop by a signal; its state is saved.

    Uncaught, it ends the process with exit code 75, so that a scheduler tries again: the same
    command goes on where this one stopped.
    """

    def __init__(self, signal_name: str):
        super().__init__(TRY_AGAIN)
        self.signal_name = signal_name

    def __str__(self) -> str:
        return f"stopped by {self.signal_name}"


@contextmanager
def handlers_kept() -> Iterator[None]:
    """After this block signals do what they did before, whatever handlers are set in it."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class SignalWatch:
    """Remembers the first SIGTERM, SIGINT or SIGUSR1 that arrives within the ``with`` block.

    Further signals change nothing, so that saving is never cut short. Outside the main
    thread, where Python delivers no signals, it watches none. A signal to any of several
    ``processes`` stops all of them, after the same step.
    """

    def __init__(self, processes: Processes = ALONE) -> None:
        self.received: str | None = None
        self._processes = processes
        self._largest = PeriodicMax(processes)
        self._raising = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {s: signal.signal(s, self._receive) for s in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def raise_if_received(self) -> None:
        """Raise ``Interrupted`` if a signal has arrived, and it is time to ask the other ranks."""
        self._raise(self._largest.after_step(self._number()))

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A block that a signal leaves at once, by ``Interrupted``.

        Of several processes none may leave alone: a signal within the block has to wait.
        """
        self._raise(self._largest.now(self._number()))
        self._raising = self._processes.size == 1
        try:
            yield
        finally:
            self._raising = False

    def _number(self) -> int:
        return 0 if self.received is None else signal.Signals[self.received].value

    def _raise(self, number: int) -> None:
        if number:
            self.received = signal.Signals(number).name
            raise Interrupted(self.received)

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number).name
            if self._raising:
                raise Interrupted(self.received)
