import pytest


@pytest.fixture
def minimal() -> dict:
    """The smallest configuration that resolves."""
    return {
        "data": {"files": ["a.zarr"]},
        "model": {"encoder_type": "torch.nn.Identity", "downstream_tasks": ["torch.nn.Identity"]},
        "training": {"seed": 1, "num_epochs": 2, "batch_size": 4},
        "criterion": "mymodule.loss",
    }
