from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qgpipe.config import resolve_config
from qgpipe.data.preprocessing.plan import plan_parts
from qgpipe.errors import ConfigError, DataError
from qgpipe.training.prepare import prepare_data

BUILT_IN = {"type": "!pyobject qgpipe.CausalSetReader"}


def config(*files, chunksize=3, reader=BUILT_IN, **sections):
    data = {
        "files": [str(f) for f in files],
        "output": "results/data",
        "chunksize": chunksize,
        "reader": reader,
    }
    return {"data": data, **sections}


def test_a_store_is_cut_into_parts_of_chunksize(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    parts = plan_parts(config(path))
    assert [(p.name, p.start, p.stop) for p in parts] == [
        ("stacked-000000000", 0, 3),
        ("stacked-000000003", 3, 6),
        ("stacked-000000006", 6, 7),
    ]
    assert {(p.store, p.path, p.layout, p.num_samples, p.role, p.generated) for p in parts} == {
        ("stacked", path, "stacked", 7, "all", False)
    }


def test_stores_follow_each_other_in_the_order_given(write_stacked, write_groups, causal_sets):
    first, second = write_groups(causal_sets), write_stacked(causal_sets)
    parts = plan_parts(config(first, second, chunksize=100))
    assert [(p.store, p.layout, p.stop) for p in parts] == [
        ("groups", "groups", 7),
        ("stacked", "stacked", 7),
    ]


def test_stores_of_one_name_are_told_apart(write_stacked, causal_sets):
    paths = [write_stacked(causal_sets, name=n) for n in ("x/a.zarr", "y/a.zarr", "a-2.zarr")]
    parts = plan_parts(config(*paths, chunksize=100))
    assert [p.store for p in parts] == ["a", "a-2", "a-2-2"]


def test_store_names_are_safe_file_names(write_stacked, causal_sets):
    path = write_stacked(causal_sets, name=".my data (new).zarr")
    assert plan_parts(config(path, chunksize=100))[0].store == "my-data-new"


def test_generated_stores_come_first_and_need_not_exist(write_stacked, causal_sets):
    generate = {"stores": ["one", "two"], "num_samples": 5, "layout": "groups", "size": [8, 16]}
    parts = plan_parts(config(write_stacked(causal_sets), chunksize=4, generate=generate))
    assert [(p.name, p.stop, p.generated) for p in parts] == [
        ("one-000000000", 4, True),
        ("one-000000004", 5, True),
        ("two-000000000", 4, True),
        ("two-000000004", 5, True),
        ("stacked-000000000", 4, False),
        ("stacked-000000004", 7, False),
    ]
    assert str(parts[0].path) == "results/data/raw/one.zarr"
    assert parts[0].source == ""


def test_stages_with_data_of_their_own_have_a_role(write_stacked, causal_sets):
    top, own = write_stacked(causal_sets), write_stacked(causal_sets, name="own.zarr")
    testing = {"data": {"files": [str(own)], "chunksize": 7}}
    parts = plan_parts(config(top, chunksize=4, testing=testing))
    assert [(p.name, p.role) for p in parts] == [
        ("stacked-000000000", "all"),
        ("stacked-000000004", "all"),
        ("own-000000000", "test"),
    ]


def test_the_entry_of_a_store_is_described(write_stacked, causal_sets):
    path = write_stacked(causal_sets)
    assert plan_parts(config(path))[0].describe_store() == {
        "name": "stacked",
        "path": str(path),
        "layout": "stacked",
        "num_samples": 7,
        "role": "all",
    }


def test_parts_of_one_store_share_its_identity(write_stacked, write_groups, causal_sets):
    files = [write_stacked(causal_sets), write_groups(causal_sets)]
    sources = {p.store: p.source for p in plan_parts(config(*files))}
    parts = plan_parts(config(*files))
    assert len(parts) == 6
    assert {(p.store, p.source) for p in parts} == set(sources.items())
    assert len(set(sources.values())) == 2


def test_a_gap_in_the_numbers_of_groups_shows_in_the_parts_behind_it(write_groups, causal_sets):
    path = write_groups(causal_sets)
    before = [p.source for p in plan_parts(config(path))]
    shutil.move(path / "cset_4", path / "cset_8")
    after = [p.source for p in plan_parts(config(path))]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, False]


@pytest.fixture
def made(write_groups, causal_sets, tmp_path, monkeypatch):
    """The configuration of parts that have been made from groups with a gap in their numbers."""
    path = write_groups(causal_sets)
    shutil.move(path / "cset_4", path / "cset_8")
    monkeypatch.chdir(tmp_path)
    raw = config(path.absolute())
    raw["data"]["split"] = [0.5, 0.25, 0.25]
    raw |= {
        "model": {"type": "torch.nn.Identity"},
        "criterion": "torch.nn.MSELoss",
        "training": {"seed": 0, "num_epochs": 1, "batch_size": 1},
    }
    resolved = resolve_config(raw)
    before = plan_parts(resolved)
    prepare_data(resolved)
    return resolved, before


def test_a_plan_stays_as_it_is_when_its_parts_are_made(made):
    resolved, before = made
    assert plan_parts(resolved) == before


@pytest.mark.parametrize(
    "content",
    [
        "{", "[]", "3", '{"store": null}', '{"store": 3}', '{"store": {"identity": "a"}}',
        '{"store": {"identity": "a", "num_samples": 7, "metadata": "b", "files": {"x": 3}}}',
    ],
)  # fmt: skip
def test_damaged_records_of_parts_change_nothing(made, content):
    resolved, before = made
    for record in Path("results/data/parts").glob("*.provenance.json"):
        record.write_text(content)
    assert plan_parts(resolved) == before


def test_no_files_and_nothing_to_generate_is_an_error():
    with pytest.raises(ConfigError, match=r"data\.files: no data; name zarr stores, or give a"):
        plan_parts(config())


def test_a_missing_store_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such store"):
        plan_parts(config(tmp_path / "a.zarr"))


@pytest.mark.parametrize(
    "reader",
    [
        {"type": "qgpipe.CausalSetReader", "kwargs": {"target": "cset_tipe"}},
        ["!pyobject QuantumGrav.CausalSetReader", [], {"target": "cset_tipe"}],
        ["qgpipe.CausalSetReader", [None, None, "cset_tipe"]],
    ],
)
def test_a_misspelt_array_is_found_while_planning(write_stacked, causal_sets, reader):
    path = write_stacked(causal_sets)
    with pytest.raises(DataError, match=r"no array 'cset_tipe'; did you mean 'cset_type'\?"):
        plan_parts(config(path, reader=reader))


def test_an_unknown_argument_of_the_reader_is_an_error(write_stacked, causal_sets):
    reader = {"type": "qgpipe.CausalSetReader", "kwargs": {"features": []}}
    with pytest.raises(ConfigError, match=r"reader\.kwargs\.features: CausalSetReader takes no"):
        plan_parts(config(write_stacked(causal_sets), reader=reader))


def test_the_arrays_of_a_readers_own_are_not_judged(write_stacked, causal_sets):
    path = write_stacked(causal_sets, changes={"cset_type": None, "manifold_like": None})
    assert len(plan_parts(config(path, reader="!pyobject mymodule.reader"))) == 3


def test_planning_imports_no_array_library(write_stacked, write_groups, causal_sets):
    files = [str(write_stacked(causal_sets)), str(write_groups(causal_sets))]
    program = (
        "import sys; from qgpipe.data.preprocessing.plan import plan_parts;"
        f"plan_parts({config(*files)!r});"
        "print(sorted({'numpy', 'torch', 'zarr', 'tensorstore'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
