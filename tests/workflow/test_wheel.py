"""qgpipe as an installed wheel, without its clone."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_installed_wheel_runs_its_own_workflow(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT, cwd=folder)
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    packages = next((folder / "venv" / "lib").glob("python*/site-packages"))
    # The dependencies are those of this environment; qgpipe, listed there by another file, is not.
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    (wheel,) = folder.glob("*.whl")
    run(*pip, "--python", python, "install", "--no-deps", wheel, cwd=folder)

    snakefile = run(folder / "venv" / "bin" / "qgpipe", "snakefile", cwd=project.folder).strip()
    assert Path(snakefile).is_relative_to(packages)
    run(
        python, "-m", "snakemake", "--snakefile", snakefile, "--cores", "2",
        "--configfile", "run.yaml", cwd=project.folder,
    )  # fmt: skip
    assert (project.folder / "results/runs/tiny/test/metrics.json").exists()
    # The commands find the workflow too: a crate holds it.
    command = (folder / "venv" / "bin" / "qgpipe", "trace", "results/runs/tiny/model.pt")
    run(*command, "--crate", "crate", cwd=project.folder)
    assert (project.folder / "crate" / "workflow" / "Snakefile").exists()
    # A new configuration has the presets and the schema that are installed.
    store, target = "results/data/raw/causets.zarr", ("--target", "cset_type")
    text = run(folder / "venv" / "bin" / "qgpipe", "new", store, *target, cwd=project.folder)
    schema = Path(text.splitlines()[0].partition("$schema=")[2])
    assert schema.is_relative_to(packages) and schema.is_file()
