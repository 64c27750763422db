"""A stage is added as CONTRIBUTING.md shows, in a copy of the project, and everything knows it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Project

ROOT = Path(__file__).parents[2]
COPIED = (
    "Snakefile", "config", "envs", "profiles", "qgpipe", "rules", "scripts",
    "snakemake_logger_plugin_qgpipe",
)  # fmt: skip


@pytest.fixture(scope="module")
def pieces():
    """What CONTRIBUTING.md shows: the text to be added, by the file that it is for."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    text = text[text.index("**a stage**") : text.index("**a command of qgpipe**")]
    return dict(re.findall(r"^`([\w./]+)`[^\n]*:\n\n```text\n(.*?)^```$", text, re.M | re.S))


@pytest.fixture
def copy(pieces, tmp_path):
    """The project with the new stage."""
    root = tmp_path / "project"
    root.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root)
    for file, text in pieces.items():
        path = root / file
        if path.name == "registry.py":
            before, after = path.read_text().split('    Stage(\n        "predict",')
            path.write_text(f'{before}{text}    Stage(\n        "predict",{after}')
        elif path.exists():
            path.write_text(f"{path.read_text()}\n\n{text}")
        else:
            path.write_text(text)
    return root


@pytest.fixture
def project(finished, tmp_path):
    return Project(
        shutil.copytree(finished.folder, tmp_path / "run", symlinks=True), finished.config
    )


def run(root, project, *command):
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(root), "QGPIPE_PATH": ""},
        check=False,
    )


def snakemake(root, project, *arguments):
    chosen = [a.replace(str(ROOT), str(root)) for a in project.arguments(*arguments)]
    result = run(root, project, "snakemake", *chosen)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_contributing_shows_a_piece_for_each_file(pieces):
    assert {*pieces} == {
        "qgpipe/stages/registry.py", "qgpipe/paths.py", "rules/confidence.smk",
        "scripts/confidence_run.py", "qgpipe/report/tables/confidence.py",
    }  # fmt: skip


@pytest.mark.slow
def test_the_workflow_records_display_trace_and_clean_know_it(copy, project):
    said = snakemake(copy, project)
    assert re.search(r"to do: confidence 1$", said, re.M), said
    assert re.search(r"confidence: done", said)
    folder = project.folder / "results/runs/tiny"
    confidence = json.loads((folder / "test/confidence.json").read_text())
    metrics = json.loads((folder / "test/metrics.json").read_text())
    assert confidence["accuracy"] == metrics["metrics"]["accuracy"]
    assert 1 / 3 <= confidence["confidence"] <= 1
    record = json.loads((folder / "test/confidence.json.provenance.json").read_text())
    assert record["stage"] == "confidence"
    assert (folder / "logs/confidence.log").exists()
    assert "confidence_run" not in snakemake(copy, project, "--dry-run")
    traced = run(copy, project, "qgpipe.cli", "trace", "results/runs/tiny/test/confidence.json")
    assert traced.returncode == 0, traced.stdout + traced.stderr
    assert re.search(r"^ +confidence: ", traced.stdout, re.M), traced.stdout
    cleaned = run(copy, project, "qgpipe.cli", "clean", "run.yaml")
    assert cleaned.returncode == 0 and "confidence" not in cleaned.stdout, cleaned.stdout
