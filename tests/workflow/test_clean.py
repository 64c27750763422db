"""What ``qgpipe clean`` lists and deletes, and what it never touches."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qgpipe.cli import main
from qgpipe.config import load_config
from qgpipe.config.dump import to_yaml
from qgpipe.system.lock import writing
from qgpipe.system.process import HOST

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DATA, RUN = Path("results/data"), Path("results/runs/tiny")


@pytest.fixture
def copy(finished, tmp_path, monkeypatch):
    """A copy of the finished run; the working directory."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")


def files():
    """All there is, but for locks and notes of Snakemake's."""
    found = {path for path in Path().rglob("*") if path.is_file() and path.name != ".lock"}
    return {path for path in found if path.parts[0] != ".snakemake"}


def clean(capsys, *arguments):
    assert main(["clean", "run.yaml", *arguments]) == 0
    return capsys.readouterr().out


def configure(section, **values):
    config = load_config("run.yaml")
    config[section].update(values)
    Path("run.yaml").write_text(to_yaml(config))


@pytest.fixture
def dead_process():
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_after_a_finished_run_nothing_is_stale(copy, capsys):
    before = files()
    assert clean(capsys, "--yes") == "nothing is stale\n"
    assert files() == before


def test_parts_that_are_no_longer_planned_go_with_all_about_them(copy, capsys):
    configure("data", chunksize=40)
    before = files()
    text = clean(capsys)
    assert text.count("part of other data") == 4  # a part, its record, log and benchmark
    assert f"{DATA}/parts/causets-000000020.safetensors: part of other data" in text
    assert text.endswith("nothing was deleted: add --yes\n")
    assert files() == before
    assert clean(capsys, "--yes").endswith("deleted\n")
    gone = {path.relative_to(DATA).as_posix() for path in before - files()}
    assert gone == {
        "parts/causets-000000020.safetensors",
        "parts/causets-000000020.safetensors.provenance.json",
        "logs/preprocess/causets-000000020.log",
        "benchmarks/preprocess/causets-000000020.tsv",
    }


def test_checkpoints_go_unless_the_model_is_from_them_or_they_are_the_newest(copy, capsys):
    checkpoints = RUN / "checkpoints"
    (current,) = checkpoints.iterdir()
    newest, older, oldest = (16 * digit for digit in "012")
    for days, name in enumerate((newest, older, oldest)):
        shutil.copytree(current, checkpoints / name)
        for path in (checkpoints / name, *(checkpoints / name).iterdir()):
            os.utime(path, (2e9 - 86400 * days,) * 2)
    text = clean(capsys, "--yes")
    assert f"{checkpoints}/{older}: checkpoints of other settings" in text
    assert {folder.name for folder in checkpoints.iterdir()} == {current.name, newest}


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(copy, capsys, dead_process):
    left = DATA / "parts" / f".a.safetensors.{HOST}.{dead_process}.tmp"
    folder = DATA / "raw" / f".b.zarr.{HOST}.{dead_process}.tmp"
    written = RUN / f".model.pt.{HOST}.{os.getpid()}.tmp"
    elsewhere = RUN / ".model.pt.elsewhere.1.tmp"
    folder.mkdir()
    for path in (left, written, elsewhere, folder / "0.0"):
        path.write_bytes(bytes(1_500_000))
    text = clean(capsys, "--yes")
    assert f"     1.500 MB  {left}: left by a process that was killed\n" in text
    assert "     3.000 MB  in all\n" in text
    assert [path.exists() for path in (left, folder, written, elsewhere)] == [0, 0, 1, 1]


def test_generated_stores_go_when_nothing_asks_for_them(copy, capsys):
    shutil.copytree(DATA / "raw/causets.zarr", DATA / "raw/own.zarr")
    configure("generate", stores=["other"])
    clean(capsys, "--yes")
    assert {path.name for path in (DATA / "raw").iterdir()} == {"own.zarr"}


