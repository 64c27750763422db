"""A layout is one class and its entry in the registry: here a third one, read like the others."""

from __future__ import annotations

import math

import numpy as np
import pytest
import zarr

from qgpipe.data.graphs.adjacency import bit_offsets, count_bits
from qgpipe.data.graphs.packed import BitAdjacency
from qgpipe.data.graphs.relation_bits import adjacency_rows, block_side, write_bits
from qgpipe.data.layouts import registry
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.preprocessing.plan import plan_parts
from qgpipe.data.preprocessing.set_preflight import class_counts
from qgpipe.data.quantumgrav.sample_store import SampleStore
from qgpipe.data.raw.fingerprint import observe
from qgpipe.data.raw.samples import Samples
from qgpipe.data.raw.stores import StoreInfo
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.errors import DataError


class Flat(StoreInfo):
    """Arrays of all samples end to end: matrices as [sum of n²], values of nodes as [sum of n]."""

    layout = "flat"
    adjacency_axes = ("entries",)

    @classmethod
    def open(cls, root):
        if root.attributes.get("layout") != "flat":
            return None
        arrays, count = root.arrays()
        (num_samples,) = arrays["cset_size"].shape
        return cls(root.path, root.zarr_format, arrays, root.attributes, num_samples, count)

    @property
    def sample_arrays(self):
        return {n: a for n, a in self.arrays.items() if a.shape[0] == self.num_samples}

    def sample_bytes(self):
        arrays = self.arrays.values()
        return sum(a.item_bytes * math.prod(a.shape) for a in arrays) // self.num_samples

    def check(self, columns):
        for array in columns.of_graphs:
            if array.name not in self.sample_arrays:
                raise DataError("expected a value for each sample", array=array.name)

    def read(self, checks, start, stop, threads):
        group, columns = zarr.open_group(self.path, mode="r"), checks.columns
        sizes = group["cset_size"][:].astype(np.int64)
        nodes, entries = (np.concatenate([[0], np.cumsum(sizes**k)]) for k in (1, 2))
        mine = sizes[start:stop]
        side = block_side(int(mine.max(initial=0)))
        block = np.zeros((stop - start, side, side), np.uint8)
        for place, n in enumerate(mine):
            matrix = group[columns.adjacency.name][slice(*entries[start + place :][:2])]
            block[place, :n, :n] = matrix.reshape(n, n)
        rows = adjacency_rows(block, mine)
        checks.relations(block, rows, start)
        ptr = bit_offsets(mine)
        bits = np.empty(ptr[-1], np.uint8)
        write_bits(rows, mine, bits)
        return Samples(
            index=np.arange(start, stop),
            sizes=mine,
            edges=BitAdjacency(bits, ptr, count_bits(bits, ptr)),
            node={a.name: group[a.name][nodes[start] : nodes[stop]] for a in columns.node},
            graph={a.name: group[a.name][start:stop] for a in columns.of_graphs},
        )


@pytest.fixture
def path(tmp_path, causal_sets, monkeypatch):
    """A flat store of ``causal_sets``, of a layout that is known."""
    monkeypatch.setattr(registry, "LAYOUTS", (Flat, *registry.LAYOUTS))
    group = zarr.open_group(tmp_path / "flat.zarr", mode="w", attributes={"layout": "flat"})
    arrays = {
        "adjacency_matrix": np.concatenate([r.T.ravel() for r in causal_sets.relations]),
        "cset_size": causal_sets.sizes,
        "max_pathlens_future": np.concatenate(causal_sets.future),
        "max_pathlens_past": np.concatenate(causal_sets.past),
        "cset_type": causal_sets.types,
        "manifold_like": causal_sets.manifold_like,
    }
    for name, values in arrays.items():
        group.create_array(name, data=values)
    return tmp_path / "flat.zarr"


@pytest.mark.parametrize(("start", "stop"), [(0, 7), (2, 5), (3, 3)])
def test_its_samples_are_those_of_other_layouts(path, write_stacked, causal_sets, start, stop):
    flat, stacked = open_store(path), open_store(write_stacked(causal_sets))
    assert (flat.layout, stacked.layout) == ("flat", "stacked")
    reader = CausalSetReader(graph_features="manifold_like", keep="cset_size")
    found, expected = (reader.read(store, start, stop) for store in (flat, stacked))
    np.testing.assert_array_equal(found.sizes, expected.sizes)
    np.testing.assert_array_equal(found.sample_index, expected.sample_index)
    assert type(found.edges) is type(expected.edges)
    for name, values in vars(expected.edges).items():
        np.testing.assert_array_equal(getattr(found.edges, name), values)
    assert found.attributes.keys() == expected.attributes.keys()
    for name, attribute in expected.attributes.items():
        np.testing.assert_array_equal(found.attributes[name].values, attribute.values)
    assert reader.describe(flat) == reader.describe(stacked)


def test_its_relations_are_checked(path):
    zarr.open_group(path, mode="r+")["adjacency_matrix"][25] = 1  # of the second: 0 precedes 0
    with pytest.raises(DataError, match=r"sample 1, array 'adjacency_matrix'.*precedes itself"):
        CausalSetReader().read(open_store(path), 0, 7)


def test_its_columns_are_checked(path):
    with pytest.raises(DataError, match="expected a value for each sample"):
        CausalSetReader(target="max_pathlens_past").columns(open_store(path))


def test_it_is_planned_like_others(path, causal_sets):
    reader = {"type": "!pyobject qgpipe.CausalSetReader"}
    data = {"files": [str(path)], "output": "data", "chunksize": 3, "reader": reader}
    config = {"data": data}
    parts = plan_parts(config)
    assert [(part.layout, part.start, part.stop) for part in parts] == [
        ("flat", 0, 3), ("flat", 3, 6), ("flat", 6, 7)
    ]  # fmt: skip
    kinds, counts = np.unique(causal_sets.types, return_counts=True)
    assert class_counts(config, parts) == dict(zip(kinds, counts, strict=True))
    rooms = {name: file["room"] for name, file in observe(open_store(path))["files"].items()}
    assert rooms["cset_type"] > 0
    assert rooms["max_pathlens_past"] == 0


def test_a_reader_of_ones_own_is_given_it(path, causal_sets):
    group = zarr.open_group(SampleStore(open_store(path)).root)
    assert group["cset_type"][3] == causal_sets.types[3]
    assert group["adjacency_matrix"].shape == (sum(causal_sets.sizes**2),)
