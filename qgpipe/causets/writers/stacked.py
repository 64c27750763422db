"""Stacked layout: one array for each quantity, the sample axis first, padded with zeros.

Matrices are stored transposed, as by a column-major writer: in Python
``adjacency_matrix[s, j, i] = 1`` for i ≺ j in sample s, lower triangular.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qgpipe.causets.bit_rows import transposed
from qgpipe.causets.observables import COLUMNS
from qgpipe.causets.writers.samples import ABUNDANCES, GRAPH_ARRAYS, NODE_ARRAYS, SampleSource
from qgpipe.causets.writers.zarr_v2 import create_array, create_group, write_array, write_chunks

_CHUNK_BYTES = 2**20
_LARGEST_SIDE = 1024
_FEWEST_BLOCKS = 16
_MATRICES = ("adjacency_matrix", "link_matrix")


class StackedStore:
    """Writes the samples of ``source`` as stacked arrays into ``folder``.

    Chunks of the matrices hold as many whole samples as fit in 1 MiB (64 of 128 elements); matrices
    of more than 1024 elements are cut into squares. Squares above the diagonal are zero and not
    written. All other arrays have chunks of ``block`` samples, a multiple of the samples in a chunk
    of the matrices: so blocks share no chunk and can be written in any order. ``block`` is chosen
    for 1 MiB of node values, but at least 16 blocks per store.
    """

    def __init__(self, folder: Path, source: SampleSource):
        self._folder = folder
        self._source = source
        self._description = source.description()
        samples, nodes = source.num_samples, source.largest
        side = min(nodes, _LARGEST_SIDE)
        self._matrix_samples = max(1, min(samples, _CHUNK_BYTES // side**2))
        in_node_chunk = _CHUNK_BYTES // (4 * nodes * self._matrix_samples)
        in_share = samples // (_FEWEST_BLOCKS * self._matrix_samples)
        self.block = self._matrix_samples * max(1, min(in_node_chunk, in_share))
        self._chunks = dict.fromkeys(_MATRICES, (self._matrix_samples, side, side))

    def create(self, attributes: Mapping[str, Any]) -> None:
        """Make the store without its samples."""
        samples, nodes = self._source.num_samples, self._source.largest
        create_group(self._folder, attributes)
        for name, values in self._empty(self.block).items():
            chunks = (self.block, *values.shape[1:])
            create_array(self._folder / name, (samples, *values.shape[1:]), chunks, values.dtype)
        for name, chunks in self._chunks.items():
            create_array(self._folder / name, (samples, nodes, nodes), chunks, np.dtype(np.uint8))
        write_array(self._folder / "num_samples", np.array([samples], np.int64), (1,))

    def write_block(self, start: int) -> None:
        """Make and write samples ``start`` … ``start + block``, fewer at the end of the store."""
        stop = min(start + self.block, self._source.num_samples)
        arrays = self._empty(stop - start)
        for first in range(start, stop, self._matrix_samples):
            self._write_matrices(first, min(first + self._matrix_samples, stop), start, arrays)
        for name, values in arrays.items():
            chunks = (self.block, *values.shape[1:])
            write_chunks(self._folder / name, values, chunks, start // self.block)

    def _write_matrices(
        self, first: int, last: int, start: int, arrays: dict[str, NDArray[Any]]
    ) -> None:
        """Write the matrices of one chunk of samples; fill in the rows of ``arrays``."""
        side = self._source.largest
        adjacency, links = np.zeros((2, last - first, side, side), np.uint8)
        samples = self._source.samples(first, last, self._description)
        for index, sample in enumerate(samples):
            n = len(sample.links)
            adjacency[index, :n, :n] = transposed(sample.causal_set.relations)
            links[index, :n, :n] = transposed(sample.links)
            row = first - start + index
            arrays["cset_size"][row] = n
            arrays["cset_type"][row] = sample.class_code
            arrays["manifold_like"][row] = sample.causal_set.manifold_like
            for name, node_values in sample.node_arrays.items():
                arrays[name][row, :n] = node_values
            for name, graph_values in sample.graph_arrays.items():
                arrays[name][row] = graph_values
        for name, matrices in zip(_MATRICES, (adjacency, links), strict=True):
            chunk = first // self._matrix_samples
            write_chunks(self._folder / name, matrices, self._chunks[name], chunk)

    def _empty(self, samples: int) -> dict[str, NDArray[Any]]:
        """All arrays except the matrices, filled with zeros, for ``samples`` samples."""
        described, largest = self._description, self._source.largest
        nodes = [*NODE_ARRAYS, *(["curvature"] if described.curvature else [])]
        return {
            "cset_size": np.zeros(samples, np.int64),
            "cset_type": np.zeros(samples, np.int64),
            "manifold_like": np.zeros(samples, np.bool_),
            **{name: np.zeros((samples, largest), np.float32) for name in nodes},
            **{name: np.zeros(samples, np.float32) for name in GRAPH_ARRAYS},
            ABUNDANCES: np.zeros((samples, COLUMNS[ABUNDANCES]), np.float32),
            **{
                name: np.zeros((samples, largest, *one.shape), one.dtype)
                for name, one in described.of_elements.items()
            },
            **{
                name: np.zeros((samples, *one.shape), one.dtype)
                for name, one in described.made_of.items()
            },
        }
