"""CONTRIBUTING.md names files that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The stage that is shown as an example is not there; tests/workflow/test_new_stage.py adds it.
TEXT = re.sub(r"^```.*?^```$", "", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.M | re.S)
EXAMPLE = "confidence"
# A path in backticks or plain: with a folder, or a file of the root.
PATHS = set(
    re.findall(r"(?<![\w./])(?:[\w.-]+/)+(?:[\w.-]+\w)?|\bSnakefile\b|pyproject\.toml", TEXT)
)


def test_it_names_paths():
    assert len(PATHS) > 30


def test_every_path_exists():
    missing = [path for path in PATHS if not (ROOT / path).exists() and EXAMPLE not in path]
    assert not missing


def test_every_way_to_add_something_names_files():
    items = re.findall(r"^\*\*(an? [\w ]+)\*\*(.*?)(?=^\*\*|^## |\Z)", TEXT, re.M | re.S)
    assert {"a layer", "a monitor", "a generator", "a stage"} <= {name for name, _ in items}
    for name, text in items:
        assert any(path in text for path in PATHS), name
