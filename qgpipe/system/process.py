"""Whether a process is alive, and ending a child with its parent."""

import ctypes
import socket
import sys

HOST = socket.gethostname()
CLOCKS_APART = 600  # seconds by which the clock of a file server may differ from that of a machine
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def is_running(host: str, pid: int, since: float) -> bool | None:
    """Whether the process with this id at the time ``since`` (seconds since the epoch) is alive.

    A process that started later has reused the id. ``None`` for a process on another machine.
    """
    if host != HOST:
        return None
    import psutil  # rarely needed

    try:
        return psutil.Process(pid).create_time() <= since + CLOCKS_APART
    except (psutil.NoSuchProcess, ValueError):  # or an invalid id
        return False
    except psutil.AccessDenied:  # it belongs to another user
        return True


def end_with_parent(signal: int) -> None:
    """Make the kernel send this process ``signal`` when its parent dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal)
