"""Ctrl-C a second time, while jobs save: Snakemake would end by tracebacks before they have."""

import os
import signal
import threading
from types import FrameType

AGAIN = b"stopping already, as soon as jobs have saved\n"


def interrupt_once() -> None:
    """From now on let the first SIGINT raise ``KeyboardInterrupt``, and answer others by a line."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return  # somebody else's

    def again(number: int, frame: FrameType | None) -> None:
        os.write(2, AGAIN)

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, again)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, first)
