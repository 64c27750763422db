"""Reading the files of a raw store, which have to be regular files.

Opening a FIFO waits for a writer, and reading a device may never end. A store may contain such
files by mistake or on purpose; no job may hang because of them. Imports neither numpy nor zarr.
"""

import errno
import os
import resource
import stat
from pathlib import Path

from qgpipe.data.raw.reading_errors import remedy_for
from qgpipe.errors import ReadingError

_NO_FILE = {errno.ENXIO: "a socket or device", errno.ELOOP: "a link to itself"}
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_file(path: str | Path, most: int | None = None) -> bytes | None:
    """The bytes of a file, at most ``most`` of them; None if there is no file.

    Raises ``ValueError`` if it is not a regular file, ``ReadingError`` if it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise refusal(path, error) from error
    try:
        found = os.fstat(descriptor)
        _require_plain(path, found.st_mode)
        missing = found.st_size if most is None else min(most, found.st_size)
        pieces = []
        while missing and (piece := os.read(descriptor, missing)):  # may be less than ``missing``
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)
    except OSError as error:
        raise refusal(path, error) from error
    finally:
        os.close(descriptor)


def require_plain(path: str | Path) -> None:
    """Raise what :func:`read_file` would raise if ``path`` exists and is not a regular file."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  a Path takes longer than the call
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise refusal(path, error) from error
    _require_plain(path, mode)


def memory() -> int:
    """The most memory, in bytes, that a process can use on this machine."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return physical if limit == resource.RLIM_INFINITY else min(limit, physical)


def _require_plain(path: str | Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path} is no file but {_KINDS.get(stat.S_IFMT(mode), 'a device')}")


def refusal(path: str | Path, error: OSError) -> ValueError | ReadingError:
    """The exception to raise when ``path`` cannot be opened, as in :func:`read_file`."""
    if error.errno in _NO_FILE:
        return ValueError(f"{path} is no file but {_NO_FILE[error.errno]}")
    return ReadingError(f"{path} cannot be read: {error.strerror}", remedy=remedy_for(error.errno))
