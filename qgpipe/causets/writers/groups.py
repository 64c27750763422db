"""Grouped layout: a group ``cset_1``, ``cset_2``, … for each causal set, nothing padded.

This is what QuantumGrav.jl writes: matrices transposed (column-major), so that in Python
``adj[j, i] = 1`` for i ≺ j, lower triangular; single values in arrays of shape (1,).
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.bit_rows import transposed
from qgpipe.causets.writers.samples import Sample, SampleSource
from qgpipe.causets.writers.zarr_v2 import create_group, write_array

_CHUNK_BYTES = 1e6
_BLOCK_ENTRIES = 2**20  # entries of the relation matrices in memory


class GroupStore:
    """Writes the samples of ``source`` as groups into ``folder``."""

    block = 64

    def __init__(self, folder: Path, source: SampleSource):
        self._folder = folder
        self._source = source
        self._description = source.description()

    def create(self, attributes: Mapping[str, Any]) -> None:
        """Make the store without its samples."""
        create_group(self._folder, attributes)

    def write_block(self, start: int) -> None:
        """Make and write samples ``start`` … ``start + block``, fewer at the end of the store."""
        stop = min(start + self.block, self._source.num_samples)
        step = max(1, _BLOCK_ENTRIES // self._source.largest**2)
        for first in range(start, stop, step):
            last = min(first + step, stop)
            self._write(first, self._source.samples(first, last, self._description))

    def _write(self, first: int, samples: Sequence[Sample]) -> None:
        for index, sample in enumerate(samples, first + 1):
            group = self._folder / f"cset_{index}"
            create_group(group)
            for name, values in _arrays(sample).items():
                write_array(group / name, values, _chunks(values))


def _arrays(sample: Sample) -> dict[str, NDArray[Any]]:
    """The arrays of a causal set's group."""
    return {
        "adj": transposed(sample.causal_set.relations).view(np.uint8),
        "linkmat": transposed(sample.links).view(np.uint8),
        "manifold_like": np.array([sample.causal_set.manifold_like]),
        "cset_type": np.array([sample.class_code], np.int64),
        **sample.node_arrays,
        **{name: np.atleast_1d(values) for name, values in sample.graph_arrays.items()},
    }


def _chunks(values: NDArray[Any]) -> tuple[int, ...]:
    """Cubes of about a megabyte, as QuantumGrav.jl cuts its arrays."""
    side = math.ceil((_CHUNK_BYTES / values.itemsize) ** (1 / values.ndim))
    return tuple(min(size, side) for size in values.shape)
