"""Processes: whether one is alive, and how a child ends with its parent."""

import ctypes
import socket
import sys

HOST = socket.gethostname()
CLOCKS_APART = 600  # seconds by which the clock of a file server may differ from that of a machine
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def is_running(host: str, pid: int, since: float) -> bool | None:
    """Whether the process that had this id at the time ``since`` (of the epoch) is alive.

    One that has begun later has been given the id of one that has ended. ``None`` if it is, or was,
    on another machine.
    """
    if host != HOST:
        return None
    import psutil  # rarely needed

    try:
        return psutil.Process(pid).create_time() <= since + CLOCKS_APART
    except (psutil.NoSuchProcess, ValueError):  # or no id of a process at all
        return False
    except psutil.AccessDenied:  # it is someone else's
        return True


def end_with_parent(signal: int) -> None:
    """Let the kernel send this process ``signal`` when the one that started it dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal)
