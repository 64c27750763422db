"""The names of the columns of a table of predictions, for who writes one and who reads it."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

OUTLIER_SCORE, OUTLIER = "outlier_score", "outlier"  # of a graph; whether it is too high

_PATTERN = re.compile(
    r"(?:task(\d+)_)?(target|output|predicted|class|probability|spread|embedding)(?:_(\d+))?"
)


class PredictionColumn(NamedTuple):
    """``<kind>``, ``<kind>_<number>``; with ``task<head>_`` before it if there are several heads.

    Kinds: ``target``; ``output``, of the model; ``predicted``, the number of a class; ``class``,
    its name; ``probability`` of class ``number``; ``spread`` of a probability or value over the
    members of an ensemble; ``embedding``, the pooled vector of a graph.
    """

    kind: str
    head: int | None = None
    number: int | None = None

    def __str__(self) -> str:
        head = "" if self.head is None else f"task{self.head}_"
        return f"{head}{self.kind}" + ("" if self.number is None else f"_{self.number}")


def parse_column(name: str) -> PredictionColumn | None:
    """What the column ``name`` holds; None if it is another one, such as ``id``."""
    match = _PATTERN.fullmatch(name)
    if match is None:
        return None
    head, kind, number = match.groups()
    return PredictionColumn(kind, *(None if n is None else int(n) for n in (head, number)))


def columns_of(names: Iterable[Any], kind: str, head: int | None = None) -> list[str]:
    """Those of ``names`` that are of ``kind`` and of ``head``, in their order."""
    parsed = ((str(name), parse_column(str(name))) for name in names)
    return [name for name, column in parsed if column and column[:2] == (kind, head)]
