"""Every command that README and docs show is carried out here, or checked as far as it can be.

A command that nothing here covers fails; CONTRIBUTING.md says what to do then.
"""

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import snakemake.cli

from qgpipe.causets.writers.generate import generate_store
from qgpipe.cli import COMMANDS, command_line, main
from qgpipe.config import resolve_config

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
# The names that the documents use, for those of the run that has finished here.
NAMES = {
    "<name>": "tiny",
    "<other>": "other",
    "sprinkled_or_damaged": "tiny",
    "my.yaml": "run.yaml",
}
# What cannot be carried out here, by how it begins, and why not.
NOT_HERE = {
    "snakemake --workflow-profile profiles/slurm": "needs a cluster; tests/slurm has one",
    "snakemake --snakefile $(qgpipe snakefile)": "needs the wheel; test_wheel.py installs one",
    "snakemake --snakefile benchmarks/leaderboard/Snakefile": "takes an hour; tests/benchmarks "
    "runs it for one task",
    "snakemake --cores 2 --configfile benchmarks/tasks/common.yaml": "tests/benchmarks checks it",
    "srun ": "needs a cluster; tests/training/test_group.py sets the environment of its tasks",
    "tensorboard ": "serves pages until it is stopped; tests/training/loggers reads "
    "the same files with its library",
    "source .venv/bin/activate": "changes the shell that it is typed into",
    "source <(qgpipe completion bash)": "likewise; tests/cli/test_completion.py reads the script",
}


def commands() -> list[str]:
    """The lines of console and bash blocks; where one begins with ``$``, those alone."""
    found: list[str] = []
    for page in PAGES:
        for block in re.findall(r"^```(?:console|bash)\n(.*?)^```$", page.read_text(), re.M | re.S):
            lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in block.splitlines()]
            if any(line.startswith("$ ") for line in lines):
                lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
            found += filter(None, lines)
    return list(dict.fromkeys(found))


def of(program: str) -> list[str]:
    return [line for line in commands() if line.split()[0] == program]


def in_the_text(program: str) -> list[str]:
    """Calls of ``program`` in running text: ```make clean```; those with … are no whole calls."""
    spans = (span for page in PAGES for span in re.findall(r"(?<!`)`([^`\n]+)`", page.read_text()))
    return sorted({s for s in spans if s.startswith(f"{program} ") and "…" not in s})


def words(line: str) -> list[str]:
    """The words of a call after the program, with the names of the run that has finished here."""
    for shown, real in NAMES.items():
        line = line.replace(shown, real)
    return shlex.split(line.partition(" > ")[0])[1:]


def test_every_command_is_covered():
    covered = {"qgpipe", "make", "pip", "python", ".venv/bin/pytest", "cp"}
    dry_runs = Path(__file__).with_name("test_stages.py").read_text()
    for line in commands():
        here = line.split()[0] in covered or f'"{" ".join(line.split())}": ' in dry_runs
        assert here or line.startswith(tuple(NOT_HERE)), (
            f"nothing tests '{line}': add a test to {Path(__file__).name}, or put it into NOT_HERE "
            "with the reason"
        )
    for start in NOT_HERE:
        assert any(line.startswith(start) for line in commands()), f"not shown any more: {start}"


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    """The finished run with a second one, and with the stores and files that the pages name."""
    folder = tmp_path_factory.mktemp("shown") / "copy"
    shutil.copytree(finished.folder, folder)
    shutil.copytree(folder / "results/runs/tiny", folder / "results/runs/other")
    (folder / "config").mkdir()
    shutil.copy(folder / "run.yaml", folder / "config/run.yaml")
    shutil.copytree(ROOT / "config/models", folder / "config/models")
    settings = {**resolve_config(finished.config)["generate"], "seed": 7, "num_samples": 6}
    for name in {Path(w) for line in of("qgpipe") for w in words(line) if w.endswith(".zarr")}:
        (folder / name).parent.mkdir(exist_ok=True)
        generate_store(settings, name.stem, folder / name)
    return folder


@pytest.mark.parametrize("line", of("qgpipe"))
def test_a_command_of_qgpipe_succeeds(line, folder, monkeypatch):
    monkeypatch.chdir(folder)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(words(line)) == 0
    assert said.getvalue()


@pytest.mark.parametrize("line", in_the_text("qgpipe"))
def test_a_call_of_qgpipe_in_the_text_is_one(line):
    command, *arguments = words(line)
    assert command in COMMANDS
    if arguments:  # otherwise it is the name of the command alone
        command_line().parse_args([command, *arguments])


@pytest.mark.parametrize("line", in_the_text("snakemake"))
def test_a_call_of_snakemake_in_the_text_is_one(line):
    with contextlib.suppress(SystemExit) if "--help" in line else contextlib.nullcontext():
        snakemake.cli.get_argument_parser().parse_args(words(line))


@pytest.mark.parametrize("line", sorted({*of("make"), *in_the_text("make")}))
def test_make_knows_the_target(line):
    result = subprocess.run(
        ["make", "--dry-run", *words(line)], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("line", in_the_text("python"))
def test_a_script_in_the_text_has_the_options(line):
    script, *options = words(line)
    code = "".join(file.read_text() for file in (ROOT / script).parent.glob("*.py"))
    assert (ROOT / script).exists()
    assert all(f'"{option}"' in code for option in options if option.startswith("-"))


@pytest.mark.parametrize("line", of("python"))
def test_a_script_knows_its_options(line):
    script, *options = words(line)
    result = subprocess.run(
        [sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    for option in options:
        assert not option.startswith("-") or option in result.stdout.split(), option


@pytest.mark.parametrize("line", [*of("pip"), *in_the_text("pip")])
def test_pip_is_asked_for_what_the_project_knows(line):
    action, *rest = words(line)
    assert action in {"install", "wheel"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    packages = {re.match(r"[\w-]+", text)[0] for texts in extras.values() for text in texts}
    for word in rest:
        found = re.fullmatch(r"(?:qgpipe|\.)\[(\w+)\]", word)
        assert found is None or found[1] in extras, word
        known = {"-c", "-e", "--no-deps", "qgpipe-*.whl", *packages}
        assert found or word in known or (ROOT / word).exists(), word


@pytest.mark.parametrize("line", [*of(".venv/bin/pytest"), *in_the_text(".venv/bin/pytest")])
def test_pytest_is_given_tests_that_there_are(line):
    assert all((ROOT / path).exists() for path in words(line))


@pytest.mark.parametrize("line", of("cp"))
def test_what_is_copied_is_there(line):
    source, _ = shlex.split(line)[1:]
    assert (ROOT / source).exists()
