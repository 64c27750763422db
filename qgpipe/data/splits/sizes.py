"""The sizes of the sets, and checks that no set is empty.

Used while a run is planned, so nothing here imports numpy.
"""

import math
from collections.abc import Mapping, Sequence

from qgpipe.config.resolve import ROLES
from qgpipe.config.types import Config
from qgpipe.errors import ConfigError

STAGES = ("train", "validation", "test")
TOLERANCE = 1e-6
KEY = "data.split"


def split_sizes(num_graphs: int, fractions: Sequence[float]) -> list[int]:
    """Numbers of training, validation and test graphs: ceil, floor, and the rest.

    ``fractions``: two (no test set) or three that sum to 1 within 1e-6. Sizes are rounded with that
    tolerance: 0.55 of 100 is 55, although the product is larger in floating point. Raises
    ``ConfigError`` if they do not sum to 1.
    """
    if abs(sum(fractions) - 1) > TOLERANCE:
        raise ConfigError(
            f"the shares {list(fractions)} sum to {sum(fractions):g}",
            key=KEY,
            remedy="they have to sum to 1",
        )
    slack = min(TOLERANCE * max(num_graphs, 1), 1e-3)
    train = min(math.ceil(fractions[0] * num_graphs - slack), num_graphs)
    if len(fractions) == 2:
        return [train, num_graphs - train]
    validation = math.floor(fractions[1] * num_graphs + slack)
    validation = min(validation, num_graphs - train)
    return [train, validation, num_graphs - train - validation]


def require_batches(config: Config, sizes: Sequence[int]) -> None:
    """Raise ``ConfigError`` if a set, of ``sizes``, is emptied by ``drop_last``."""
    for key, size in zip(ROLES, sizes, strict=True):
        section = config.get(key)
        if section and section["drop_last"] and size < section["batch_size"]:
            raise ConfigError(
                f"all {size} graphs are left out: they do not fill a batch of "
                f"{section['batch_size']}",
                key=f"{key}.drop_last",
                remedy=f"set it to false, or {key}.batch_size to {size} at most",
            )


def share_size(num_graphs: int, share: float) -> int:
    """The number of graphs in the share ``data.subset`` of ``num_graphs``, rounded up."""
    return min(math.ceil(share * num_graphs - TOLERANCE), num_graphs)


def require_filled(sizes: Sequence[int], fractions: Sequence[float]) -> None:
    """Raise ``ConfigError`` if one of the sets, of ``sizes``, is empty."""
    if min(sizes) == 0:
        names = STAGES[: len(sizes)]
        counts = ", ".join(f"{size} {name}" for name, size in zip(names, sizes, strict=True))
        shares = [round(share, 6) for share in fractions]
        raise ConfigError(
            f"{shares} of {sum(sizes)} graphs leaves a part empty ({counts})",
            key=KEY,
            remedy="use more graphs or a larger share",
        )


def require_graphs(num_graphs: int, folds: int) -> None:
    """Raise ``ConfigError`` if there are fewer graphs than folds."""
    if num_graphs < folds:
        raise ConfigError(
            f"{folds} folds of {num_graphs} graphs", key="data.folds", remedy="use fewer"
        )


def require_folds(class_counts: Mapping[int, int], folds: int) -> None:
    """Raise ``ConfigError`` if a class has fewer graphs than there are folds."""
    label, count = min(class_counts.items(), key=lambda item: item[1])
    if count < folds:
        raise ConfigError(
            f"{folds} stratified folds, but class {label} has {count} graphs",
            key="data.folds",
            remedy=f"use {count} folds at most, or data.split_method: random",
        )
