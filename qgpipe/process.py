"""Processes, as files that outlive them name them: by host and process id."""

from __future__ import annotations

import os
import socket

HOST = socket.gethostname()


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
