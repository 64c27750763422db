"""Samples of raw stores, read by a function of the user."""

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qgpipe.compat.quantumgrav.base import ConfigurationError
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.quantumgrav.sample_store import SampleStore
from qgpipe.data.raw.arrays import count_samples


class QGDatasetBase:
    """The samples of the stores ``input``, numbered in their order.

    ``reader(store, index, float_type, int_type, validate_data)`` gets what works as a store and as
    its root group.
    """

    def __init__(
        self,
        input: Iterable[str | Path],
        output: str | Path,
        reader: Callable[..., Any] | None = None,
        float_type: torch.dtype = torch.float32,
        int_type: torch.dtype = torch.int64,
        validate_data: bool = True,
        n_processes: int = 1,
        chunksize: int = 1000,
        preprocess: bool = False,
    ):
        """``preprocess``: for ``metadata`` alone.

        Raises ``FileNotFoundError`` if a store is missing, ``ConfigurationError`` without reader.
        """
        if reader is None:
            raise ConfigurationError("there is no function to read samples with", key="reader")
        self.input, self.output = list(input), output
        for file in self.input:
            if not Path(file).exists():
                raise FileNotFoundError(f"no such store: {file}")
        self.data_reader = reader
        self.float_type, self.int_type = float_type, int_type
        self.validate_data = validate_data
        self.n_processes, self.chunksize = n_processes, chunksize
        self.preprocess = preprocess
        self.stores: dict[Any, SampleStore] = {}
        counts = [count_samples(open_store(file)) for file in self.input]
        self._num_samples_per_file = np.array(counts, np.int64)
        self._num_samples = sum(counts)

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What the data set is made of, as plain values."""
        return {
            "num_samples": self._num_samples,
            "num_samples_per_file": self._num_samples_per_file.tolist(),
            "input": [str(Path(file).resolve()) for file in self.input],
            "output": str(Path(self.output).resolve()),
            "float_type": str(self.float_type),
            "int_type": str(self.int_type),
            "validate_data": self.validate_data,
            "n_processes": self.n_processes,
            "chunksize": self.chunksize,
            "preprocess": self.preprocess,
        }

    @property
    def processed_dir(self) -> str:
        """The folder of the preprocessed graphs."""
        return str(Path(self.output).resolve())

    @property
    def raw_file_names(self) -> list[str]:
        """Names of the stores."""
        return [Path(file).name for file in self.input]

    @property
    def processed_file_names(self) -> list[str]:
        """Names of the part files."""
        return sorted(file.name for file in (Path(self.output) / "parts").glob("*.safetensors"))

    def map_index(self, idx: int) -> tuple[Any, int]:
        """The store of sample ``idx``, and its index there. Raises ``ConfigurationError``."""
        ends = np.cumsum(self._num_samples_per_file)
        if not 0 <= idx < self._num_samples:
            raise ConfigurationError(f"there is no sample {idx} of {self._num_samples}")
        number = int(np.searchsorted(ends, idx, side="right"))
        return self.input[number], idx - int(ends[number] - self._num_samples_per_file[number])

    def read_sample(self, file: str | Path, index: int) -> Any:
        """What the reader returns for sample ``index`` of the store ``file``."""
        if file not in self.stores:
            self.stores[file] = SampleStore(open_store(file))
        store = self.stores[file]
        with store.kept_open():
            return self.data_reader(
                store, index, self.float_type, self.int_type, self.validate_data
            )

    def process_chunk(
        self,
        store: Any,
        start: int,
        pre_transform: Callable[[Any], Any] | None = None,
        pre_filter: Callable[[Any], bool] | None = None,
    ) -> list[Any]:
        """The samples of ``store``, opened by zarr, from ``start`` on, at most ``chunksize``.

        Those for which ``pre_filter`` is false are left out.
        """
        stop = min(start + self.chunksize, count_samples(open_store(store.root)))
        samples = [self.read_sample(store.root, index) for index in range(start, stop)]
        kept = [sample for sample in samples if pre_filter is None or pre_filter(sample)]
        return kept if pre_transform is None else [pre_transform(sample) for sample in kept]

    def close(self) -> None:
        """Forget the open stores."""
        self.stores.clear()
