"""The pages, the blocks in them, and a folder in which what a page shows can run."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from qgpipe.causets.writers.generate import generate_store

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
STORE = {"seed": 1, "num_samples": 24, "size": [8, 12], "layout": "stacked"}
CLASSES = ["polynomial", "destroyed", "merged"]
PLAIN = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Block:
    """A fenced block: ``line`` is where it begins on its page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def defines(self) -> list[str]:
        """Functions and classes, if the code does nothing else; a script defines nothing."""
        body = ast.parse(self.text).body
        if not all(isinstance(statement, PLAIN) for statement in body):
            return []
        return [s.name for s in body if isinstance(s, ast.FunctionDef | ast.ClassDef)]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``page``, ``yaml_block`` or ``script`` runs for each of them."""
    cases = {
        "page": PAGES,
        "yaml_block": [b for b in BLOCKS if b.language == "yaml"],
        "script": [b for b in BLOCKS if b.language == "python" and not b.defines],
    }
    for name in cases.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(name, cases[name], ids=str if name != "page" else lambda p: p.name)


@pytest.fixture(scope="session")
def blocks() -> list[Block]:
    return BLOCKS


LOCAL_STORE = r"(?<![\w/:.])\w[\w/]*\.zarr(?!\.zip)"  # no URL


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``stacked``, ``groups`` and ``edges.zarr``: a few causal sets of three classes in each."""
    folder = tmp_path_factory.mktemp("stores")
    for layout in ("stacked", "groups"):
        settings = {**STORE, "layout": layout, "classes": CLASSES}
        generate_store(settings, layout, folder / f"{layout}.zarr")
        root = zarr.open_group(folder / f"{layout}.zarr")
        each = [group for _, group in root.groups()] or [root]
        for group in each:  # a real target, which generated stores lack
            count = STORE["num_samples"] if group is root else 1
            group.create_array("dimension", data=np.linspace(2, 4, count), overwrite=True)
    shutil.copytree(folder / "groups.zarr", folder / "edges.zarr")
    for _, group in list(zarr.open_group(folder / "edges.zarr").groups()):  # lists, from 1
        later, earlier = np.nonzero(group["adj"][:])
        del group["adj"], group["linkmat"]
        group.create_array("source", data=earlier + 1)
        group.create_array("target", data=later + 1)
        group.create_array("num_elements", data=np.array(group["in_degree"].shape))
    return folder


@pytest.fixture
def project(tmp_path: Path, stores: Path, monkeypatch) -> Iterator[Callable[[Path], None]]:
    """Makes the working directory a project in which what ``page`` shows can run.

    It holds the functions and classes of the page in ``mymodule``, the configuration of
    ``run.yaml``, and the stores that the page names, all small.
    """
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # graphs this small gain nothing by more, and may wait for them

    def make(page: Path) -> None:
        shown = [b for b in blocks_of(page) if b.language == "python" and b.defines]
        Path("mymodule.py").write_text("\n\n".join(b.text for b in shown))
        Path("config").mkdir()
        for copy in ("run.yaml", "config/run.yaml"):
            shutil.copy(Path(__file__).with_name("run.yaml"), copy)
        for name in set(re.findall(LOCAL_STORE, page.read_text())) | {"data/first.zarr"}:
            layout = next((one for one in ("groups", "edges") if one[:-1] in name), "stacked")
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(stores / f"{layout}.zarr", name)
        importlib.invalidate_caches()

    yield make
    torch.set_num_threads(threads)
    sys.modules.pop("mymodule", None)
