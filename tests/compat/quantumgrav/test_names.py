"""The names of QuantumGravPy, and how they are imported."""

import importlib
import logging
import subprocess
import sys
from pathlib import Path

import pytest

import qgpipe
import qgpipe.compat.quantumgrav as QG
from qgpipe.config.objects import ONLY_THERE, dotted_name, import_object
from qgpipe.system.quantumgrav_import import other_package

# What its ``__init__`` exports in January and in May 2026; JuliaWorker has no counterpart.
JANUARY = [
    "models", "QGDataset", "assign_at_path", "get_at_path", "import_and_get", "GNNModel", "Trainer",
    "TrainerDDP", "initialize_ddp", "cleanup_ddp", "DefaultEvaluator", "DefaultValidator",
    "DefaultTester", "DefaultEarlyStopping", "get_loader", "ConfigHandler", "zarr_file_to_dict",
    "zarr_group_to_dict",
]  # fmt: skip
MAY = ["DataLoaderFactory", "DistributedDataLoaderFactory", "Evaluator", "Validator", "Tester"]


def python(code, folder, *path):
    """What the code prints, in a process in which only ``path`` is there beside the packages."""
    hidden = "import sys; sys.path[:0] = sys.argv[1:]\n"
    command = [sys.executable, "-c", hidden + code, *map(str, path)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", [*JANUARY, *MAY])
def test_every_name_is_there(name):
    import QuantumGrav

    assert name in QuantumGrav.__all__
    assert getattr(QuantumGrav, name) is import_object(f"!pyobject QuantumGrav.{name}") or (
        name in qgpipe.__all__ or name == "models"
    )


def test_names_that_both_have_are_ours_in_a_configuration():
    for name in [*JANUARY, *MAY]:
        ours = hasattr(qgpipe, name)
        assert dotted_name(f"QuantumGrav.{name}") == (
            f"qgpipe.{name}" if ours else f"qgpipe.compat.quantumgrav.{name}"
        )
        assert (name in ONLY_THERE) != ours


@pytest.mark.parametrize(
    "module",
    ["models.gnn_block", "models.skipconnection", "gnn_model", "train", "QGTune.tune", "utils"],
)
def test_modules_are_imported_once(module):
    there = importlib.import_module(f"QuantumGrav.{module}")
    assert there is importlib.import_module(f"qgpipe.compat.quantumgrav.{module}")
    assert there.__spec__.name.startswith("qgpipe.")


def test_a_name_that_is_not_there_says_so():
    with pytest.raises(AttributeError, match=r"JuliaWorker.*QuantumGrav\.jl"):
        QG.JuliaWorker  # noqa: B018
    with pytest.raises(ModuleNotFoundError, match=r"QuantumGrav\.nothing"):
        importlib.import_module("QuantumGrav.nothing")


def test_a_module_that_a_configuration_names_may_import_it(tmp_path):
    (tmp_path / "mine.py").write_text("import QuantumGrav as QG\nmodel = QG.models.GNNBlock\n")
    said = python(
        "from qgpipe.config.objects import import_object\n"
        "print(import_object('!pyobject mine.model').__name__)",
        tmp_path,
        tmp_path,
    )
    assert said == "GNNBlock\n"


def test_the_real_package_is_used_if_it_is_there_and_that_is_said(tmp_path):
    (tmp_path / "QuantumGrav").mkdir()
    (tmp_path / "QuantumGrav" / "__init__.py").write_text("VERSION = 1\n")
    said = python(
        "import logging; logging.basicConfig()\nimport qgpipe.config.objects\n"
        "import QuantumGrav\nprint(QuantumGrav.VERSION)",
        tmp_path,
        tmp_path,
    )
    assert str(tmp_path / "QuantumGrav" / "__init__.py") in said
    assert "in a configuration are those of qgpipe" in said
    assert "1\n" in said


def test_a_folder_that_is_no_package_does_not_hide_it(tmp_path, monkeypatch):
    """Such as a clone of QuantumGravPy beside the script."""
    (tmp_path / "QuantumGrav").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert other_package() is None


def test_nothing_is_said_without_it(caplog):
    with caplog.at_level(logging.WARNING):
        sys.modules.pop("QuantumGrav", None)
        importlib.import_module("QuantumGrav")
    assert not caplog.records


@pytest.mark.slow
def test_the_distribution_gives_scripts_the_name_and_spares_the_real_package(tmp_path):
    """Installed to a folder of its own, beside a package of the same name."""
    root = Path(__file__).parents[3]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    real = tmp_path / "QuantumGrav"
    real.mkdir()
    (real / "__init__.py").write_text("VERSION = 1\n")
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", tmp_path / "alone",
         root / "compat" / "quantumgrav"],
        check=True,
    )  # fmt: skip
    files = {file.name for file in (tmp_path / "alone").iterdir()}
    assert {name for name in files if "dist-info" not in name} - {"__pycache__"} == {
        "QuantumGrav.py"
    }
    code = "import QuantumGrav as QG\nprint(QG.__name__, QG.models.GNNBlock.__name__)"
    assert python(code, tmp_path / "alone", tmp_path / "alone") == (
        "qgpipe.compat.quantumgrav GNNBlock\n"
    )
    (tmp_path / "alone" / "QuantumGrav.py").rename(tmp_path / "QuantumGrav.py")
    assert python("import QuantumGrav; print(QuantumGrav.VERSION)", tmp_path, tmp_path) == "1\n"
