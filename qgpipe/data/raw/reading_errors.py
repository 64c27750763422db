"""Whether an error means that a sample is bad, or that the system failed to read it.

Wrong data stays wrong, and ``data.on_bad_sample: skip`` leaves the sample out. An error of the
system (permissions, a failing disk, too many open files, no memory) or a bug says nothing about the
data: it is a ``ReadingError``, which always ends the job.
"""

import errno
import gzip
import re

from qgpipe.errors import ReadingError

# System errors which mean that the path is not a readable file: the store is wrong.
_OF_THE_STORE = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG,
}  # fmt: skip
_SAID = re.compile(r"os_error_code='(\d+)'")  # in messages of TensorStore
_NOT_OF_THE_DATA = (ReadingError, MemoryError, NameError, ImportError, SyntaxError)


def says_of_system(text: str) -> int | None:
    """The system error (errno) in a message of TensorStore; None if the store is wrong."""
    match = _SAID.search(text)
    code = int(match[1]) if match else None
    return None if code in _OF_THE_STORE else code


def is_of_the_data(error: BaseException) -> bool:
    """Whether ``error``, raised for a sample, means that its data is wrong.

    It does not if it, or its cause, is an error of the system, lack of memory, or a bug.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, _NOT_OF_THE_DATA) or says_of_system(str(seen)) is not None:
            return False
        if isinstance(seen, OSError) and not (
            isinstance(seen, gzip.BadGzipFile) or seen.errno in _OF_THE_STORE
        ):
            return False
        if isinstance(seen, RuntimeError) and "memory" in str(seen):  # raised by torch
            return False
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return True


def remedy_for(code: int | None) -> str:
    """The remedy for the system error ``code`` (errno)."""
    if code in (errno.EACCES, errno.EPERM):
        return "change its permissions (chmod), or ask its owner to"
    return "see to the machine or its disk, then start again"
