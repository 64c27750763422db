from __future__ import annotations

import json
import shutil

import networkx as nx
import numpy as np
import pytest
import zarr

from qgpipe.causets.features import compute
from qgpipe.causets.order import transitive_closure
from qgpipe.causets.orders import Orders
from qgpipe.causets.writers.generate import generate_store
from qgpipe.causets.writers.samples import ABUNDANCES, GRAPH_ARRAYS, NODE_ARRAYS
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw.bad_samples import BadSamples
from qgpipe.data.readers import computed_features
from qgpipe.data.readers.reader import CausalSetReader
from qgpipe.data.storage.manifest import write_dataset
from qgpipe.data.storage.part_file import write_part
from qgpipe.errors import DataError

CLASSES = ["polynomial", "destroyed", "merged", "kr"]
SECTION = {"seed": 3, "num_samples": 30, "size": [1, 70], "classes": CLASSES}
FEATURES = {"node_features": [*NODE_ARRAYS], "graph_features": [*GRAPH_ARRAYS, ABUNDANCES]}


def read(path, bad=None, threads=1, validate=True, **names):
    store = open_store(path)
    reader = CausalSetReader(**{"target": [], **names})
    bad = BadSamples(store, skip=True) if bad is None else bad
    return reader.read(store, 0, store.num_samples, threads=threads, validate=validate, bad=bad)


def without(path, names):
    for name in names:
        for folder in (path / name, *path.glob(f"cset_*/{name}")):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("layout", ["stacked", "groups"])
@pytest.mark.parametrize("entries", [1, 1 << 14, 1 << 20])
def test_they_are_those_that_a_generated_store_holds(tmp_path, layout, entries, monkeypatch):
    monkeypatch.setattr(computed_features, "BLOCK_ENTRIES", entries)
    path = tmp_path / "a.zarr"
    generate_store({**SECTION, "layout": layout}, "a", path)
    expected = read(path, **FEATURES)
    without(path, [*NODE_ARRAYS, *GRAPH_ARRAYS, ABUNDANCES])
    assert not set(NODE_ARRAYS) & set(open_store(path).arrays)
    for threads in (1, 3):
        found = read(path, threads=threads, **FEATURES)
        for name, attribute in expected.attributes.items():
            np.testing.assert_array_equal(found.attributes[name].values, attribute.values)


def test_read_and_computed_columns_keep_their_order(tmp_path):
    path = tmp_path / "a.zarr"
    generate_store({**SECTION, "layout": "stacked"}, "a", path)
    zarr.open_group(path)["in_degree"][...] = 7.0
    reader = CausalSetReader(
        node_features=["out_degree", "in_degree_normalized", "in_degree"],
        graph_features=["interval_abundances_2_normalized", "link_fraction"],
        target="cset_type",
    )
    without(path, ["out_degree"])
    store = open_store(path)
    described = reader.describe(store)
    assert described["node_features"] == ["out_degree", "in_degree_normalized", "in_degree"]
    columns = [f"interval_abundances_2_normalized[{i}]" for i in (0, 1)]
    assert described["graph_features"] == [*columns, "link_fraction"]
    assert described["computed"] == [
        "out_degree", "in_degree_normalized", "interval_abundances_2_normalized",
    ]  # fmt: skip
    packed = reader.read(store, 0, 30)
    x = packed.attributes["x"].values
    assert (x[:, 2] == 7).all()
    np.testing.assert_allclose(
        x[:, 1], np.repeat(1 / np.maximum(packed.sizes - 1, 1), packed.sizes) * x_in(packed)
    )
    assert packed.attributes["graph_features"].values.shape == (30, 3)


def x_in(packed) -> np.ndarray:
    """Elements in the past, counted from the edges."""
    from qgpipe.data.graphs.adjacency import edge_index

    _, target = edge_index(packed.edges, packed.sizes)
    return np.bincount(target, minlength=packed.sizes.sum())


