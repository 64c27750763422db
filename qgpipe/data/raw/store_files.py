"""Reading the files of a raw store, which have to be regular files.

Opening a FIFO waits for a writer, and reading a device may never end. A store may contain such
files by mistake or on purpose; no job may hang because of them. Imports neither numpy nor zarr.
"""

import errno
import os
import resource
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from qgpipe.data.raw.objects import ObjectPath, object_reader, read_object
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
    if isinstance(path, ObjectPath):
        return read_object(path, most)
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


def file_reader(folder: str | Path) -> Callable[[str], bytes | None]:
    """:func:`read_file` for the many paths, as text, below ``folder``."""
    return object_reader() if isinstance(folder, ObjectPath) else read_file


def require_plain(path: str | Path) -> None:
    """Raise what :func:`read_file` would raise if ``path`` exists and is not a regular file."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  a Path takes longer than the call
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise refusal(path, error) from error
    _require_plain(path, mode)


def children(folder: Path, store: Path, listed: Sequence[str] | None = None) -> dict[str, bool]:
    """The names in a ``folder`` of ``store``, and whether each is a folder.

    ``listed``: the keys of the objects of the store, if these are not files.
    """
    if listed is None:
        with os.scandir(folder) as entries:
            return {entry.name: _is_folder(entry) for entry in entries}
    prefix = "" if folder == store else f"{folder.relative_to(store).as_posix()}/"
    found: dict[str, bool] = {}
    for key in listed:
        if key.startswith(prefix):
            first, _, rest = key.removeprefix(prefix).partition("/")
            found[first] = found.get(first, False) or bool(rest)
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


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
