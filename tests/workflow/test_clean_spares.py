"""``qgpipe clean --yes`` in folders that are made to mislead it: nothing of others is deleted."""

import json
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
from qgpipe.system.lock import FolderLock, writing

pytestmark = pytest.mark.slow

DATA, RUN = Path("results/data"), Path("results/runs/tiny")
OLD = 16 * "e"


@pytest.fixture
def copy(finished, tmp_path, monkeypatch):
    """A copy of the finished run, the working directory, beside a folder ``precious``."""
    shutil.copytree(finished.folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    for name in ("a.txt", "parts/b-000000000.safetensors", "last.pt", "raw/own.zarr/.zattrs"):
        path = tmp_path / "precious" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    return tmp_path / "copy"


def everything(folder):
    """All files below ``folder``, but for locks and notes of Snakemake's."""
    found = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return {p for p in found if not p.name.endswith("lock") and ".snakemake" not in p.parts}


def configure(name, **sections):
    config = load_config("run.yaml")
    for section, values in sections.items():
        config[section] = {**config[section], **values} if isinstance(values, dict) else values
    Path(name).write_text(to_yaml(config))
    return config


def clean(config="run.yaml"):
    assert main(["clean", config, "--yes"]) == 0


def record_of(artifact, stage, **changes):
    """A record beside ``artifact`` as the pipeline writes it, with ``changes``."""
    content = json.loads((DATA / "dataset.json.provenance.json").read_text())
    content |= {"stage": stage, "outputs": {artifact.name: "sha256:0"}, **changes}
    artifact.with_name(f"{artifact.name}.provenance.json").write_text(json.dumps(content))


EVIL = ("../../../precious", "../../../precious/a.txt", "/PRECIOUS/a.txt", "..", ".", "raw/../../x",
        "../runs/tiny/model.pt", "dataset.json", "")  # fmt: skip


@pytest.mark.parametrize("stage", ["gather", "split", "preprocess", "generate", "predict", "train"])
def test_paths_in_records_are_not_followed(copy, stage):
    precious = copy.parent / "precious"
    outputs = {path.replace("/PRECIOUS", str(precious)): "sha256:0" for path in EVIL}
    for folder in (DATA, DATA / "parts", DATA / "raw", DATA / "old/parts", RUN / "predict"):
        folder.mkdir(parents=True, exist_ok=True)
        record_of(folder / "evil.json", stage, outputs=outputs, inputs=outputs)
    before = everything(copy.parent)
    clean()
    assert before - everything(copy.parent) == set()


def test_an_export_deletes_nothing_that_its_record_names(copy):
    (RUN / "export").mkdir()
    outputs = dict.fromkeys(("../model.pt", "../../../../../precious", "model.json"), "sha256:0")
    record_of(RUN / "export/x", "export", outputs=outputs, inputs={"../model.pt": "sha256:0"})
    (RUN / "export/x.provenance.json").rename(RUN / "export/export.provenance.json")
    for name in ("model.json", "notes.md"):
        (RUN / "export" / name).write_text("{}")
    before = everything(copy.parent)
    clean()
    gone = {path.name for path in before - everything(copy.parent)}
    assert gone == {"model.json", "export.provenance.json"}


@pytest.mark.parametrize(
    ("link", "to"),
    [
        (DATA / "old", "precious"),
        (DATA / "parts/old-000000000.safetensors", "precious/a.txt"),
        (RUN / "checkpoints" / OLD, "precious"),
        (RUN / "tune/studies" / OLD, "precious"),
        (RUN / "export", "precious"),
        (RUN / ".predict.csv.elsewhere.1.tmp", "precious"),
        (DATA / "raw/own.zarr", "precious/raw/own.zarr"),
    ],
    ids=str,
)
def test_links_are_not_followed(copy, link, to):
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(copy.parent / to)
    if link.name == "old":
        record_of(link / "parts/b-000000000.safetensors", "preprocess")
    before = everything(copy.parent)
    clean()
    assert before - everything(copy.parent) == set()


def test_nor_are_the_folders_themselves_if_they_are_links(copy):
    (RUN / "checkpoints").rename("elsewhere")
    (RUN / "checkpoints").symlink_to(copy / "elsewhere")
    for name in (OLD, 16 * "f"):
        shutil.copytree(next(Path("elsewhere").iterdir()), Path("elsewhere", name))
    before = everything(copy)
    clean()
    assert before - everything(copy) == set()


def test_a_data_folder_may_itself_be_a_link(copy):
    DATA.rename("disk")
    DATA.symlink_to(copy / "disk")
    configure("run.yaml", data={"chunksize": 40})
    clean()
    assert not Path("disk/parts/causets-000000020.safetensors").exists()
    assert Path("disk/parts/causets-000000000.safetensors").exists()


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_folder_in_it_that_another_run_has_locked_is_left_alone(copy, kind):
    inner = DATA / "inner"
    shutil.copytree(DATA / "parts", inner / "parts")
    before = everything(copy)
    with FolderLock(inner / ".lock") as lock:
        getattr(lock, kind)()
        clean()
        assert before - everything(copy) == set()
    clean()
    assert before - everything(copy) != set()  # nobody needs it


def test_so_is_a_study_with_a_trial_in_progress(copy):
    studies = RUN / "tune/studies"
    for name in (OLD, 16 * "f"):
        (studies / name / "trials/0").mkdir(parents=True)
        (studies / name / "study.db").write_text("")
        (studies / name / "notes.txt").write_text("mine")
    for path in (studies / OLD, *(studies / OLD).iterdir()):
        os.utime(path, (1e9, 1e9))
    with writing(studies / OLD / "trials/0/.lock"):
        os.utime(studies / OLD / "trials", (1e9, 1e9))
        clean()
        assert (studies / OLD / "study.db").exists()
    os.utime(studies / OLD / "trials", (1e9, 1e9))
    clean()
    assert [path.name for path in (studies / OLD).iterdir()] == ["notes.txt"]
    assert (studies / (16 * "f") / "study.db").exists()


def test_while_python_trains_nothing_goes(copy, capsys):
    configure("run.yaml", data={"chunksize": 40})
    before = everything(copy)
    with writing(RUN / ".training.lock"):
        assert main(["clean", "run.yaml", "--yes"]) == 1
    assert "in use by process" in capsys.readouterr().err
    assert everything(copy) == before


def test_data_that_another_run_is_trained_on_stays_while_that_is_there(copy):
    shutil.copytree(RUN, "results/runs/other")
    configure("run.yaml", data={"chunksize": 40})
    before = everything(copy)
    clean()
    assert before - everything(copy) == set()
    shutil.rmtree("results/runs/other")
    clean()
    assert not (DATA / "parts/causets-000000020.safetensors").exists()


def test_that_of_another_configuration_stays_while_that_asks_for_it(copy):
    shutil.copy("run.yaml", "other.yaml")
    for file in DATA.rglob("*.provenance.json"):
        file.write_text(file.read_text().replace("run.yaml", "other.yaml"))
    configure("run.yaml", data={"chunksize": 40})
    before = everything(copy)
    clean()
    assert before - everything(copy) == set()
    configure("other.yaml", data={"chunksize": 40})
    clean()
    assert not (DATA / "parts/causets-000000020.safetensors").exists()


def test_so_it_does_if_that_cannot_be_read_or_lies_elsewhere(copy):
    (copy.parent / "there").mkdir()
    for name, text in (
        ("broken.yaml", "a: ["),
        ("../there/run.yaml", Path("run.yaml").read_text()),
    ):
        Path(name).write_text(text)
        for file in DATA.rglob("*.provenance.json"):
            content = json.loads(file.read_text())
            content["config_file"] = str(Path(name).resolve())
            file.write_text(json.dumps(content))
        configure("run.yaml", data={"chunksize": 40, "output": str(DATA.resolve())})
        before = everything(copy)
        clean()
        assert before - everything(copy) == set()


def test_a_run_whose_configuration_cannot_be_read_is_named(copy, capsys):
    Path("results/runs/other").mkdir()
    Path("results/runs/other/config.yaml").write_text("a: [")
    configure("run.yaml", data={"chunksize": 40})
    before = everything(copy)
    assert main(["clean", "run.yaml", "--yes"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("qgpipe clean: results/runs/other/config.yaml cannot be read, so there")
    assert said.endswith("; fix it, or delete the run\n")
    assert everything(copy) == before


@pytest.mark.parametrize("key", ["data", "predict"])
def test_a_generated_store_that_another_run_reads_stays(copy, key):
    shutil.copytree(RUN, "results/runs/other")
    config = load_config(RUN / "config.yaml")
    store = str(DATA / "raw/causets.zarr")
    del config["generate"]
    config["data"] |= {"files": [store], "output": "elsewhere"}
    if key == "predict":
        config["predict"] = {"files": [store]}
        config["data"]["files"] = ["gone.zarr"]
    Path("results/runs/other/config.yaml").write_text(to_yaml(config))
    configure("run.yaml", generate={"stores": ["other"]})
    before = everything(Path(store))
    clean()
    assert everything(Path(store)) == before


@pytest.mark.parametrize("change", ["written", "grown", "added"])
def test_a_generated_store_that_was_written_to_since_is_the_users(copy, change):
    store = DATA / "raw/causets.zarr"
    if change == "written":
        (store / ".zattrs").write_text('{"mine": 1}')
    elif change == "grown":
        import zarr

        group = zarr.open_group(store)
        for name in group.array_keys():
            array = group[name]
            if name == "num_samples":
                array[:] = 61
            elif array.shape[0] == 60:
                array.resize((61, *array.shape[1:]))
    else:
        (store / "notes.txt").write_text("mine")
    configure("run.yaml", generate={"stores": ["other"]})
    before = everything(store)
    clean()
    left = everything(store)
    assert left == ({store / "notes.txt"} if change == "added" else before)


def test_files_of_the_users_in_folders_of_checkpoints_stay(copy):
    checkpoints = RUN / "checkpoints"
    shutil.copytree(next(checkpoints.iterdir()), checkpoints / OLD)
    for path in (*(checkpoints / OLD).iterdir(), checkpoints / OLD):
        os.utime(path, (1e9, 1e9))
    (checkpoints / OLD / "figures").mkdir()
    for name in ("notes.txt", "figures/last.pt", "my_best.pt"):
        (checkpoints / OLD / name).write_text("mine")
    for path in (checkpoints / OLD, *(checkpoints / OLD).iterdir()):
        os.utime(path, (1e9, 1e9))
    clean()
    left = {
        path.relative_to(checkpoints / OLD).as_posix() for path in everything(checkpoints / OLD)
    }
    assert left == {"notes.txt", "figures/last.pt", "my_best.pt"}


@pytest.mark.parametrize("text", ["", "[]", '{"checkpoints": 5}', '{"study": [1]}', "{", "5"])
def test_with_a_damaged_summary_no_checkpoints_or_studies_go(copy, text):
    (RUN / "tune/studies").mkdir(parents=True)
    for parent in (RUN / "checkpoints", RUN / "tune/studies"):
        for name in (OLD, 16 * "d"):
            (parent / name).mkdir()
            (parent / name / "last.pt").touch()
            (parent / name / "study.db").touch()
    (RUN / "summary.json").write_text(text)
    (RUN / "tune/study.json").write_text(text)
    before = everything(copy)
    clean()
    assert before - everything(copy) == set()


def test_a_pipe_where_a_record_or_a_configuration_is_expected_does_not_hold_it_up(copy):
    Path("results/runs/other").mkdir()
    pipes = [DATA / "x.json.provenance.json", Path("results/runs/other/config.yaml")]
    pipes += [RUN / "predict/x.csv.provenance.json", RUN / "export/export.provenance.json"]
    for pipe in pipes:
        pipe.parent.mkdir(exist_ok=True)
        os.mkfifo(pipe)
    record_of(DATA / "y.json", "gather", config_file="x.json.provenance.json")
    code = "import sys; from qgpipe.cli import main; sys.exit(main(['clean', 'run.yaml', '--yes']))"
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == 0
    assert all(pipe.exists() for pipe in pipes)


NAMES = [
    "dataset.json",
    "split.json",
    "causets-000000020.safetensors",
    "x-000000000.safetensors",
    "causets.zarr",
    "own.zarr",
    "last.pt",
    "study.db",
    "notes.txt",
    "model.json",
    "1.json",
    ".x.json.elsewhere.1.tmp",
    "x.csv",
    "config.yaml",
    "x.log",
    "raw",
    "parts",
    "eeeeeeeeeeeeeeee",
]
PLACES = [
    ".",
    "parts",
    "raw",
    "splits",
    "old",
    "old/parts",
    "old/raw",
    "logs/preprocess",
    "../runs",
    "../runs/tiny",
    "../../mine",
    "../runs/tiny/checkpoints",
    "../runs/tiny/checkpoints/eeeeeeeeeeeeeeee",
    "../runs/tiny/tune/studies",
    "../runs/tiny/tune/jobs",
    "../runs/tiny/predict",
    "../runs/tiny/export",
    "../runs/other",
]
MADE = """results/data/dataset.json results/data/split.json results/data/raw/causets.zarr/.zattrs
results/data/parts/causets-000000000.safetensors results/data/parts/causets-000000020.safetensors
results/data/parts/causets-000000040.safetensors results/data/raw/causets.zarr/cset_size/0"""
STAGES = ("generate", "preprocess", "gather", "split", "predict", "export", "train", "x")


def plant(rng, copy):
    """A file, folder, link or record at random; the paths of files in it that have to stay."""
    where = Path(os.path.normpath(DATA / rng.choice(PLACES)))
    path, kind = where / rng.choice(NAMES), rng.choice(("file", "folder", "link", "record"))
    if any(one.is_symlink() or one.is_file() for one in (path, *path.parents)) or path.is_dir():
        return
    where.mkdir(parents=True, exist_ok=True)
    old = rng.choice((0, 1e9, None))
    if kind == "folder":
        path.mkdir()
        (path / rng.choice(NAMES)).write_text("in a folder")
    elif kind == "link":
        path.symlink_to(copy.parent / rng.choice(("precious", "precious/a.txt", "nowhere", "copy")))
    elif path.suffix == ".yaml":
        return
    else:
        path.write_text(rng.choice(("", "{}", "mine")))
    if old is not None and not path.is_symlink():
        os.utime(path, (old, old))
    if kind == "record" or rng.random() < 0.3:
        outputs = dict.fromkeys((*rng.sample(EVIL, 3), path.name), "sha256:0")
        file = rng.choice((None, "../../run.yaml", "../../no.yaml", "/dev/zero", str(copy), ".."))
        record_of(path, rng.choice(STAGES), outputs=outputs, inputs=outputs, config_file=file)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_lies_there_nothing_of_others_is_deleted(copy, seed):
    rng = random.Random(seed)
    shutil.copytree(RUN, "results/runs/kept")
    for _ in range(60):
        plant(rng, copy)
    if rng.random() < 0.7:
        shutil.rmtree("results/runs/kept/predict", ignore_errors=True)
    needed = {path for path in everything(Path("results/runs/kept")) if path.name[0] != "."}
    configure("run.yaml", **rng.choice((
        {"data": {"chunksize": 40}}, {"generate": {"stores": ["new"]}}, {"training": {"seed": 9}},
    )))  # fmt: skip
    needed |= {Path(name) for name in MADE.split() if Path(name).exists()}
    needed |= {RUN / name for name in ("model.pt", "config.yaml", "history.csv", "summary.json")}
    held = DATA / rng.choice(("old", "parts", "raw", "x"))
    held.mkdir(exist_ok=True)
    kept = everything(held) if not held.is_symlink() else set()
    before = everything(copy.parent)
    with writing(held / ".lock"):
        clean()
    gone = before - everything(copy.parent)
    assert {path for path in gone if not path.is_relative_to(copy / "results")} == set()
    gone = {path.relative_to(copy) for path in gone}
    assert gone & (needed | kept) == set()
    assert {path for path in gone if path.name in ("notes.txt", "x.log", "config.yaml")} == set()
    assert {path for path in gone if (copy / path).is_symlink()} == set()
    assert {path for path in gone if path.is_relative_to("results/runs/other")} == set()