def test_labels_in_any_order_give_the_same(write_stacked, causal_sets, monkeypatch):
    """``causal_sets`` are labelled at random, and here closed."""
    monkeypatch.setattr(
        causal_sets, "relations", [closed(relations) for relations in causal_sets.relations]
    )
    path = write_stacked(causal_sets)
    packed = read(path, node_features=["max_pathlens_past", "height_rank"])
    x = packed.attributes["x"].values
    for k, relations in enumerate(causal_sets.relations):
        nodes = slice(*packed.node_ptr[k : k + 2])
        expected = compute("height_rank", Orders.of(relations))[0]
        np.testing.assert_array_equal(x[nodes, 1], expected)
        graph = nx.from_numpy_array(relations.astype(int), create_using=nx.DiGraph)
        longest = nx.dag_longest_path_length(graph)
        heights = [max(map(len, longest_to(graph, i))) - 1 for i in graph]
        np.testing.assert_array_equal(
            compute("max_pathlens_past", Orders.of(relations))[0], heights
        )
        assert max(heights) == longest


def closed(relations: np.ndarray) -> np.ndarray:
    graph = nx.from_numpy_array(relations.astype(int), create_using=nx.DiGraph)
    return nx.to_numpy_array(nx.transitive_closure_dag(graph)).astype(bool)


def longest_to(graph: nx.DiGraph, node: int) -> list[list[int]]:
    past = graph.subgraph([node, *nx.ancestors(graph, node)])
    return [nx.dag_longest_path(past)]


def test_relations_that_are_not_transitive_are_bad(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    store = open_store(path)
    with pytest.raises(DataError, match=r"sample \d+.*this is no partial order: element \d+ prec"):
        read(path, bad=BadSamples(store), node_features=["in_degree"])
    bad = BadSamples(store, skip=True)
    packed = read(path, bad=bad, node_features=["in_degree"])
    assert packed.num_graphs == len(causal_sets) - len(bad.reasons)
    intransitive = [not (transitive(relations)) for relations in causal_sets.relations]
    assert sorted(bad.reasons) == np.flatnonzero(intransitive).tolist()
    assert read(path, node_features=["in_degree"], validate=False).num_graphs == len(causal_sets)


def transitive(relations: np.ndarray) -> bool:
    order = np.argsort(relations.sum(axis=0), kind="stable")
    natural = relations[np.ix_(order, order)]
    if np.tril(natural).any():  # not even sorted by the number of elements before: a gap
        return False
    return bool((transitive_closure(natural) == natural).all())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"node_features": ["in_degre"]}, "there is no array 'in_degre'; did you mean 'in_degree'"),
        (
            {"node_features": ["ordering_fraction"]},
            "'ordering_fraction' has one value for each ca",
        ),
        ({"graph_features": ["in_degree"]}, "'in_degree' has one value for each element; name it "),
    ],
)
def test_a_name_that_is_neither_is_an_error(write_stacked, causal_sets, names, said):
    with pytest.raises(DataError, match=said):
        read(write_stacked(causal_sets), **{"node_features": [], **names})


def test_the_dataset_says_what_was_computed(tmp_path):
    parts, stores = [], []
    for name in ("full", "bare"):
        path = tmp_path / f"{name}.zarr"
        generate_store({**SECTION, "layout": "stacked"}, name, path)
        if name == "bare":
            without(path, ["in_degree"])
        store = open_store(path)
        reader = CausalSetReader(node_features=["in_degree"], target="cset_type")
        info = {
            "store": name, "start": 0, "stop": 30, "num_filtered": 0, "num_skipped": 0,
            "skipped": [], **reader.describe(store),
        }  # fmt: skip
        part = tmp_path / f"{name}.safetensors"
        written = write_part(part, reader.read(store, 0, 30), info)
        assert ("computed" in written) == (name == "bare")
        parts.append(part)
        stores.append(
            {"name": name, "path": path, "layout": "stacked", "num_samples": 30, "role": "all"}
        )
    write_dataset(parts, stores, tmp_path / "dataset.json")
    full, bare = json.loads((tmp_path / "dataset.json").read_text())["stores"]
    assert "computed" not in full
    assert bare["computed"] == ["in_degree"]
