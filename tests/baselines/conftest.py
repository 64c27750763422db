from pathlib import Path

import numpy as np
import pytest

from qgpipe.causets.generators.sprinklings import minkowski
from qgpipe.config.resolve import resolve_config
from qgpipe.data.graphs.packed import Attribute, EdgePairs, Packed, offsets
from qgpipe.data.storage.manifest import write_dataset
from qgpipe.data.storage.part_file import write_part
from qgpipe.system.files import write_json

NUM_GRAPHS = 120
SPLIT = {"train": range(80), "validation": range(80, 90), "test": range(90, 120)}
DIMENSIONS = np.random.default_rng(5).integers(2, 4, NUM_GRAPHS)  # of each causal set


def pack(matrices, **attributes) -> Packed:
    """Graphs with the edges of boolean ``matrices``, and arrays with a row for each graph."""
    pairs = [np.argwhere(matrix).T for matrix in matrices]
    edges = EdgePairs(
        np.concatenate(pairs, axis=1).astype(np.uint16), offsets([p.shape[1] for p in pairs])
    )
    kinds = {name: a if isinstance(a, Attribute) else None for name, a in attributes.items()}
    return Packed(
        np.arange(len(matrices)),
        offsets(np.array([len(matrix) for matrix in matrices])),
        edges,
        {
            name: kinds[name] or Attribute(values, "graph", scalar=values.ndim == 1)
            for name, values in attributes.items()
        },
        explicit_num_nodes=True,
    )


@pytest.fixture(scope="session")
def causets():
    """Relations of causal sets of two and three dimensions, in turn as ``DIMENSIONS`` says."""
    rng = np.random.default_rng(0)
    return [minkowski(rng, int(n), d).relations for n, d in zip(
        rng.integers(30, 50, NUM_GRAPHS), DIMENSIONS, strict=True
    )]  # fmt: skip


@pytest.fixture
def write_data(tmp_path):
    """Writes a part, a ``dataset.json`` and a ``split.json``; returns the latter two."""

    def write(graphs: Packed, split=SPLIT, **names) -> tuple[Path, Path]:
        none = dict.fromkeys(("node_features", "graph_features", "target", "class_names"))
        counts = {"num_filtered": 0, "num_skipped": 0, "skipped": []}
        n = graphs.num_graphs
        info = {"store": "a", "start": 0, "stop": n, **counts, **none, **names}
        part = tmp_path / "parts" / "a-000000000.safetensors"
        write_part(part, graphs, info)
        store = {"name": "a", "path": "a.zarr", "layout": "stacked", "num_samples": n}
        write_dataset([part], [{**store, "role": "all"}], tmp_path / "dataset.json")
        chosen = {name: list(ids) for name, ids in split.items()}
        write_json(tmp_path / "split.json", {"format": 1, "num_graphs": n, **chosen})
        return tmp_path / "dataset.json", tmp_path / "split.json"

    return write


@pytest.fixture
def resolved(minimal):
    """A function: the smallest configuration, resolved, with a section ``baseline``."""
    return lambda **section: resolve_config({**minimal, "baseline": section})
