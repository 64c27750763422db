"""The columns of an evaluation, and whether a lower or a higher metric is better.

The latter is derived from the name of the monitor, without importing it, because the Snakefile also
needs it.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal

from qgpipe.config.objects import PARTIAL, dotted_name, is_partial
from qgpipe.config.types import MonitorTask
from qgpipe.errors import ConfigError

Better = Literal["min", "max"]

LOSSES = ("loss_avg", "loss_min", "loss_max")  # columns of every evaluation
OWN = "criterion_"  # prefix of the column of a loss whose name is used by a task

# Functions of the losses of the samples, which are passed to monitors with one parameter.
_OF_LOSSES = re.compile(r"numpy\.(mean|average|median|sum|max|amax|min|amin|percentile|quantile)")
_HIGHER = ("score", "accuracy", "precision", "recall", "specificity", "auroc", "corrcoef",
           "cohenkappa", "jaccardindex", "explainedvariance")  # fmt: skip
_LOWER = ("error", "loss", "deviance", "daviesbouldinscore")


def better(monitor: Any) -> Better | None:
    """``min`` or ``max`` for a monitor of scikit-learn, torchmetrics or NumPy; None if unknown.

    ``monitor``: the object, or its name as a configuration has it.
    """
    name = _name(monitor)
    if _OF_LOSSES.fullmatch(name):
        return "min"
    if name.partition(".")[0] not in ("sklearn", "torchmetrics"):
        return None
    last = name.rpartition(".")[2].lower().replace("_", "")
    if last.endswith(_LOWER):
        return "min"
    return "max" if last.endswith(_HIGHER) else None


def require_column(name: str, columns: Iterable[Any], key: str) -> None:
    """Raise ``ConfigError`` with ``key`` unless ``name`` is one of the validation ``columns``."""
    known = list(dict.fromkeys(map(str, columns)))
    if name not in known:
        raise ConfigError(
            f"the validation results have no column '{name}'",
            key=key,
            remedy=f"the columns are {', '.join(known)}",
        )


def is_mean_loss(task: MonitorTask) -> bool:
    """Whether an evaluator task computes the mean of the losses of the samples, unchanged."""
    plain = not task.get("args") and not task.get("kwargs")
    return plain and _name(task["monitor"]) == "numpy.mean"


def _name(monitor: Any) -> str:
    if is_partial(monitor):
        monitor = monitor[PARTIAL]["type"]
    monitor = getattr(monitor, "func", monitor)
    if isinstance(monitor, str):
        return dotted_name(monitor)
    name = getattr(monitor, "__qualname__", type(monitor).__qualname__)
    return f"{getattr(monitor, '__module__', '')}.{name}"
