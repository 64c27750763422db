"""The leaderboard: written from kept results alone, and these come out again."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "results" / "leaderboard"
PAGE = ROOT / "docs" / "leaderboard.md"
QUICK = """
generate: { num_samples: 90, size: [8, 16] }
training: { num_epochs: 1, seed: !sweep { values: [1, 2] } }
evaluate:
  sets:
    larger: { generate: { num_samples: 9 } }
"""


def run(folder: Path, **settings: object) -> None:
    """Run the leaderboard in ``folder``, with results and page there."""
    given = {"kept": "kept", "page": "docs/leaderboard.md", **settings}
    command = [
        sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile",
        str(ROOT / "benchmarks/leaderboard/Snakefile"), "--config",
        *(f"{key}={value}" for key, value in given.items()),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=1500, check=False
    )
    logs = sorted(folder.rglob("results/leaderboard/**/*.log"))
    tails = [f"{log}:\n{log.read_text()[-2000:]}" for log in logs if done.returncode]
    assert done.returncode == 0, "\n".join([done.stdout + done.stderr, *tails])


def row(page: Path, task: str, model: str) -> str:
    """The line of a model in the table of a task."""
    section = page.read_text().split(f"### {task}\n")[1].split("\n#")[0]
    found = re.search(rf"^\| `{model}` .*$", section, re.MULTILINE)
    assert found, section
    return " ".join(found[0].split())  # the width of a column depends on the other rows


def test_the_page_and_its_figures_are_written_from_the_kept_results_alone(tmp_path):
    program = ROOT / "benchmarks/leaderboard/page.py"
    shutil.copytree(KEPT / "small", tmp_path / "kept")
    page = tmp_path / "docs" / "leaderboard.md"
    page.parent.mkdir()
    subprocess.run([sys.executable, program, tmp_path / "kept", page], check=True)
    assert page.read_bytes() == PAGE.read_bytes()
    figures = sorted((page.parent / "images").iterdir())
    assert len(figures) >= 2
    for figure in figures:
        assert figure.read_bytes() == (PAGE.parent / "images" / figure.name).read_bytes()


@pytest.mark.slow
def test_a_row_comes_out_again_byte_for_byte(tmp_path):
    run(tmp_path, tasks="[dimension]", models=f"[{ROOT}/config/models/seed.yaml]")
    kept, made = (
        json.loads((folder / "small/dimension/seed.json").read_text())
        for folder in (KEPT, tmp_path / "kept")
    )
    machine = ("processor", "instructions", "versions")
    if [kept[key] for key in machine] == [made[key] for key in machine]:
        pages = (PAGE, tmp_path / "docs/leaderboard.md")
        before, after = (row(page, "dimension", "seed") for page in pages)
        assert after == before
    for before, after in zip(kept["runs"], made["runs"], strict=True):
        assert after["scores"] == pytest.approx(before["scores"], abs=0.05)


@pytest.mark.slow
def test_a_model_of_ones_own_takes_a_file_and_a_class(tmp_path):
    text = (ROOT / "docs/benchmark.md").read_text()
    yaml, python = (
        re.search(rf"```{word}\n(.*?)```", text, re.S)[1] for word in ("yaml", "python")
    )
    (tmp_path / "own.yaml").write_text(yaml)
    (tmp_path / "mymodule.py").write_text(python)
    (tmp_path / "quick.yaml").write_text(QUICK)
    run(tmp_path, tasks="[topology]", models="[own.yaml]", over="[quick.yaml]")
    kept = json.loads((tmp_path / "kept/small/topology/own.json").read_text())
    assert [one["seed"] for one in kept["runs"]] == [1, 2]
    assert all(0 <= score <= 1 for one in kept["runs"] for score in one["scores"].values())
    assert all(one["core_seconds"] > 0 for one in kept["runs"])
    assert row(tmp_path / "docs/leaderboard.md", "topology", "own").count("±") == 3


def test_a_task_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(AssertionError, match="there is no 'dimensio'; give some of"):
        run(tmp_path, tasks="[dimensio]")
