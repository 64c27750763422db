"""Iterators that work on the next items while the current one is used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(items: Iterable[T], number: int) -> Iterator[T]:
    """The same items; the next ``number`` are taken from ``items`` before one is yielded."""
    taken: deque[T] = deque()
    for item in items:
        taken.append(item)
        if len(taken) > number:
            yield taken.popleft()
    yield from taken


def map_ahead(
    pool: Executor, function: Callable[[T], R], items: Iterable[T], number: int
) -> Iterator[R]:
    """``function(item)`` for each item, in order, computed by ``pool`` up to ``number`` ahead."""
    for future in ahead((pool.submit(function, item) for item in items), number):
        yield future.result()
