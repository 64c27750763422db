"""Runs with code of the user's: trained here, and from elsewhere."""

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from qgpipe.cli import main
from qgpipe.config.trust import UntrustedName
from qgpipe.models import load_model

pytestmark = pytest.mark.slow

RUN = Path("results/runs/tiny")
MODULE = """
import pathlib, torch
from torch_geometric.data import Data
from torch_geometric.nn import global_mean_pool

with (pathlib.Path(__file__).parent / "imported").open("a") as file:
    print("imported", file=file)


def reader(store, idx, float_dtype, int_dtype, validate):
    n = int(store["cset_size"][idx])
    relations = torch.from_numpy(store["adjacency_matrix"][idx].T[:n, :n])
    return Data(
        x=torch.stack([relations.sum(0), relations.sum(1)], dim=1).to(float_dtype),
        edge_index=relations.nonzero().T,
        y=torch.tensor(int(store["cset_type"][idx]), dtype=int_dtype),
    )


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 3)

    def forward(self, x, edge_index, batch=None):
        return {0: global_mean_pool(self.linear(x), batch)}
"""


@pytest.fixture(scope="module")
def own(new_project, tmp_path_factory):
    """A folder in which a run with a reader and a model of the user's has been tested."""
    made = new_project(tmp_path_factory.mktemp("own"))
    (made.folder / "ownmodule.py").write_text(MODULE)
    made.config["data"].update(reader="!pyobject ownmodule.reader", standardize=[])
    made.config["model"] = {"type": "!pyobject ownmodule.Net"}
    made.save()
    result = made.snakemake("test")
    assert result.returncode == 0, result.stdout + result.stderr
    return made


@pytest.fixture
def here(own, monkeypatch):
    monkeypatch.chdir(own.folder)
    (own.folder / "imported").unlink(missing_ok=True)
    return own.folder


@pytest.fixture
def foreign(own, tmp_path, monkeypatch):
    """A copy of the folder, as someone might send it."""
    folder = shutil.copytree(own.folder, tmp_path / "theirs")
    (folder / "imported").unlink(missing_ok=True)
    sys.modules.pop("ownmodule", None)
    monkeypatch.chdir(tmp_path)
    return folder


def commands(run, store, out):
    yield ["predict", str(run), str(store), "--output", str(out)]
    yield ["export", str(run), "--output", str(out / "export")]


def test_a_run_that_was_trained_here_may_name_what_it_likes(here, tmp_path, capsys):
    for command in commands(RUN, "results/data/raw/causets.zarr", tmp_path):
        assert main(command) == 0, capsys.readouterr().err
    assert "imports" not in capsys.readouterr().err
    assert len(pd.read_csv(tmp_path / "causets.csv")) == 60
    assert isinstance(load_model(RUN / "model.pt"), torch.nn.Module)
    assert isinstance(load_model(tmp_path / "export" / "model.json"), torch.nn.Module)
    moved = shutil.copytree(tmp_path / "export", tmp_path / "moved")
    with pytest.raises(UntrustedName):
        load_model(moved / "model.json")


def test_a_run_from_elsewhere_imports_nothing(foreign, tmp_path, capsys):
    store = foreign / "results/data/raw/causets.zarr"
    for command in commands(foreign / RUN, store, tmp_path / "out"):
        assert main(command) == 1
        said = capsys.readouterr().err
        assert "was not made here, and would import ownmodule." in said
        assert said.count("\n") == 1
    with pytest.raises(UntrustedName, match=r"would import ownmodule\.Net"):
        load_model(foreign / RUN / "model.pt")
    assert not (foreign / "imported").exists()
    assert not (tmp_path / "out").exists()


def test_a_run_from_elsewhere_that_is_trusted_prints_what_it_imports(
    foreign, tmp_path, capsys, caplog
):
    store = foreign / "results/data/raw/causets.zarr"
    for command in commands(foreign / RUN, store, tmp_path / "out"):
        assert main([*command, "--trust"]) == 0, capsys.readouterr().err
    assert caplog.messages[0] == f"{foreign / RUN} imports ownmodule.Net, ownmodule.reader"
    assert (foreign / "imported").exists()
    (table,) = (tmp_path / "out").glob("*.csv")
    assert len(pd.read_csv(table)) == 60


def test_a_model_that_was_exchanged_is_not_built(here, own, tmp_path, capsys):
    kept = (RUN / "model.pt").read_bytes()
    content = torch.load(RUN / "model.pt", weights_only=True)
    content["model"] = {"type": "!pyobject os.mkdir", "args": ["trap"]}
    torch.save(content, RUN / "model.pt")
    try:
        command, _ = commands(RUN, "results/data/raw/causets.zarr", tmp_path)
        assert main(command) == 1
        assert "was not made here, and would import ownmodule" in capsys.readouterr().err
        result = own.snakemake("test", "--forcerun", "test_run")
        assert result.returncode == 1
        assert "would import os.mkdir" in result.stdout + result.stderr
    finally:
        (RUN / "model.pt").write_bytes(kept)
    assert not (here / "trap").exists()


@pytest.mark.parametrize("key", ["reader", "pre_filter", "pre_transform", "transform"])
@pytest.mark.parametrize("value", ["planted.f", "planted", {"type": "planted.f"}, ["planted.f"]])
def test_what_a_foreign_configuration_names_is_not_imported(finished, tmp_path, capsys, key, value):
    run = shutil.copytree(finished.folder / RUN, tmp_path / "theirs")
    (run / "planted.py").write_text("import os; os.mkdir('trap')\ndef f(*a, **k): pass\n")
    text = (run / "config.yaml").read_text().splitlines()
    start = next(i for i, line in enumerate(text) if line.startswith(f"  {key}:"))
    end = next(i for i, line in enumerate(text[start + 1 :], start + 1) if line[:4].strip())
    text[start:end] = [f"  {key}: {json.dumps(value)}"]
    (run / "config.yaml").write_text("\n".join(text))
    store = finished.folder / "results/data/raw/causets.zarr"
    assert main(["predict", str(run), str(store), "--output", str(tmp_path / "out")]) == 1
    assert "was not made here, and would import planted" in capsys.readouterr().err
    assert not Path("trap").exists()
    assert not (tmp_path / "out").exists()
