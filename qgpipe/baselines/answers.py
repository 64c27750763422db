"""The file with the predictions of the baselines for the test set of one dataset and split."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qgpipe.report.tables.result_files import rerun
from qgpipe.system.array_files import Arrays, open_arrays, save_arrays

_ENTRY = "baselines"  # key of the metadata
_INFO = {
    "format": 1,
    "num_train": int,
    "fitted_to": int,
    "features": [str],
    "targets": [
        {"name": str, "num_classes": (int, None), "methods": [str], "left_out": {str: str}}
    ],
    "left_out": {str: str},
}


@dataclass
class TargetAnswers:
    """The predictions of one target.

    ``target``: int64 or float64 [N]. ``num_classes``: C, or None for a regression target.
    ``outputs``: for each baseline, float64 [N, C] or [N], as in ``methods``. ``left_out``: for each
    baseline without outputs, the reason.
    """

    name: str
    num_classes: int | None
    target: NDArray[Any]
    outputs: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass
class BaselineAnswers:
    """The predictions of the baselines for the N graphs of the test set.

    ``ids``: ``store/index`` of each. ``num_train``: graphs of the training set; ``fitted_to``: how
    many of them were used. ``features``: names of the features. ``left_out``: for each baseline
    that predicts no target, the reason.
    """

    ids: list[str]
    num_train: int
    fitted_to: int
    features: list[str]
    targets: list[TargetAnswers]
    left_out: dict[str, str]


def save_answers(answers: BaselineAnswers, path: Path) -> None:
    """Write ``answers`` to ``path``, atomically."""
    text = "\n".join(answers.ids).encode()
    arrays: dict[str, NDArray[Any]] = {"ids": np.frombuffer(text, np.uint8)}
    for t, one in enumerate(answers.targets):
        arrays[f"target.{t}"] = one.target
        arrays |= {f"outputs.{t}.{name}": values for name, values in one.outputs.items()}
    info = {
        "format": _INFO["format"],
        "num_train": answers.num_train,
        "fitted_to": answers.fitted_to,
        "features": answers.features,
        "targets": [
            {
                "name": one.name,
                "num_classes": one.num_classes,
                "methods": list(one.outputs),
                "left_out": one.left_out,
            }
            for one in answers.targets
        ],
        "left_out": answers.left_out,
    }
    save_arrays(path, arrays, _ENTRY, info)


def read_answers(path: Path) -> BaselineAnswers:
    """The predictions in ``path``. Raises ``DataError`` if it is missing or damaged."""
    with open_arrays(path, _ENTRY, _INFO, rerun("baseline")) as (info, array):
        text = array("ids").tobytes().decode()
        ids = text.split("\n") if text else []
        targets = [_target(array, t, one) for t, one in enumerate(info["targets"])]
        for one in targets:
            _require_rows(one, len(ids))
    facts = {name: info[name] for name in ("num_train", "fitted_to", "features", "left_out")}
    return BaselineAnswers(ids=ids, targets=targets, **facts)


def _require_rows(one: TargetAnswers, count: int) -> None:
    """Raise ``ValueError`` unless target and outputs have a row for each of ``count`` graphs."""
    columns = () if one.num_classes is None else (one.num_classes,)
    shapes = {"target": one.target.shape[:1], **{k: v.shape for k, v in one.outputs.items()}}
    for name, shape in shapes.items():
        if shape != (count, *(columns if name != "target" else ())):
            raise ValueError(f"'{name}' of '{one.name}' has the shape {shape}")


def _target(array: Arrays, t: int, info: dict[str, Any]) -> TargetAnswers:
    outputs = {name: array(f"outputs.{t}.{name}") for name in info["methods"]}
    target = array(f"target.{t}")
    return TargetAnswers(info["name"], info["num_classes"], target, outputs, info["left_out"])
