"""Errors that a user can fix: one or two lines, without a traceback.

Anything else that is raised is a bug and keeps its traceback.
"""

import re
import reprlib
from collections.abc import Mapping
from itertools import islice
from typing import Any

LONGEST = 480  # characters of a message
_LONGEST_PLACE, _LONGEST_REMEDY = 160, 260
_LONGEST_VALUE = 80
_LINE_BREAKS = re.compile(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]\s*")


class _Shown(reprlib.Repr):
    """``repr`` of a beginning, so that its cost does not grow with the value."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 40
        self.maxstring = self.maxlong = self.maxother = 4 * _LONGEST_VALUE

    def repr_dict(self, x: Mapping, level: int) -> str:
        """The entries in their own order."""
        if level <= 0:
            return "{...}"
        shown = (
            f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}"
            for key, value in islice(x.items(), self.maxdict)
        )
        return f"{{{', '.join([*shown, *(['...'] if len(x) > self.maxdict else [])])}}}"

    def repr_int(self, x: int, level: int) -> str:
        """Shortened: Python refuses to print integers of more than 4,300 digits."""
        return f"{x:#x}"[:20] + "..." if x.bit_length() > 1024 else repr(x)


_SHOWN = _Shown()


def shown(value: Any) -> str:
    """``repr`` of ``value`` on one line, cut if it is long."""
    text = one_line(_SHOWN.repr(value))
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def one_line(text: str) -> str:
    """``text`` without line breaks, unprintable characters escaped."""
    text = _LINE_BREAKS.sub(" ", text.strip())
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class QgpipeError(Exception):
    """Base of everything that a user can fix.

    ``where`` says what the message is about (a file, a config key, a store, a sample),
    ``problem`` what is wrong, ``remedy`` what to do. They are joined to one line, of ``LONGEST``
    characters at most, whatever values and other errors are quoted in them.
    """

    def __init__(self, problem: str, *, where: str | None = None, remedy: str | None = None):
        super().__init__(problem, where, remedy)
        self.problem = problem
        self.where = where
        self.remedy = remedy

    def __reduce__(self) -> tuple:
        """Pickle by state, so that worker processes can hand the error over."""
        return _rebuild, (type(self), dict(self.__dict__))

    def __str__(self) -> str:
        where = _cut(self._place(), _LONGEST_PLACE)
        remedy = _cut(self.remedy or "", _LONGEST_REMEDY)
        problem = _cut(self.problem, LONGEST - len(where) - len(remedy) - len(": ; "))
        return _joined(where, problem, remedy)

    def in_full(self) -> str:
        """The whole message, not cut to ``LONGEST`` characters."""
        return _joined(self._place(), self.problem, self.remedy or "")

    def _place(self) -> str:
        return self.where or ""


class ConfigError(QgpipeError):
    """A key of the configuration is missing, misspelt or has a wrong value.

    ``key`` is the dotted path, ``model.encoder_kwargs.layers[0]`` for instance.
    """

    def __init__(
        self,
        problem: str,
        *,
        key: str | None = None,
        file: str | None = None,
        remedy: str | None = None,
    ):
        super().__init__(problem, remedy=remedy)
        self.key = key
        self.file = file

    def _place(self) -> str:
        return ": ".join(part for part in (self.file, self.key) if part)


class DataError(QgpipeError):
    """A store, a sample, an array or a part file is missing, damaged or invalid."""

    def __init__(
        self,
        problem: str,
        *,
        store: str | None = None,
        sample: int | str | None = None,
        array: str | None = None,
        remedy: str | None = None,
    ):
        parts = (
            store,
            f"sample {sample}" if sample is not None else None,
            f"array '{array}'" if array else None,
        )
        super().__init__(problem, where=", ".join(p for p in parts if p) or None, remedy=remedy)


class ReadingError(DataError):
    """Reading failed for a reason other than the data, so the sample must not be skipped.

    For example missing permission, a failing disk, too many open files, or an error in user code.
    """


class TrainingError(QgpipeError):
    """Training cannot continue: a loss that is not a number, a failing monitor, no memory."""


class DivergenceError(TrainingError):
    """A loss, a gradient or a weight is no longer a finite number."""


class OutOfMemoryError(TrainingError):
    """A model or a batch does not fit into memory."""


class DiskFullError(QgpipeError):
    """The disk is full; files that existed before are unchanged."""


def _joined(where: str, problem: str, remedy: str) -> str:
    text = f"{where}: {problem}" if where else problem
    return f"{text}; {remedy}" if remedy else text


def _cut(text: str, longest: int) -> str:
    """``text`` on one line; if it is too long, its beginning and its last characters."""
    text = one_line(text[: 4 * longest] + text[4 * longest :][-longest:])
    if len(text) <= longest:
        return text
    end = longest // 4
    return f"{text[: longest - end - 1].rstrip()}…{text[-end:].lstrip()}"


def _rebuild(cls: type[QgpipeError], state: dict) -> QgpipeError:
    error = cls.__new__(cls)
    Exception.__init__(error, state["problem"], state["where"], state["remedy"])
    error.__dict__.update(state)
    return error
