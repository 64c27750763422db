"""On a full disk every stage says so in a line, and leaves what was there as it was."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from qgpipe.causets.writers.generate import generate_store
from qgpipe.config.resolve import resolve_config
from qgpipe.data.preprocessing.part import preprocess_part, write_dataset
from qgpipe.data.splits.split_file import write_split
from qgpipe.errors import DiskFullError
from qgpipe.report.figures.run_figures import plot_run
from qgpipe.report.page.page import write_page
from qgpipe.system.files import read_json, write_json
from qgpipe.training.run import test_run as run_test
from qgpipe.training.run import train_run

pytestmark = pytest.mark.slow

DATA, RUN, PART = Path("results/data"), Path("results/runs/tiny"), "causets-000000000.safetensors"
SPLIT = DATA / "split.json"
REMEDY = "make room and start the same command again, or write to another disk"


class Finished:
    """What the stages read: the files of a finished run."""

    def __init__(self, project):
        self.config = resolve_config(project.config)
        data, self.run = project.folder / DATA, project.folder / RUN
        self.store, self.part = data / "raw" / "causets.zarr", data / "parts" / PART
        self.dataset, self.split = data / "dataset.json", data / "split.json"
        self.model = self.run / "model.pt"


def make_store(of, folder):
    generate_store(of.config["generate"], "causets", folder / "causets.zarr")


def make_part(of, folder):
    preprocess_part(of.config, of.store, "causets", 0, 20, folder / PART)


def make_dataset(of, folder):
    stores = read_json(of.dataset)["stores"]
    write_dataset(sorted(of.part.parent.glob("*.safetensors")), stores, folder / "dataset.json")


def make_split(of, folder):
    write_split(of.config, of.dataset, folder / "split.json")


def make_model(of, folder):
    train_run(of.config, of.dataset, of.split, folder)


def make_test(of, folder):
    run_test(of.config, of.dataset, of.split, of.model, folder)


def make_figures(of, folder):
    plot_run(of.run, of.dataset, of.split, folder)


def make_page(of, folder):
    write_page(of.run, of.dataset, of.split, folder / "report.html")


def make_record(of, folder):
    write_json(folder / "split.json.provenance.json", read_json(of.split))


STAGES = {
    "generate": make_store,
    "preprocess": make_part,
    "gather": make_dataset,
    "split": make_split,
    "train": make_model,
    "test": make_test,
    "report": make_figures,
    "page": make_page,
    "record": make_record,
}


def contents(folder):
    """Checksums of all files but locks, whose emptiness is no matter."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


def fill(disk):
    """Take all the room that is left."""
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free // 4096 * 4096))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_leaves_nothing_half_made_and_what_was_there(finished, full_disk, stage):
    of, disk, make = Finished(finished), full_disk(8_000_000), STAGES[stage]
    (disk / "out").mkdir()
    fill(disk)
    with pytest.raises(DiskFullError) as caught:
        make(of, disk / "out")
    message = str(caught.value)
    assert message.startswith(f"{disk}/out/")
    assert ": cannot be written, no space is left on its disk (" in message
    assert message.endswith(REMEDY)
    assert "\n" not in message
    assert contents(disk / "out") == {}
    (disk / "filler").unlink()
    make(of, disk / "out")
    made = contents(disk / "out")
    assert made
    fill(disk)
    with pytest.raises(DiskFullError):
        make(of, disk / "out")
    assert contents(disk / "out") == made


@pytest.mark.parametrize("room", [200_000, 600_000, 1_000_000])
def test_training_goes_on_to_the_same_bytes_when_there_is_room(finished, full_disk, tmp_path, room):
    of, disk = Finished(finished), full_disk(room)
    of.config["training"]["checkpoint_at"] = 1
    with pytest.raises(DiskFullError, match=REMEDY):
        make_model(of, disk / "run")
    assert not list(disk.rglob("*.tmp"))
    roomy = shutil.copytree(disk / "run", tmp_path / "run")
    make_model(of, roomy)
    assert (roomy / "model.pt").read_bytes() == of.model.read_bytes()


def test_the_workflow_says_it_in_a_line_and_goes_on_when_there_is_room(
    finished, tmp_path, full_disk
):
    disk = full_disk(8_000_000)
    project = replace(finished, folder=tmp_path / "project")
    shutil.copytree(finished.folder, project.folder)
    runs = project.folder / "results" / "runs"
    shutil.rmtree(runs)
    runs.symlink_to(disk)
    fill(disk)
    result = project.snakemake("train")
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if "cannot be written" in line]
    assert line.startswith("train: results/runs/tiny/")
    assert line.endswith(REMEDY)
    assert not list(disk.rglob("*.tmp"))
    (disk / "filler").unlink()
    result = project.snakemake("train")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (disk / "tiny" / "model.pt").read_bytes() == Finished(finished).model.read_bytes()


def test_so_it_is_where_snakemake_cannot_write_its_own_files(finished, full_disk):
    disk = full_disk(16_000_000)
    project = replace(finished, folder=disk / "project")
    shutil.copytree(finished.folder, project.folder)
    (project.folder / SPLIT).unlink()
    fill(disk)
    result = project.snakemake("split")
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert "Traceback" not in said
    assert "No space left on device" in said
    (disk / "filler").unlink()
    result = project.snakemake("split")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (project.folder / SPLIT).read_bytes() == (finished.folder / SPLIT).read_bytes()
