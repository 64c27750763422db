"""Graph neural networks on causal sets, as a Snakemake workflow over a small library.

Attributes are imported on first use, so that ``import qgpipe`` loads neither torch nor zarr.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_ATTRIBUTES = {
    "CausalSetReader": "qgpipe.data.readers.reader",
    "PackedDataset": "qgpipe.data.loading.dataset",
    "GraphLoader": "qgpipe.data.loading.loader",
    "GNNModel": "qgpipe.models",
    "GNNBlock": "qgpipe.models",
    "Sequential": "qgpipe.models",
    "LinearSequential": "qgpipe.models",
    "SkipConnection": "qgpipe.models",
    "GPSTransformer": "qgpipe.models",
    "Trainer": "qgpipe.training.trainer",
    "Evaluator": "qgpipe.training.evaluation.evaluator",
    "Validator": "qgpipe.training.evaluation.evaluator",
    "Tester": "qgpipe.training.evaluation.evaluator",
    "DefaultEarlyStopping": "qgpipe.training.early_stopping",
}
_SUBPACKAGES = {"causets", "config", "data", "models", "report", "training"}

__all__ = [*sorted(_ATTRIBUTES), "__version__"]


def __getattr__(name: str) -> Any:
    if name in _ATTRIBUTES:
        return getattr(importlib.import_module(_ATTRIBUTES[name]), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"qgpipe.{name}")
    raise AttributeError(f"module 'qgpipe' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ATTRIBUTES, *_SUBPACKAGES])
