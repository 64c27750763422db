"""Whether a sample is bad, or could only not be read this time.

What is wrong with the data stays wrong, and ``data.on_bad_sample: skip`` leaves the sample out.
What the system refuses (permissions, a disk that fails, too many open files, no memory), or code
does not do, says nothing about the data: it is a ``ReadingError``, which always ends the job.
"""

import errno
import gzip
import re

from qgpipe.errors import ReadingError

# What the system says of a place where no file is that could be read: the store is wrong.
_OF_THE_STORE = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG,
}  # fmt: skip
_SAID = re.compile(r"os_error_code='(\d+)'")  # by TensorStore
_NOT_OF_THE_DATA = (ReadingError, MemoryError, NameError, ImportError, SyntaxError)


def says_of_system(text: str) -> int | None:
    """The system's error that TensorStore tells of in ``text``; None if it is about the store."""
    match = _SAID.search(text)
    code = int(match[1]) if match else None
    return None if code in _OF_THE_STORE else code


def is_of_the_data(error: BaseException) -> bool:
    """Whether ``error``, which was raised for a sample, says that its data is wrong.

    Not if it, or what it was raised for, is of the system, of memory, or a mistake in code.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, _NOT_OF_THE_DATA) or says_of_system(str(seen)) is not None:
            return False
        if isinstance(seen, OSError) and not (
            isinstance(seen, gzip.BadGzipFile) or seen.errno in _OF_THE_STORE
        ):
            return False
        if isinstance(seen, RuntimeError) and "memory" in str(seen):  # as torch says it
            return False
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return True


def remedy_for(code: int | None) -> str:
    """What to do about the system's error ``code``."""
    if code in (errno.EACCES, errno.EPERM):
        return "change its permissions (chmod), or ask its owner to"
    return "see to the machine or its disk, then start again"
