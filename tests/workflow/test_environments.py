"""The conda environments hold the versions that the constraints pin."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from qgpipe.data.graphs.from_pyg import pack
from qgpipe.data.storage.manifest import write_dataset
from qgpipe.data.storage.part_file import write_part

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


ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda f: f.name)
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


WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Present(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.partition(".")[0] in {absent}
        return None if absent else super().find_spec(name, path, target)

sys.meta_path = [Present if finder is PathFinder else finder for finder in sys.meta_path]
import {modules}
"""

READ = """
import numpy as np
from qgpipe.data.loading.dataset import PackedDataset
for form in ("edges", "csr", "dense"):
    assert PackedDataset({path!r}).batch(np.arange(2), form).num_edges == 3
"""


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda f: f.name)
def test_the_scripts_of_an_environment_need_nothing_that_it_lacks(file, compressed_dataset):
    code = WITHOUT.format(absent=absent(file), modules=", ".join(imported(file)))
    if file.stem in ("train", "tune", "predict"):
        code += READ.format(path=str(compressed_dataset))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def compressed_dataset(tmp_path):
    """A data set of two graphs with three edges, in a compressed part."""
    import torch
    from torch_geometric.data import Data

    edges = [torch.tensor([[0, 0, 1], [1, 2, 2]]), torch.empty(2, 0, dtype=torch.int64)]
    graphs = [
        Data(x=torch.ones(3, 1), y=torch.tensor(k), edge_index=e) for k, e in enumerate(edges)
    ]
    info = {"store": "s", "start": 0, "stop": 2, "num_filtered": 0, "num_skipped": 0}
    names = dict.fromkeys(["node_features", "graph_features", "class_names", "target"])
    part = tmp_path / "parts" / "s-000000000.safetensors"
    write_part(part, pack(graphs, store="s"), {**info, "skipped": [], **names}, compress=True)
    store = {"name": "s", "path": "s", "layout": "stacked", "role": "all"}
    write_dataset([part], [store], tmp_path / "dataset.json")
    return tmp_path / "dataset.json"


def imported(environment: Path) -> list[str]:
    """The modules that the scripts of the rules with this environment import."""
    rules = "".join(file.read_text() for file in sorted((ROOT / "rules").glob("*.smk")))
    pairs = re.findall(r'envs/(\w+)\.yaml".*?script:\n\s+"\.\./(scripts/\w+\.py)"', rules, re.S)
    scripts = [(ROOT / script).read_text() for name, script in pairs if name == environment.stem]
    return sorted(set(re.findall(r"from (qgpipe\.\S+) import", "".join(scripts))))


def absent(environment: Path) -> set[str]:
    """Top-level modules of what is installed here and would not be in the environment."""
    listed = yaml.safe_load(environment.read_text())["dependencies"]
    names = (dependency.partition("=")[0] for dependency in listed)
    present = {"qgpipe", "pip", "setuptools", "snakemake"}
    missing = {canonicalize_name(CONDA_NAMES.get(name, name)) for name in names} - {"python"}
    while missing:
        present |= missing
        missing = {needed for name in missing for needed in required(name)} - present
    return {
        module
        for module, owners in packages_distributions().items()
        if not {canonicalize_name(owner) for owner in owners} & present
    }


def required(name: str) -> set[str]:
    """What the distribution ``name`` requires without extras."""
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return set()
    requirements = map(Requirement, lines)
    return {
        canonicalize_name(requirement.name)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
