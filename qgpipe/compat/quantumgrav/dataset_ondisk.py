"""The graphs of raw stores as a PyG data set."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Dataset

from qgpipe.compat.quantumgrav.base import errors_as_there
from qgpipe.compat.quantumgrav.configuration import resolved
from qgpipe.compat.quantumgrav.dataset_base import QGDatasetBase
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.training.prepare import prepare_graphs


class QGDataset(QGDatasetBase, Dataset):
    """The samples of the stores ``input``, with functions of the user applied.

    With ``pre_filter`` or ``pre_transform`` they are preprocessed to part files in ``output``, once
    for the same data and code: ``packed``. Otherwise the reader is called at each access.
    """

    def __init__(
        self,
        input: Iterable[str | Path],
        output: str | Path,
        reader: Callable[..., Any] | None = None,
        float_type: torch.dtype = torch.float32,
        int_type: torch.dtype = torch.int64,
        validate_data: bool = True,
        chunksize: int = 1000,
        n_processes: int = 1,
        transform: Callable[[Any], Any] | None = None,
        pre_transform: Callable[[Any], Any] | None = None,
        pre_filter: Callable[[Any], bool] | None = None,
    ):
        """Raises ``FileNotFoundError`` for a missing store, ``ConfigurationError`` for a bad."""
        preprocess = pre_transform is not None or pre_filter is not None
        with errors_as_there():
            QGDatasetBase.__init__(
                self, input, output, reader, float_type, int_type, validate_data, n_processes,
                chunksize, preprocess,
            )  # fmt: skip
        Dataset.__init__(self, transform=transform)
        self.pre_transform, self.pre_filter = pre_transform, pre_filter
        self.packed = self._preprocessed() if preprocess else None

    def _preprocessed(self) -> PackedDataset:
        data = {
            "files": [str(file) for file in self.input],
            "output": str(self.output),
            "reader": self.data_reader,
            "float_type": self.float_type,
            "int_type": self.int_type,
            "validate_data": self.validate_data,
            "n_processes": max(1, self.n_processes),
            "chunksize": self.chunksize,
            "pre_transform": self.pre_transform,
            "pre_filter": self.pre_filter,
            "split": [0.8, 0.1, 0.1],
        }
        plain = {"seed": 0, "num_epochs": 1, "batch_size": 1}
        with errors_as_there():
            config = resolved({"data": data, "training": plain})
            return PackedDataset(prepare_graphs(config), transform=self.transform)

    def len(self) -> int:
        """The number of graphs."""
        return self._num_samples if self.packed is None else self.packed.len()

    def get(self, idx: int) -> Any:
        """The graph at ``idx``, not transformed."""
        return (
            self.read_sample(*self.map_index(idx)) if self.packed is None else self.packed.get(idx)
        )
