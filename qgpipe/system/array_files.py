"""Files of NumPy arrays with facts about them: safetensors, whose metadata has one JSON entry."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qgpipe.errors import DataError
from qgpipe.system.files import atomic_path
from qgpipe.system.json_shapes import misfit

Arrays = Callable[[str], NDArray[Any]]


def save_arrays(
    path: Path, arrays: Mapping[str, NDArray[Any]], entry: str, info: Mapping[str, Any]
) -> None:
    """Write ``arrays``, and ``info`` as JSON in the metadata called ``entry``, atomically."""
    from safetensors.numpy import save_file

    whole = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    with atomic_path(path) as temporary:  # one entry: the order of several is not fixed
        save_file(whole, temporary, {entry: json.dumps(info)})


@contextmanager
def open_arrays(
    path: Path, entry: str, shape: Mapping[str, Any], remedy: str
) -> Iterator[tuple[dict[str, Any], Arrays]]:
    """The facts and a function from names to arrays of a file that ``save_arrays`` wrote.

    ``shape``: that of the facts, as :func:`misfit` takes it; its ``format`` is the number that this
    version reads. Raises ``DataError`` with ``remedy`` if the file is missing, damaged or of
    another format, also for a ``ValueError`` or ``KeyError`` of the block.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            info = json.loads((file.metadata() or {})[entry])
            if problem := misfit(info, {**shape, "format": int}):
                raise ValueError(problem)
            if info["format"] != shape["format"]:
                raise ValueError(
                    f"this version reads format {shape['format']}, not {info['format']}"
                )
            yield info, file.get_tensor
    except FileNotFoundError:
        raise DataError(f"no such file: {path}", remedy=remedy) from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged: {error}", remedy=remedy) from None
