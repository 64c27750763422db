"""QuantumGravPy's public names over the parts of qgpipe: what ``import QuantumGrav`` gives.

Both states of its interface are served, that of January 2026 (``Trainer(config)``,
``DefaultValidator``) and that of May 2026 (``Trainer.from_config``, ``DataLoaderFactory``,
``Validator``). Names are imported on first use.
"""

import importlib
from typing import Any

from qgpipe.system.quantumgrav_import import provide

_MODULE_OF = {
    "QGDataset": "dataset_ondisk",
    "DataLoaderFactory": "dataloaders",
    "DistributedDataLoaderFactory": "dataloaders",
    "GNNModel": "gnn_model",
    "Evaluator": "evaluate",
    "Validator": "evaluate",
    "Tester": "evaluate",
    "DefaultEvaluator": "evaluate",
    "DefaultValidator": "evaluate",
    "DefaultTester": "evaluate",
    "DefaultEarlyStopping": "early_stopping",
    "ConfigHandler": "config_utils",
    "get_loader": "config_utils",
    "Trainer": "train",
    "TrainerDDP": "train_ddp",
    "initialize_ddp": "train_ddp",
    "cleanup_ddp": "train_ddp",
    "zarr_group_to_dict": "load_zarr",
    "zarr_file_to_dict": "load_zarr",
    "import_and_get": "utils",
    "get_at_path": "utils",
    "assign_at_path": "utils",
}
_MODULES = {
    "base", "config_utils", "dataloaders", "dataset_base", "dataset_ondisk", "early_stopping",
    "evaluate", "gnn_model", "load_zarr", "models", "train", "train_ddp", "utils", "QGTune",
}  # fmt: skip

__all__ = sorted({*_MODULE_OF, "models"})

provide()


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "JuliaWorker":
        raise AttributeError(
            "qgpipe has no JuliaWorker: write the causal sets to zarr with QuantumGrav.jl, or use "
            "'generate' in the configuration"
        )
    raise AttributeError(f"module 'QuantumGrav' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF, *_MODULES})
