"""Reading a range of samples from stacked arrays."""

import numpy as np

from qgpipe.data.raw.arrays import decoding_context, read_columns
from qgpipe.data.raw.columns import Columns
from qgpipe.data.raw.metadata import ArrayInfo
from qgpipe.data.raw.samples import Samples
from qgpipe.data.raw.validation import Checks
from qgpipe.data.readers.edge_lists import read_edges
from qgpipe.data.readers.stacked_relations import read_relations


def read_stacked(checks: Checks, start: int, stop: int, threads: int) -> Samples:
    """The samples ``start:stop`` of a stacked store.

    ``threads``: number of threads that decode, and that pack; the result does not depend on it.

    Samples with wrong sizes or invalid relations, and those that cannot be read, are reported to
    ``checks.bad``; the values returned for them are undefined. Raises ``DataError`` if an array
    cannot be opened.
    """
    columns = checks.columns
    context = decoding_context(checks.store, threads)
    samples = range(start, stop)
    arrays = read_columns(columns.arrays, checks.bad, context, samples)
    if columns.size is None:
        sizes = np.full(len(samples), columns.elements, np.int64)
    else:
        sizes = arrays[columns.size.name].reshape(-1).astype(np.int64)
    sizes = checks.sizes(sizes, start)
    read = read_relations if columns.edges is None else read_edges
    edges = read(checks, sizes, start, threads, context)
    inside = np.arange(columns.elements or 0) < sizes[:, None]
    return Samples(
        index=np.arange(start, stop, dtype=np.int64),
        sizes=sizes,
        edges=edges,
        node={
            array.name: _by_element(columns, array, arrays[array.name])[inside]
            for array in columns.node
        },
        graph={array.name: arrays[array.name] for array in columns.of_graphs},
    )


def _by_element(columns: Columns, array: ArrayInfo, values: np.ndarray) -> np.ndarray:
    """Node features [N, n, ...], the elements on axis 1."""
    return values.swapaxes(1, 2) if array.name in columns.transposed else values
