"""Files that the first version wrote load, test and predict as they did then.

``written_before`` holds what its workflow left of ``run.yaml``: parts, ``dataset.json``,
``split.json``, and of the run ``model.pt``, the checkpoint of its second epoch of four, results,
predictions and the exported model.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qgpipe import PackedDataset, Trainer
from qgpipe.causets.writers.generate import generate_store
from qgpipe.cli import main
from qgpipe.config import load_config, resolve_config
from qgpipe.config.objects import import_object
from qgpipe.models import load_model
from qgpipe.training.loaders import open_loaders
from qgpipe.training.run import test_run as run_test

BEFORE = Path(__file__).parent / "written_before"
NAMES = """
qgpipe CausalSetReader DefaultEarlyStopping Evaluator GNNBlock GNNModel GPSTransformer GraphLoader
    LinearSequential PackedDataset Sequential SkipConnection Tester Trainer Validator
qgpipe.config Run expand_runs load_config resolve_config
qgpipe.config.dump to_yaml
qgpipe.errors ConfigError DataError QgpipeError TrainingError
qgpipe.models GNNBlock GNNModel GPSTransformer LinearSequential Sequential SkipConnection
    build_model call_model check_model example_batch load_model read_model_file save_model summarise
qgpipe.data.reader CausalSetReader
qgpipe.models.gnn_block GNNBlock
qgpipe.models.gps_transformer GPSTransformer
qgpipe.models.linear_sequential LinearSequential
qgpipe.models.sequential Sequential
qgpipe.models.skip_connection SkipConnection
qgpipe.causets.lattices grid
qgpipe.causets.layered kr layered
qgpipe.causets.perturbed destroyed merged
qgpipe.causets.random_orders random_order
qgpipe.causets.sprinklings minkowski polynomial
qgpipe.causets.topology complex_topology
qgpipe.training.early_stopping DefaultEarlyStopping
qgpipe.training.evaluator Evaluator Tester Validator
qgpipe.training.losses cross_entropy mean_squared_error
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The configuration of then, in a folder with its data and its run."""
    shutil.copytree(BEFORE / "data", tmp_path / "results/data")
    shutil.copytree(BEFORE / "run", tmp_path / "results/runs/small")
    shutil.copy(BEFORE / "run.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return resolve_config(load_config("run.yaml"))


def data():
    return Path("results/data/dataset.json"), Path("results/data/split.json")


def test_the_configuration_means_what_it_meant(config):
    saved = load_config("results/runs/small/config.yaml")
    now = resolve_config(load_config("results/runs/small/config.yaml"))
    assert {key: now[key] for key in saved} == {key: config[key] for key in saved}


def test_generated_stores_and_parts_are_the_same(config, tmp_path):
    from qgpipe.training.prepare import prepare_data

    before = PackedDataset(Path("results/data/dataset.json"))
    now = Trainer.from_config({**load_config("run.yaml"), "name": "anew", "data": {
        **load_config("run.yaml")["data"], "output": "anew"}})  # fmt: skip
    after = PackedDataset(prepare_data(now.config)[0])
    everything = np.arange(36)
    a, b = before.batch(everything), after.batch(everything)
    assert a.keys() == b.keys()
    for key in a.keys():  # noqa: SIM118, not a mapping
        assert np.array_equal(a[key], b[key], equal_nan=True), key
    assert json.loads(Path("anew/split.json").read_text()) == json.loads(data()[1].read_text())


@pytest.mark.parametrize("file", ["model.pt", "export/model.json"])
def test_models_give_the_same(config, file):
    before = pd.read_csv("results/runs/small/predict/causets.csv")
    batch = PackedDataset(data()[0]).batch(np.arange(36))
    outputs = load_model(f"results/runs/small/{file}").eval()(
        batch.x, batch.edge_index, batch.batch, batch.graph_features
    )[0]
    columns = [c for c in before.columns if c.startswith("output")]
    assert len(columns) == 3
    assert np.allclose(outputs.detach().numpy(), before[columns], atol=1e-6)


def test_the_test_of_a_model_gives_the_same(config):
    run_test(config, *data(), Path("results/runs/small/model.pt"), Path("again"))
    for name in ("metrics.json", "predictions.csv"):
        before, after = BEFORE / "run/test" / name, Path("again") / name
        if name.endswith("json"):
            assert json.loads(after.read_text()) == json.loads(before.read_text())
        else:
            pd.testing.assert_frame_equal(pd.read_csv(after), pd.read_csv(before))


def test_predict_gives_the_same(config, capsys):
    store = "results/data/raw/causets.zarr"
    generate_store(config["generate"], "causets", store)
    code = main(["predict", "results/runs/small", store, "--output", "new", "--embeddings"])
    assert code == 0, capsys.readouterr().err
    before = pd.read_csv(BEFORE / "run/predict/causets.csv")
    after = pd.read_csv(*Path("new").glob("*.csv"))
    pd.testing.assert_frame_equal(after[before.columns], before)


def test_a_training_goes_on_as_it_went_on(config):
    trainer = Trainer(config)
    train, validation, _ = open_loaders(config, *data())
    trainer.run_training(train, validation)
    before = pd.read_csv(BEFORE / "run/history.csv")
    after = pd.DataFrame(trainer.history.rows)
    same = [c for c in before.columns if c not in ("seconds", "graphs_per_second")]
    pd.testing.assert_frame_equal(after[same], before[same], check_dtype=False)
    assert len(after) == 4 and (after["seconds"][:2] == before["seconds"][:2]).all()


@pytest.mark.parametrize("line", NAMES.strip().replace("\n    ", " ").splitlines())
def test_public_names_are_where_they_were(line):
    module, *names = line.split()
    for name in names:
        assert callable(import_object(f"{module}.{name}"))
