"""Samples that cannot be used: the first is an error, or all are left out and listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from qgpipe.data.raw.stores import StoreInfo
from qgpipe.errors import DataError, ReadingError

REMEDY = "fix the store, or set data.on_bad_sample to skip"


class BadSamples:
    """The bad samples of ``store`` and why they are bad; with ``skip`` they are left out.

    ``reasons``: the first problem found, by index of the sample in the store.
    """

    def __init__(
        self, store: StoreInfo, skip: bool = False, reasons: Mapping[int, str] | None = None
    ):
        self.store = store
        self.skip = skip
        self.reasons = dict(reasons or {})

    def copy(self) -> BadSamples:
        """An independent copy."""
        return BadSamples(self.store, self.skip, self.reasons)

    def report(
        self, index: int, problem: str, array: str | None = None, remedy: str = REMEDY
    ) -> None:
        """Note that the sample ``index`` is bad; without ``skip``, raise ``DataError``."""
        self.refuse(
            index,
            self.store.error(problem, sample=index, array=array, remedy=remedy),
            f"array '{array}': {problem}" if array else problem,
        )

    def refuse(self, index: int, error: DataError, reason: str | None = None) -> None:
        """Note the sample ``index`` with ``reason``; without ``skip``, raise ``error``.

        A ``ReadingError`` is always raised: it says nothing about the data.
        """
        if not self.skip or isinstance(error, ReadingError):
            raise error
        self.reasons.setdefault(index, reason or error.problem)

    def keep(self, index: np.ndarray) -> np.ndarray:
        """Whether each sample is good; ``index``: int64 [N], indices in the store."""
        if not self.reasons:
            return np.ones(len(index), bool)
        return ~np.isin(index, list(self.reasons))

    def listed(self, samples: range) -> list[dict[str, Any]]:
        """The bad ones of ``samples``, in their order, as entries of a part's description."""
        return [
            {"sample": index, "reason": self.reasons[index]}
            for index in samples
            if index in self.reasons
        ]
