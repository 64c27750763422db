"""The layers and blocks, those of ``qgpipe.models``."""

import importlib
from typing import Any

_MODULE_OF = {
    "GNNBlock": "gnn_block",
    "LinearSequential": "linear_sequential",
    "SkipConnection": "skipconnection",
    "Sequential": "sequential",
    "GPSTransformer": "gps_transformer",
}

__all__ = [*_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    if name in _MODULE_OF.values():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'QuantumGrav.models' has no attribute '{name}'")
