"""A small study on small generated causal sets."""

import copy
from pathlib import Path

import pytest
import torch

from qgpipe import paths
from qgpipe.config import load_config
from qgpipe.sweeps.expansion import expand_runs
from qgpipe.training.prepare import prepare_data
from qgpipe.tuning.trials import run_trials

ROOT = Path(__file__).parents[2]
WIDTH = "model.encoder_kwargs.layers[0][1][1]"
NEXT = "model.encoder_kwargs.layers[2][1][0]"


def tuned() -> dict:
    """The default run with few causal sets, two epochs and a study of four trials."""
    config = load_config(ROOT / "config" / "run.yaml")
    config["name"] = "tiny"
    del config["evaluate"]
    config["baseline"] = False
    config["generate"].update(num_samples=60, size=[8, 12])
    config["data"].update(chunksize=60, n_processes=1, split=[0.8, 0.1, 0.1], seed=None)
    config["training"].update(num_epochs=2, batch_size=16, device="cpu", checkpoint_at=None)
    config["tune"] = {
        "trials": 4,
        "seed": 3,
        "sampler_kwargs": {"n_startup_trials": 2},
        "parameters": {
            "training.optimizer_kwargs.lr": {"low": "1e-4", "high": "1e-1", "log": True},
            "training.batch_size": {"choices": [8, 16]},
            WIDTH: {"low": 8, "high": 32, "step": 8, "also": [NEXT]},
        },
    }
    return config


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Such small batches take no less time on several, and much more if these are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """``dataset.json`` and ``split.json`` of the data of that run, by absolute paths."""
    config = tuned()
    config["data"]["output"] = str(tmp_path_factory.mktemp("data"))
    del config["tune"]
    return prepare_data(expand_runs(config)[0].config)


@pytest.fixture
def raw():
    """The configuration, to be changed."""
    return copy.deepcopy(tuned())


@pytest.fixture
def run(prepared, tmp_path):
    """Train the trials of a configuration; returns the folder of all studies."""

    def trials(raw, folder="studies"):
        (one,) = expand_runs(raw)
        output = tmp_path / folder / "job.json"
        run_trials(raw, one.config, *prepared, tmp_path / folder, output)
        return tmp_path / folder

    return trials


@pytest.fixture(scope="session")
def whole(prepared, tmp_path_factory):
    """The folder of that study, finished. Tests must leave it as it is."""
    folder, raw = tmp_path_factory.mktemp("whole") / "studies", tuned()
    run_trials(raw, expand_runs(raw)[0].config, *prepared, folder, folder / "job.json")
    return folder


@pytest.fixture
def open_study():
    """The only study in a folder, as its jobs see it."""
    from qgpipe.tuning.study import Study

    def opened(raw, folder):
        (file,) = folder.glob("*/study.db")
        assert paths.study_database(file.parent) == file
        return Study(raw, expand_runs(raw)[0].config, file.parent)

    return opened
