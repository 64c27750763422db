from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qgpipe.config.objects import add_search_path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240607)


@pytest.fixture
def user_folder(tmp_path: Path) -> Path:
    """A folder for modules of a user, among those that are searched."""
    folder = tmp_path / "modules"
    folder.mkdir()
    add_search_path(folder)
    return folder


@pytest.fixture
def section() -> Callable[..., dict]:
    """A resolved ``generate`` section, with changes."""

    def make(**changes) -> dict:
        base = {
            "seed": 7,
            "layout": "stacked",
            "stores": ["a"],
            "num_samples": 9,
            "size": [6, 12],
            "classes": ["polynomial", "destroyed", "merged"],
        }
        return base | changes

    return make
