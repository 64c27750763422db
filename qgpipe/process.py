"""Processes: whether one is alive, and how a child ends with its parent."""

from __future__ import annotations

import ctypes
import os
import socket
import sys

HOST = socket.gethostname()
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def is_running(host: str, pid: int) -> bool | None:
    """Whether a process is alive; ``None`` if it is, or was, on another machine."""
    if host != HOST:
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is someone else's
        return True
    return True


def end_with_parent(signal: int) -> None:
    """Let the kernel send this process ``signal`` when the one that started it dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal)
