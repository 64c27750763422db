"""Every mistake in ``catalogue.yaml`` gives the message that stands there, and no traceback."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
import zarr

from qgpipe import Trainer
from qgpipe.cli import main
from qgpipe.config import load_config
from qgpipe.config.dump import to_yaml
from qgpipe.config.tags import ConfigLoader
from qgpipe.errors import QgpipeError

ROOT = Path(__file__).parents[2]
CATALOGUE = yaml.load(Path(__file__).with_name("catalogue.yaml").read_text(), Loader=ConfigLoader)
CASES = {case["name"]: case for cases in CATALOGUE.values() for case in cases}


def place(config: Any, key: str) -> tuple[Any, Any]:
    """The container in which ``key`` (``a.b[0].c``) stands, and its last step."""
    steps = [int(s[1:-1]) if s[0] == "[" else s for s in re.findall(r"\[\d+\]|[^.\[\]]+", key)]
    return functools.reduce(lambda inner, step: inner[step], steps[:-1], config), steps[-1]


def break_it(folder: Path, case: dict[str, Any]) -> None:
    """Make the mistake of ``case`` in a folder with a run that works."""
    file = folder / "run.yaml"
    if "file" in case:
        file.write_text(case["file"])
    else:
        config = load_config(file)
        for key, value in case.get("change", {}).items():
            container, last = place(config, key)
            container[last] = value
        for key in case.get("remove", []):
            container, last = place(config, key)
            del container[last]
        file.write_text(to_yaml(config))
    if "over" in case:
        (folder / "over.yaml").write_text(case["over"])
    with (folder / "mymodule.py").open("a") as module:
        module.write("\n\n" + case.get("module", ""))
    if "broken" in case:
        (folder / "broken.py").write_text(case["broken"])
    if "store" in case:
        group = zarr.open_group(folder / "data.zarr")
        exec(case["store"], {"group": group, "np": np, "path": folder, "shutil": shutil})


def files(case: dict[str, Any]) -> list[str]:
    """The configuration files of ``case``."""
    return ["run.yaml", "over.yaml"] if "over" in case else ["run.yaml"]


def run(case: dict[str, Any]) -> None:
    """What a user does in Python, from the file to the test."""
    trainer = Trainer.from_config(load_config(*files(case)))
    train_loader, val_loader, test_loader = trainer.prepare_dataloaders()
    trainer.run_training(train_loader, val_loader)
    trainer.run_test(test_loader)


def pattern(message: str) -> str:
    """``message`` as a regular expression; … stands for anything."""
    return ".*".join(map(re.escape, " ".join(message.split()).split("…")))


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.tmp")]


IN_TRAINING = [name for name, case in CASES.items() if case.get("run", True)]


@pytest.mark.parametrize("name", IN_TRAINING)
def test_a_mistake_is_explained(folder, name):
    case = CASES[name]
    if torch.cuda.is_available() and "no CUDA" in case["message"]:
        pytest.skip("there is a CUDA device")
    break_it(folder, case)
    with pytest.raises(QgpipeError) as caught:
        run(case)
    text = str(caught.value)
    assert re.fullmatch(pattern(case["message"]), text), text
    assert "\n" not in text
    assert leftovers(folder) == []


CHECKED = [name for name, case in CASES.items() if case.get("check", True)]


@pytest.mark.parametrize("name", CHECKED)
def test_qgpipe_check_finds_it_before_a_run(folder, capsys, name):
    case = CASES[name]
    if torch.cuda.is_available() and "no CUDA" in case["message"]:
        pytest.skip("there is a CUDA device")
    break_it(folder, case)
    assert main(["check", *files(case)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("qgpipe check: ")
    message = case.get("check_message", case["message"])
    assert re.search(pattern(message), error), error
    assert error.count("\n") == 1
    assert not (folder / "results").exists()


THROUGH_SNAKEMAKE = [name for name, case in CASES.items() if case.get("snakemake")]


@pytest.mark.slow
@pytest.mark.parametrize("name", THROUGH_SNAKEMAKE)
def test_snakemake_shows_the_same_message(folder, name):
    case = CASES[name]
    break_it(folder, case)
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
        "--cores", "2", "--nocolor", "--configfile", "run.yaml",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    text = " ".join((result.stdout + result.stderr).split())
    assert result.returncode != 0
    assert re.search(pattern(case.get("check_message", case["message"])), text), text
    assert "Traceback" not in text
    assert leftovers(folder) == []


def test_the_run_without_a_mistake_ends(folder, capsys):
    run({})
    assert main(["check", "run.yaml"]) == 0


def test_the_catalogue_is_large_and_every_case_has_a_remedy():
    assert len(CASES) == sum(map(len, CATALOGUE.values())) >= 40
    for case in CASES.values():
        assert set(case) <= {
            "name", "over", "file", "change", "remove", "module", "broken", "store", "message",
            "check", "check_message", "snakemake", "run",
        }  # fmt: skip
