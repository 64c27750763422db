import pytest

from qgpipe.config import objects


@pytest.fixture
def minimal() -> dict:
    """The smallest configuration that resolves."""
    return {
        "data": {"files": ["a.zarr"]},
        "model": {"encoder_type": "torch.nn.Identity", "downstream_tasks": ["torch.nn.Identity"]},
        "training": {"seed": 1, "num_epochs": 2, "batch_size": 4},
        "criterion": "mymodule.loss",
    }


@pytest.fixture
def user_folder(tmp_path, monkeypatch):
    """A folder in which modules of a configuration are found."""
    monkeypatch.setenv(objects.SEARCH_PATH_VARIABLE, "")
    objects.add_search_path(tmp_path)
    return tmp_path