def test_data_of_points_that_a_sweep_no_longer_has_goes(copy, capsys):
    old, kept = DATA / "chunksize=30", DATA / "chunksize=30" / "mine.txt"
    shutil.copytree(DATA / "parts", old / "parts")
    for name in ("dataset.json", "split.json"):
        shutil.copy(DATA / name, old)
        shutil.copy(DATA / f"{name}.provenance.json", old)
    kept.touch()
    before = files()
    text = clean(capsys, "--yes")
    assert f"{old}/dataset.json: data of no run\n" in text
    assert before - files() == {
        path for path in before if path.is_relative_to(old) and path != kept
    }


def test_a_store_of_the_users_stays_wherever_it_lies(copy, capsys):
    config = load_config("run.yaml")
    del config["generate"]
    config["data"]["files"] = [str(DATA / "raw/causets.zarr")]
    Path("run.yaml").write_text(to_yaml(config))
    before = files()
    clean(capsys, "--yes")
    gone = before - files()
    assert {path for path in gone if path.is_relative_to(DATA / "raw")} == set()


def test_other_runs_stay(copy, capsys):
    shutil.copytree(RUN, "results/runs/other")
    before = files()
    configure("training", num_epochs=9)
    clean(capsys, "--yes")
    assert files() == before


OWN = (
    "results/notes.txt",
    "results/data/notes.csv",
    "results/data/parts/README.md",
    "results/data/parts/mine.safetensors",
    "results/data/parts/mine-2.safetensors",
    "results/data/logs/preprocess/mine.log",
    "results/data/raw/mine.zarr/.zattrs",
    "results/data/raw/copied.tmp",
    "results/runs/tiny/notes/plot.svg",
    "results/runs/tiny/checkpoints/README",
    "results/runs/tiny/checkpoints/mine/last.pt",
    "results/runs/other/checkpoints/0123456789abcdef/last.pt",
    "results/runs/other/model.pt",
)
CHANGES = (
    ("data", {"chunksize": 7}),
    ("data", {"chunksize": 40}),
    ("data", {"split": [0.5, 0.25, 0.25]}),
    ("generate", {"stores": ["other"]}),
    ("generate", {"stores": ["causets", "other"]}),
    ("generate", {"num_samples": 30}),
    ("generate", {"seed": 5}),
    ("training", {"num_epochs": 9}),
    ("training", {"optimizer_kwargs": {"lr": 0.5}}),
    ("training", {"path": "results/elsewhere"}),
)


def to_do() -> str:
    """What Snakemake says of each file: whether it is there, and whether it would be made."""
    command = [
        sys.executable, "-m", "snakemake", "--summary", "all", "--cores", "1", "--quiet", "all",
        "--snakefile", str(ROOT / "Snakefile"), "--configfile", "run.yaml",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("seed", range(4))
def test_all_that_is_current_or_the_users_survives_any_change(copy, capsys, seed):
    rng = random.Random(seed)
    for name in OWN:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("mine")
    for section, values in rng.sample(CHANGES, 3):
        configure(section, **values)
    before, planned = files(), to_do()
    listed = {Path(line.split("  ")[-1].partition(": ")[0]) for line in clean(capsys).splitlines()}
    assert files() == before
    clean(capsys, "--yes")
    gone = before - files()
    assert {path for path in gone if not listed & {path, *path.parents}} == set()
    assert [name for name in OWN if not Path(name).exists()] == []
    assert to_do() == planned
    assert clean(capsys) in ("nothing is stale\n", "there is nothing yet\n")


def test_nothing_is_deleted_while_a_run_is_going_on(copy, capsys):
    configure("data", chunksize=40)
    before = files()
    with writing(RUN / ".lock"):
        assert main(["clean", "run.yaml", "--yes"]) == 1
    assert "in use by process" in capsys.readouterr().err
    assert files() == before


def test_there_may_be_nothing_yet(tmp_path, finished, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(finished.folder / "run.yaml", tmp_path)
    assert clean(capsys) == "there is nothing yet\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]
