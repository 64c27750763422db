"""Locks of folders: for one process that writes, or any number of processes that read.

A lock is a file in the folder, locked with ``flock``. The kernel (on NFS, the server) releases it
when its process ends, even if it is killed: there are no stale locks. The file contains the holders
only for messages.
"""

import errno
import fcntl
import json
import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from qgpipe.errors import QgpipeError
from qgpipe.system.files import explained_disk_errors
from qgpipe.system.process import HOST, is_running

logger = logging.getLogger(__name__)

NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}  # some network file systems
_TURN = 0.02  # seconds between two attempts
_held: set[int] = set()


class FolderInUse(QgpipeError):
    """Another process uses a folder."""


class FolderLock:
    """The lock of the folder of ``path``, which is the lock's file; released after a ``with``.

    Locks with different file names are independent.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def write(self) -> None:
        """Take the lock exclusively. Raises ``FolderInUse`` if another process holds it."""
        self._take(fcntl.LOCK_EX)

    def read(self) -> None:
        """Take the lock together with other readers.

        Raises ``FolderInUse`` if a process writes. Without permission to create the lock's file,
        nothing is locked.
        """
        self._take(fcntl.LOCK_SH)

    def share(self) -> None:
        """Turn a lock for writing into one for reading."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def release(self) -> None:
        """Release the lock; the file stays, and is emptied if nobody else holds the lock."""
        if self._descriptor is None:
            return
        with suppress(OSError):  # another process holds the lock, or the file is read-only
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._descriptor, 0)
        self._close()

    def _take(self, kind: int) -> None:
        self._descriptor = self._open(kind)
        if self._descriptor is None:
            return
        _held.add(self._descriptor)
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            holders = _holders(self._descriptor)
            self._close()
            raise _in_use(self.path, holders) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            logger.warning(
                "%s cannot be locked (%s): let no other run write there meanwhile",
                self.path.parent,
                error.strerror,
            )
        with suppress(OSError):  # the name is for messages: a full disk does not matter here
            self._sign(alone=kind == fcntl.LOCK_EX)

    def _open(self, kind: int) -> int | None:
        try:
            with explained_disk_errors(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            if kind == fcntl.LOCK_EX or error.errno not in (errno.EACCES, errno.EROFS):
                raise
        with suppress(OSError):  # someone else's folder: a lock can be shared, but not made
            return os.open(self.path, os.O_RDONLY)
        return None

    def _sign(self, alone: bool) -> None:
        assert self._descriptor is not None
        if alone:
            os.ftruncate(self._descriptor, 0)
        holder = {
            "host": HOST,
            "pid": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
            "time": time.time(),
        }
        os.write(self._descriptor, (json.dumps(holder) + "\n").encode())

    def _close(self) -> None:
        assert self._descriptor is not None
        _held.discard(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """A block with the lock ``path``, exclusively, as ``FolderLock.write``."""
    with FolderLock(path) as lock:
        lock.write()
        yield


@contextmanager
def taking_turns(path: str | Path) -> Iterator[None]:
    """A short block for one process at a time, which waits for the lock ``path``."""
    with FolderLock(path) as lock:
        while not lock.held:
            try:
                lock.write()
            except FolderInUse:
                time.sleep(_TURN)
        yield


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock ``path``; the file and its date are not changed."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return path.is_file()  # another user's file: it may be locked
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    finally:
        os.close(descriptor)
    return False


def _holders(descriptor: int) -> list[dict[str, Any]]:
    """The holders in the file, without processes that are known to have ended."""
    holders = []
    for line in os.pread(descriptor, 1 << 16, 0).splitlines():
        with suppress(ValueError, KeyError, TypeError):
            holder = json.loads(line)
            since = holder.get("time", math.inf)
            if is_running(holder["host"], holder["pid"], since) is not False:
                holders.append(holder)
    return holders


def _in_use(path: Path, holders: list[dict[str, Any]]) -> FolderInUse:
    """The error for a lock with ``holders``. An NFS server may keep the lock of a dead machine."""
    broken = f"if that machine has died, type: rm {path}"
    if not holders:
        return FolderInUse(
            "in use by another process",
            where=str(path.parent),
            remedy=f"wait until it ends; {broken}",
        )
    who = ", ".join(
        f"process {holder['pid']} on host {holder['host']} (since {holder.get('since')})"
        for holder in holders
    )
    here = [str(h["pid"]) for h in holders if h["host"] == HOST]
    if len(here) == len(holders):
        remedy = f"wait until it ends, or stop it with: kill {' '.join(here)}"
    else:
        remedy = f"wait until it ends, or stop it there; {broken}"
    return FolderInUse(f"in use by {who}", where=str(path.parent), remedy=remedy)


def _forget_in_child() -> None:
    """Close inherited descriptors in a forked process, which would keep the parent's locks."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
