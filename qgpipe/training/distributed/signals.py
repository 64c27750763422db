"""Stops training on a signal, between two steps or within an evaluation."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from qgpipe.system.logs import SIGNALS, TRY_AGAIN
from qgpipe.training.distributed.process_group import ALONE, PeriodicMax, Processes


class Interrupted(SystemExit):
    """Training was stopped by a signal; its state is saved.

    If it is not caught, the process ends with exit code 75, so that a scheduler retries: the same
    command resumes the training.
    """

    def __init__(self, signal_name: str):
        super().__init__(TRY_AGAIN)
        self.signal_name = signal_name

    def __str__(self) -> str:
        return f"stopped by {self.signal_name}"


@contextmanager
def handlers_kept() -> Iterator[None]:
    """A block after which the handlers of signals are restored."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class SignalWatch:
    """Records the first SIGTERM, SIGINT or SIGUSR1 within the ``with`` block.

    Further signals are ignored, so that saving is never interrupted. Outside the main thread, where
    Python delivers no signals, none is recorded. A signal to one of several ``processes`` stops all
    of them, after the same step.
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
        """Raise ``Interrupted`` if a rank received a signal and it is time for an exchange."""
        self._raise(self._largest.after_step(self._number()))

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A block in which a signal immediately raises ``Interrupted``.

        With several processes, which have to stop together, only signals before the block do.
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
