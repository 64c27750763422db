"""The conda environments hold the versions that the constraints pin."""

from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {
    "pytorch": "torch",
    "pytorch_geometric": "torch-geometric",
    "matplotlib-base": "matplotlib",
}


def constraints() -> dict[str, str]:
    lines = (ROOT / "envs" / "constraints.txt").read_text().splitlines()
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {name.lower(): version for name, version in pins}


@pytest.mark.parametrize("file", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda f: f.name)
def test_conda_versions_are_those_of_the_constraints(file):
    pinned = constraints()
    packages = dict(d.split("=") for d in yaml.safe_load(file.read_text())["dependencies"])
    assert packages.pop("python") == "3.11"
    wrong = {
        name: version
        for name, version in packages.items()
        if pinned[CONDA_NAMES.get(name, name)] != version
    }
    assert not wrong


def test_every_dependency_is_pinned_within_its_range():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = constraints()
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for requirement in map(Requirement, needed):
        assert pinned[requirement.name.lower()] in requirement.specifier, requirement.name
