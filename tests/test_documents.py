"""What the README and the pages in docs/ show is what works."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
import zarr

from qgpipe.config import load_config, resolve_config
from qgpipe.config.tags import ConfigLoader
from qgpipe.data.sample_store import SampleStore
from qgpipe.data.stores import open_store

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
SWEEPS = ROOT / "docs" / "sweeps.md"  # its configurations stand for several runs


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)


def laid_over(config: dict, changes: dict) -> dict:
    """``config`` with ``changes``, key by key; a list or an object is replaced."""
    merged = {
        key: laid_over(config[key], value)
        if isinstance(value, dict) and isinstance(config.get(key), dict) and "type" not in value
        else value
        for key, value in changes.items()
    }
    return {**config, **merged}


@pytest.mark.parametrize(
    "block",
    [pytest.param(b, id=p.stem) for p in PAGES if p != SWEEPS for b in blocks(p, "yaml")],
)
def test_a_configuration_in_the_documents_is_valid(block):
    default = load_config(ROOT / "config" / "run.yaml")
    shown = yaml.load(block, Loader=ConfigLoader)
    resolved = resolve_config(laid_over(default, shown))
    for section, keys in shown.items():
        assert not isinstance(keys, dict) or set(keys) <= set(resolved[section])


def test_the_page_about_trouble_is_that_of_the_catalogue():
    made = subprocess.run(
        [sys.executable, ROOT / "tests" / "errors" / "troubleshooting.py"],
        capture_output=True,
        text=True,
    )
    assert (ROOT / "docs" / "troubleshooting.md").read_text() == made.stdout, made.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [t for t in links if "://" not in t and not (page.parent / t).exists()]
    assert not missing


def test_the_reader_in_the_documents_reads_a_stacked_store(tmp_path):
    relations = np.triu(np.ones((4, 4)), 1)
    group = zarr.create_group(tmp_path / "data.zarr", zarr_format=2)
    group.create_array("adjacency_matrix", data=np.stack([relations.T, np.zeros((4, 4))]))
    group.create_array("cset_size", data=np.array([4, 2]))
    group.create_array("manifold_like", data=np.array([True, False]))
    module: dict = {}
    (code,) = blocks(ROOT / "docs" / "your-data.md", "python")
    exec(code, module)
    for store in (group, SampleStore(open_store(tmp_path / "data.zarr"))):
        first, second = (module["read"](store, i, torch.float32, torch.int64, True) for i in (0, 1))
        assert first.edge_index.tolist() == [[0, 0, 0, 1, 1, 2], [1, 2, 3, 2, 3, 3]]
        assert first.x.flatten().tolist() == [0, 1, 2, 3]
        assert (first.y.item(), second.y.item()) == (1, 0)
        assert second.num_nodes == 2
