"""What a user may not read or write is named in a line by the workflow, and all stays as it was."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Project, environment

RUN, DATA = "results/runs/tiny", "results/data"
STORE = f"{DATA}/raw/causets.zarr"
ORDINARY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]  # what root may do beyond
AS_ORDINARY_USER = [] if os.geteuid() else ORDINARY

pytestmark = pytest.mark.skipif(
    bool(AS_ORDINARY_USER) and shutil.which("setpriv") is None, reason="needs setpriv (util-linux)"
)


@pytest.fixture
def copy(finished, tmp_path):
    project = Project(tmp_path / "run", finished.config)
    shutil.copytree(finished.folder, project.folder, symlinks=True)
    yield project
    for folder, _, _ in os.walk(tmp_path):
        Path(folder).chmod(0o755)


def snakemake(project, *arguments):
    return subprocess.run(
        [*AS_ORDINARY_USER, sys.executable, "-m", "snakemake", *project.arguments(*arguments)],
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=600,
        env=environment(),
        check=False,
    )


def of_others(project, rule):
    """What of the finished run is not an output of ``rule``, which Snakemake deletes before."""
    outputs = {
        "preprocess_part": "data/parts", "train_run": "runs/tiny", "test_run": "runs/tiny/test",
        "split_samples": "data/split.json",
    }  # fmt: skip
    return {
        file: file.read_bytes()
        for file in (project.folder / "results").rglob("*")
        if file.is_file()
        and not {"logs", "benchmarks"} & {*file.parts}
        and outputs[rule] not in file.as_posix()
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "rule", "closed", "mode", "named"),
    [
        ("train", "train_run", "run.yaml", 0, "run.yaml"),
        ("preprocess", "preprocess_part", f"{STORE}/adjacency_matrix/0.0.0", 0, "0.0.0"),
        ("preprocess", "preprocess_part", STORE, 0, STORE),
        ("train", "train_run", f"{DATA}/parts/causets-000000000.safetensors", 0, "000.safetensors"),
        ("test", "test_run", f"{RUN}/model.pt", 0, f"{RUN}/model.pt"),
        ("train", "train_run", RUN, 0o555, RUN),
        ("split", "split_samples", DATA, 0o555, f"{DATA}/split.json"),
    ],
)
def test_what_a_user_may_not_use_is_named(copy, target, rule, closed, mode, named):
    before = of_others(copy, rule)
    path = copy.folder / closed
    path.chmod(mode)
    result = snakemake(copy, target, "--forcerun", rule)
    path.chmod(0o755)
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert any(named in line and "ermission denied" in line for line in said.splitlines()), said
    assert "Traceback" not in said and "WorkflowError" not in said
    assert of_others(copy, rule) == before
    assert not [*copy.folder.rglob("*.tmp")]
