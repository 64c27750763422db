"""Signals to a whole job, in its loader workers.

A scheduler that stops a job, or Ctrl-C, signals all processes of it. The training process
then finishes its step and saves its state; it would take the sudden end of a worker for
an error, in the middle of that step.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STOPPING = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1}


@contextmanager
def held() -> Iterator[None]:
    """A block in which signals wait, also for the workers that are started in it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heed_parent_only(_worker: int) -> None:
    """In a worker process, ignore all that would stop it but a SIGTERM from its parent.

    A worker whose parent has died notices that by itself.
    """
    for number in _STOPPING - {signal.SIGTERM}:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_wait_for_parent, daemon=True).start()
    else:  # macOS does not tell who sent a signal
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _wait_for_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
