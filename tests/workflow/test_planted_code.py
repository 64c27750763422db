"""Files that would run code when they are unpickled, in every place that is read back.

Each is refused by whatever reads it, and nothing runs: the folder that it would make is not there.
"""

import io
import itertools
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from qgpipe.baselines.compare import compare_run
from qgpipe.cli import main
from qgpipe.config.load import load_config
from qgpipe.config.resolve import resolve_config
from qgpipe.data.preprocessing.part import write_dataset
from qgpipe.data.splits.split_file import write_split
from qgpipe.errors import QgpipeError
from qgpipe.models import load_model
from qgpipe.report.figures.run_figures import plot_run
from qgpipe.report.page.page import write_page
from qgpipe.training.prepare import prepare_data
from qgpipe.training.run import test_run as run_test
from qgpipe.training.run import train_run

pytestmark = pytest.mark.slow

DATA, RUN = Path("results/data"), Path("results/runs/tiny")
DATASET, SPLIT, MODEL = DATA / "dataset.json", DATA / "split.json", RUN / "model.pt"


class Planted:
    """Makes a folder when it is unpickled."""

    def __init__(self, trap):
        self.trap = trap

    def __reduce__(self):
        return os.mkdir, (str(self.trap),)


def saved(write, value):
    buffer = io.BytesIO()
    write(value, buffer)
    return buffer.getvalue()


def as_array(planted):
    return np.array([planted], dtype=object)


FORMS = {
    "text pickle": lambda planted: pickle.dumps(planted, protocol=0),
    "pickle": pickle.dumps,
    "torch archive": lambda planted: saved(torch.save, {"format": 1, "model": planted}),
    "old torch file": lambda planted: saved(
        lambda value, file: torch.save(value, file, _use_new_zipfile_serialization=False),
        {"format": 1, "model": planted},
    ),
    "array": lambda planted: saved(
        lambda value, file: np.save(file, value, allow_pickle=True), as_array(planted)
    ),
    "arrays": lambda planted: saved(
        lambda value, file: np.savez(file, x=value, allow_pickle=True), as_array(planted)
    ),
    "yaml": lambda planted: f"format: !!python/object/apply:os.mkdir ['{planted.trap}']\n".encode(),
}


@pytest.fixture
def here(finished, tmp_path, monkeypatch):
    """A copy of the finished run, which is the working directory, and its configuration."""
    shutil.copytree(finished.folder, tmp_path / "copy", ignore=shutil.ignore_patterns(".snakemake"))
    monkeypatch.chdir(tmp_path / "copy")
    return resolve_config(load_config("run.yaml"))


def gather(config):
    parts = sorted((DATA / "parts").glob("*.safetensors"))
    write_dataset(parts, [], DATASET)


def split(config):
    write_split(config, DATASET, SPLIT)


def train(config):
    train_run(config, DATASET, SPLIT, RUN)


def run_the_test(config):
    run_test(config, DATASET, SPLIT, MODEL, RUN / "test")


def report(config):
    plot_run(RUN, DATASET, SPLIT, RUN / "figures")


def compare(config):
    compare_run(config, Path("results/data/baseline.safetensors"), RUN / "test/baselines.json")


def page(config):
    write_page(RUN, DATASET, SPLIT, RUN / "report.html")


def open_model(config):
    load_model(MODEL)


def read_configuration(config):
    load_config(RUN / "config.yaml")


READERS = {
    "results/data/parts/causets-000000020.safetensors": [gather, split, train, run_the_test],
    "results/data/dataset.json": [split, train, run_the_test, report, page],
    "results/data/split.json": [train, run_the_test, report, page],
    "results/runs/tiny/model.pt": [run_the_test, open_model],
    "results/runs/tiny/config.yaml": [read_configuration],
    "results/runs/tiny/history.csv": [report, page],
    "results/runs/tiny/summary.json": [report, page],
    "results/runs/tiny/test/metrics.json": [report, page],
    "results/runs/tiny/test/baselines.json": [page],
    "results/data/baseline.safetensors": [compare],
}


@pytest.mark.parametrize("place", READERS)
def test_it_is_refused_by_all_that_read_it(here, tmp_path, place):
    file, trap = Path(place), tmp_path / "trap"
    for form, read in itertools.product(FORMS.values(), READERS[place]):
        file.write_bytes(form(Planted(trap)))
        with pytest.raises(QgpipeError) as refused:
            read(here)
        assert file.name in str(refused.value)
        assert not trap.exists()


def test_a_record_is_refused_by_all_that_read_it(here, tmp_path, capsys):
    trap = tmp_path / "trap"
    records = sorted(Path().rglob("*.provenance.json"))
    assert len(records) > 5
    for form in FORMS.values():
        for record in records:
            record.write_bytes(form(Planted(trap)))
        for command in ("trace", str(MODEL)), ("clean", "run.yaml"), ("check", "run.yaml"):
            main(list(command))
        prepare_data(here)  # does anew what it cannot know to be done
        assert not trap.exists()


@pytest.fixture
def checkpoints(here):
    (last,) = Path().glob("results/runs/tiny/checkpoints/*/last.pt")
    return last.parent


NAMES = ["last.pt", "previous.pt", "epoch_0002.pt"]


@pytest.mark.parametrize("form", [form for form in FORMS if "array" not in form])
@pytest.mark.parametrize("newest", NAMES)
def test_no_checkpoint_is_taken_that_holds_code(here, tmp_path, checkpoints, newest, form):
    trap, before = tmp_path / "trap", MODEL.read_bytes()
    for name in NAMES[: NAMES.index(newest)]:
        (checkpoints / name).unlink(missing_ok=True)
    (checkpoints / newest).write_bytes(FORMS[form](Planted(trap)))
    try:
        train(here)
    except QgpipeError as error:
        assert f"{newest} holds code, which is never run; find out where" in str(error)
    else:  # what is no checkpoint at all counts as damaged
        assert form in ("text pickle", "yaml")
        assert (checkpoints / newest).with_suffix(".damaged").exists()
        assert MODEL.read_bytes() == before
    assert not trap.exists()


@pytest.mark.parametrize("form", ["pickle", "torch archive", "old torch file"])
def test_the_best_model_of_a_run_is_refused_if_it_holds_code(checkpoints, tmp_path, form):
    trap = tmp_path / "trap"
    (checkpoints / "best.pt").write_bytes(FORMS[form](Planted(trap)))
    with pytest.raises(QgpipeError, match=r"best\.pt holds code, which is never run"):
        load_model(checkpoints / "best.pt")
    assert not trap.exists()


def test_a_trap_works_where_it_is_unpickled(tmp_path):
    trap = tmp_path / "trap"
    pickle.loads(FORMS["pickle"](Planted(trap)))
    assert trap.is_dir()
