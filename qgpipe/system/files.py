"""Atomic writing of files: under a temporary name, flushed, then renamed."""

import errno
import glob
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from qgpipe.errors import DataError, DiskFullError, QgpipeError
from qgpipe.system.process import HOST, is_running

FULL = {errno.ENOSPC: "no space is left on its disk", errno.EDQUOT: "your disk quota is used up"}
_PERMISSIONS = "see who owns it and its folder, and what they may do there (ls -ld)"
_KIND = "give another path, or move what is there"
_DISK = "see whether its disk is well"
REFUSED = {  # system errors with causes outside of the program, and their remedies
    errno.EACCES: _PERMISSIONS, errno.EPERM: _PERMISSIONS,
    errno.EROFS: "its disk can only be read: write elsewhere",
    errno.EISDIR: _KIND, errno.ENOTDIR: _KIND, errno.ELOOP: _KIND, errno.ENXIO: _KIND,
    errno.ENAMETOOLONG: "give a shorter name", errno.EIO: _DISK, errno.ESTALE: _DISK,
    errno.ENOSPC: "make room", errno.EDQUOT: "make room",
    errno.EFBIG: "raise the limit (ulimit -f)",
    errno.EMFILE: "raise the limit (ulimit -n)", errno.ENFILE: "close other programs",
}  # fmt: skip
# Names of atomic_path: the name of the file, the host, the process.
LEFTOVER = re.compile(
    r"\.(?P<name>.+\.(?:zarr|safetensors|json|pt|pt2|csv|parquet|svg|html|yaml|scratch))"
    r"\.(?P<host>[^/]+)\.(?P<pid>\d+)\.tmp(?:\.old\.tmp)?"
)
ABANDONED_SECONDS = 7 * 24 * 3600  # then leftovers of other machines are removed


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path in the folder of ``path``, renamed to it when the block succeeds.

    The block may create a file or a folder there. If it fails nothing is left behind, and the
    previous content of ``path`` is unchanged. A folder replaces an older one. Leftovers of earlier
    attempts of killed processes are removed.

    Raises ``DiskFullError`` if the disk is full, whichever exception the block raises for it.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{_writer()}.tmp")
    with explained_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        try:
            yield temporary
            if temporary.is_dir():
                os.sync()  # its files may be many: one call for all
                _replace_folder(temporary, path)
            else:
                _sync(temporary)
                if path.is_dir():
                    raise DataError(f"{path} is a folder, not a file", remedy="move it away")
                temporary.rename(path)
            _sync(path.parent)
        except BaseException:
            _remove(temporary)
            raise


@contextmanager
def scratch_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` for intermediate files; removed after the block.

    Such folders of killed processes are also removed.
    """
    path = Path(path).with_name(f"{Path(path).name}.scratch")
    folder = path.with_name(f".{path.name}.{_writer()}.tmp")
    with explained_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        folder.mkdir()
        try:
            yield folder
        finally:
            _remove(folder)


@contextmanager
def explained_disk_errors(path: str | Path) -> Iterator[None]:
    """Turn any exception because of a full disk, while ``path`` is written, into ``DiskFullError``.

    The message has the file and the free space.
    """
    try:
        yield
    except Exception as error:
        problem = _disk_problem(error)
        if problem is None or isinstance(error, DiskFullError):
            raise
        free = shutil.disk_usage(_existing(Path(path))).free
        raise DiskFullError(
            f"cannot be written, {problem} ({free / 1e6:,.1f} MB were free)",
            where=str(path),
            remedy="make room and start the same command again, or write to another disk",
        ) from error


def os_error_of_user(error: Exception) -> QgpipeError | None:
    """The error for the user if ``error`` means that a file cannot be read or written.

    None for other errors, which are bugs, such as a missing file.
    """
    if not isinstance(error, OSError) or error.errno not in REFUSED or error.filename is None:
        return None
    names = dict.fromkeys(map(os.fsdecode, filter(None, (error.filename, error.filename2))))
    fixed = QgpipeError(
        f"{os.strerror(error.errno)} ({errno.errorcode[error.errno]})",
        where=" → ".join(names),
        remedy=REFUSED[error.errno],
    )
    fixed.__cause__ = error
    return fixed


def require_folder(path: str | Path) -> None:
    """Raise ``DataError`` if ``path`` is not a folder, or cannot be created or written to."""
    there = _existing(Path(path).absolute())
    if not there.is_dir():
        raise DataError(f"{there} is a file, not a folder", remedy="name another one")
    if not os.access(there, os.W_OK | os.X_OK):
        raise DataError(f"you may not write to {there}", remedy="name another folder")


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path``, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, data: bytes | memoryview) -> None:
    """Write ``data`` to ``path``, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path``, atomically."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_text(path: str | Path) -> str:
    """The text (UTF-8) in ``path``. Raises ``DataError`` if the file is missing or damaged."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"no such file: {path}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _damaged(path, error) from None


def read_json(path: str | Path) -> Any:
    """The JSON value in ``path``. Raises ``DataError`` if the file is missing or damaged."""
    text = read_text(path)
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from None


def _damaged(path: str | Path, error: Exception) -> DataError:
    return DataError(
        f"{path} is damaged: {str(error)[:200]}", remedy="delete it and run the pipeline again"
    )


def _no_number(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")


def sha256(path: str | Path) -> str:
    """``sha256:<hex>`` of the bytes of a file."""
    with Path(path).open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def is_leftover(path: Path) -> bool:
    """Whether ``path`` is a temporary file of qgpipe whose process was killed."""
    match = LEFTOVER.fullmatch(path.name)
    with suppress(FileNotFoundError):  # its writer has just finished
        return match is not None and not _is_written(path, match["host"], match["pid"])
    return False


def _disk_problem(error: BaseException) -> str | None:
    """Why there is no space, if that is the cause of ``error``; else None.

    Libraries wrap the system error in their own exceptions, or only quote its text.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in FULL:
            return FULL[seen.errno]
        for number, problem in FULL.items():
            if os.strerror(number) in str(seen):
                return problem
        seen = seen.__cause__ or seen.__context__
    return None


def _existing(path: Path) -> Path:
    """``path`` or the nearest folder above it that exists."""
    return path if path.exists() else _existing(path.parent)


def _writer() -> str:
    return f"{HOST}.{os.getpid()}"


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files and folders of ``path`` that no running process writes."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        writer = leftover.name.removeprefix(f".{path.name}.").partition(".tmp")[0]
        host, _, pid = writer.rpartition(".")
        with suppress(FileNotFoundError):  # its writer has just finished
            if writer == _writer() or not _is_written(leftover, host, pid):
                _remove(leftover)


def _is_written(leftover: Path, host: str, pid: str) -> bool:
    """Whether the process that created ``leftover`` may still be writing it."""
    if not (host and pid.isdecimal()):
        return True  # not a name of ours
    last = _last_written(leftover)
    running = is_running(host, int(pid), last)
    return time.time() - last < ABANDONED_SECONDS if running is None else running


def _last_written(path: Path) -> float:
    """Time of the last write to a file, or to any file in a folder, in seconds since the epoch."""
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    return max(file.lstat().st_mtime for file in (path, *files))


def _replace_folder(new: Path, path: Path) -> None:
    """Replace the folder ``path`` by ``new``, so that ``path`` is never partially removed."""
    old = new.with_name(f"{new.name}.old.tmp")
    if path.exists():
        path.rename(old)
    new.rename(path)
    _remove(old)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
