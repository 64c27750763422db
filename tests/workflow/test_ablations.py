"""A finished run with its ablations, and one of these by hand."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch

from qgpipe import Trainer
from qgpipe.cli import main
from qgpipe.config import load_config
from qgpipe.models import read_model_file
from qgpipe.provenance.record import find_record

pytestmark = pytest.mark.slow

RUNS = "results/runs"
KINDS = ["no_edges", "no_graph_features"]
CUT = """
def cut(graph):
    graph.edge_index = graph.edge_index[:, :0]
    return graph
"""


@pytest.fixture(scope="module")
def ablated(finished, tmp_path_factory):
    """A copy of the finished run with two ablations."""
    folder = tmp_path_factory.mktemp("ablated") / "copy"
    made = replace(finished, folder=shutil.copytree(finished.folder, folder, symlinks=True))
    made.config = {**made.config, "report": {"ablations": KINDS}}
    made.save()
    assert made.rules_to_run() == {
        "train_run": 2, "test_run": 2, "ablate_run": 1, "plot_run": 1, "report_run": 1
    }  # fmt: skip
    result = made.snakemake()
    assert result.returncode == 0, result.stdout + result.stderr
    return made


def test_the_model_stands_beside_its_ablations(ablated):
    run = ablated.folder / RUNS / "tiny"
    content = json.loads((run / "ablations.json").read_text())
    assert content["runs"] == {kind: f"tiny-{kind}" for kind in KINDS}
    [target] = content["targets"]
    assert list(target["ablations"]) == KINDS
    for kind, name in {"model": "tiny", **content["runs"]}.items():
        tested = json.loads((ablated.folder / RUNS / name / "test/metrics.json").read_text())
        assert content["loss"][kind] == tested["loss"]["loss_avg"]
        score = target["model"] if kind == "model" else target["ablations"][kind]
        assert score["value"] == pytest.approx(tested["metrics"]["accuracy"])
    assert find_record(run / "ablations.json").content["stage"] == "ablate"
    assert (run / "figures/ablations.svg").stat().st_size > 0
    assert 'id="figure-ablations"' in (run / "report.html").read_text()


def test_nothing_is_left_to_do_and_another_ablation_trains_one_more(ablated):
    assert ablated.rules_to_run() == {}
    assert ablated.rules_to_run("ablate") == {}
    ablated.config["report"]["ablations"] = [*KINDS, "reversed_edges"]
    ablated.save("more.yaml")
    ablated.config["report"]["ablations"] = KINDS
    assert ablated.rules_to_run("ablate", config="more.yaml") == {
        "train_run": 1, "test_run": 1, "ablate_run": 1
    }  # fmt: skip


def test_the_ablation_of_an_ensemble_is_an_ensemble(finished, tmp_path):
    made = replace(finished, folder=shutil.copytree(finished.folder, tmp_path / "copy"))
    made.config = {**made.config, "ensemble": 2, "report": {"ablations": ["no_edges"]}}
    made.save()
    jobs = made.rules_to_run("ablate")
    assert jobs == {"train_run": 4, "ensemble_run": 2, "test_run": 2, "ablate_run": 1}


def test_show_and_trace_know_of_them(ablated, monkeypatch, capsys):
    monkeypatch.chdir(ablated.folder)
    main(["show", "run.yaml"])
    said = capsys.readouterr().out
    assert "without edges" in said
    assert "without features of causal sets" in said
    assert main(["trace", f"{RUNS}/tiny-no_edges"]) == 0, capsys.readouterr().out
    assert main(["trace", f"{RUNS}/tiny"]) == 0
    assert main(["show", f"{RUNS}/tiny-no_edges"]) == 0


def test_clean_leaves_them_alone(ablated, monkeypatch, capsys):
    monkeypatch.chdir(ablated.folder)
    assert main(["clean", "run.yaml"]) == 0
    assert "tiny-" not in capsys.readouterr().out


@pytest.fixture
def one_thread():
    """As many as the jobs have; another number rounds differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_a_model_without_edges_is_that_of_a_training_on_graphs_without_edges(
    ablated, user_folder, tmp_path, monkeypatch
):
    """Bit for bit; and so are its answers."""
    (user_folder / "cutting.py").write_text(CUT)
    config = load_config(ablated.folder / "run.yaml")
    del config["report"]
    config["name"] = "by_hand"
    config["data"] |= {"pre_transform": "!pyobject cutting.cut", "output": str(tmp_path / "data")}
    config["training"]["path"] = str(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    trainer = Trainer.from_config(config)
    train, validation, test = trainer.prepare_dataloaders()
    assert next(iter(train)).edge_index.shape == (2, 0)
    trainer.run_training(train, validation)
    results = trainer.run_test(test)
    folder = ablated.folder / RUNS / "tiny-no_edges"
    weights = read_model_file(folder / "model.pt")["state_dict"]
    assert weights.pop("ablation.no_edges") == 1
    expected = trainer.best_model().state_dict()
    assert set(weights) == set(expected)
    for name, value in weights.items():
        assert torch.equal(value, expected[name]), name
    tested = json.loads((folder / "test/metrics.json").read_text())
    assert tested["loss"]["loss_avg"] == results["loss_avg"].iloc[-1]
    table = pd.read_csv(folder / "test/predictions.csv").filter(regex="^output_")
    outputs = trainer.tester.collected.heads[0].numpy()
    assert (table.to_numpy("float32") == outputs).all()


def test_the_model_of_an_ablation_is_applied_to_a_store_as_it_was_tested(
    ablated, monkeypatch, capsys
):
    monkeypatch.chdir(ablated.folder)
    store = "results/data/raw/causets.zarr"
    assert main(["predict", f"{RUNS}/tiny-no_edges", store, "--output", "found"]) == 0
    tested = pd.read_csv(f"{RUNS}/tiny-no_edges/test/predictions.csv").set_index("id")
    found = pd.read_csv("found/causets.csv").set_index("id").loc[tested.index]
    columns = [name for name in tested if name.startswith("output_")]
    assert found[columns].to_numpy() == pytest.approx(tested[columns].to_numpy(), abs=1e-5)
