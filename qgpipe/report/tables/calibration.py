"""What the stage ``calibrate`` has fitted, as text."""

from pathlib import Path
from typing import Any

from qgpipe.report.tables.result_files import rerun
from qgpipe.system.json_shapes import read_shaped

_SCORES = {"nll": (float, None), "calibration_error": (float, None)}
_SHAPE = {
    "run": str,
    "temperature": (None, [{"task": int, "value": float, "before": _SCORES, "after": _SCORES}]),
    "outliers?": {"score": str, "share": float, "threshold": float},
}


def read_calibration(path: Path) -> dict[str, Any]:
    """A ``calibration.json``. Raises ``DataError`` if it is missing or damaged."""
    return {"outliers": None, **read_shaped(path, _SHAPE, rerun("calibrate"))}


def calibration_lines(calibration: dict[str, Any]) -> list[str]:
    """A line for each temperature, and one for the outlier score."""
    tasks = calibration["temperature"] or []
    lines = []
    for one in tasks:
        of_task = f" of task {one['task']}" if len(tasks) > 1 else ""
        changes = ", ".join(
            f"{name.replace('_', ' ')} {one['before'][name]:.4g} to {one['after'][name]:.4g}"
            for name in _SCORES
            if one["before"][name] is not None
        )
        lines.append(f"  temperature{of_task} {one['value']:.3f}; on the validation set {changes}")
    if outliers := calibration["outliers"]:
        lines.append(
            f"  outliers: {outliers['score']} score above {outliers['threshold']:.4g}, "
            f"{outliers['share']:.0%} of the validation set"
        )
    return lines
