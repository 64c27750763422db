"""The stages ``train`` and ``test``, which write the files of a run."""

import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch_geometric

import qgpipe
from qgpipe.config.dump import to_yaml
from qgpipe.config.objects import import_object
from qgpipe.config.types import Config
from qgpipe.models import load_model, read_model_file
from qgpipe.system.device import resolve_device
from qgpipe.system.files import write_json, write_text
from qgpipe.system.logs import NOTES
from qgpipe.system.rng import deterministic_algorithms
from qgpipe.training.distributed.join import is_to_launch
from qgpipe.training.distributed.launch import launch
from qgpipe.training.evaluation.baseline import evaluate_baseline
from qgpipe.training.evaluation.evaluator import (
    Evaluator,
    Tester,
    build_evaluator,
    report_row,
    require_decided,
)
from qgpipe.training.evaluation.metrics import Collected
from qgpipe.training.evaluation.predictions_table import predictions_table
from qgpipe.training.evaluation.test_report import metrics_content
from qgpipe.training.loaders import (
    Loaders,
    graph_targets,
    left_out_text,
    open_loaders,
    select_edge_format,
)
from qgpipe.training.model_sizes import with_sizes
from qgpipe.training.steps.criterion import evaluation_criterion
from qgpipe.training.trainer import Trainer

SUMMARY_FORMAT = 1


def train_run(config: Config, dataset_json: Path, split_json: Path, run_folder: Path) -> None:
    """Train with the resolved ``config``, from the last checkpoint if there is one.

    Writes ``config.yaml``, ``model.pt``, ``history.csv`` and ``summary.json`` to ``run_folder``.
    Raises the exceptions of ``Trainer``.
    """
    config = with_sizes(config, dataset_json)
    text = to_yaml(config)  # before training: it fails for an object without an importable name
    if is_to_launch(config):
        return launch(train_run, config, dataset_json, split_json, run_folder)
    trainer = Trainer(config, run_folder)
    loaders = open_loaders(config, dataset_json, split_json)
    trainer.run_training(loaders.train, loaders.validation)
    if trainer.processes.rank != 0:
        return None
    write_text(run_folder / "config.yaml", text)
    write_text(run_folder / "history.csv", trainer.history.to_csv())
    write_json(run_folder / "summary.json", _summary(trainer))
    return trainer.save_best_model(run_folder / "model.pt")


def test_run(
    config: Config, dataset_json: Path, split_json: Path, model_path: Path, output_folder: Path
) -> None:
    """Test the model in ``model_path`` with the resolved ``config``.

    Writes ``metrics.json`` and ``predictions.csv`` to ``output_folder``. Raises ``ConfigError``,
    ``DataError`` or ``TrainingError`` for errors that a user can fix.
    """
    device = resolve_device(config["training"]["device"])
    content = read_model_file(model_path)
    criterion = evaluation_criterion(config, device, content, model_path)
    apply_model = import_object(config["apply_model"], "apply_model")
    tester = build_evaluator(config, "testing", device, criterion, apply_model)
    loaders = open_loaders(config, dataset_json, split_json)
    model = load_model(model_path, device, section=config["model"])
    select_edge_format([loaders.test], model, config, device)
    own = Tester(device, criterion, apply_model=apply_model)
    with deterministic_algorithms(config["training"]["deterministic"]):
        results = tester.test(model, loaders.test)
        row = report_row(tester, results, "testing.tester")
        collected = _collected(tester, model, loaders.test, own)
        baseline = _baseline(tester, collected, loaders)
    require_decided(collected, loaders.test)
    _note(row, loaders.test)
    dataset = loaders.test.dataset
    content = metrics_content(
        config["name"],
        content.get("epoch"),  # missing in a file that is not from a run
        row,
        baseline,
        collected,
        dataset.class_names,
    )
    assert collected.positions is not None
    table = predictions_table(collected, dataset.sample_ids(collected.positions))
    write_text(output_folder / "predictions.csv", table.to_csv(index=False))
    write_json(output_folder / "metrics.json", content)


def _note(row: Mapping[str, Any], loader: Any) -> None:
    """Log notes on the results of a test."""
    bad = [k for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)]
    if bad:
        NOTES.warning("not finite, and null in metrics.json: %s", ", ".join(bad))
    if left_out := left_out_text(loader):
        NOTES.warning("testing.drop_last leaves out %s", left_out)


def _summary(trainer: Trainer) -> dict[str, Any]:
    assert trainer.checkpoints is not None
    rows = trainer.history.rows
    seconds = sum(row["seconds"] for row in rows)
    graphs = sum(row["seconds"] * row["graphs_per_second"] for row in rows)
    best = trainer.selection
    return {
        "format": SUMMARY_FORMAT,
        "run": trainer.config["name"],
        "best_epoch": best.epoch,
        "best_score": best.score if math.isfinite(best.score) else None,
        "metric": best.column(trainer.history),
        "epochs": trainer.epoch,
        "stopped_by": "early stopping" if best.stopped else "num_epochs",
        "seconds": seconds,
        "graphs_per_second": graphs / seconds if seconds else None,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "device": str(trainer.device),
        "checkpoints": str(trainer.checkpoints.folder.relative_to(trainer.folder)),
        "versions": {
            "qgpipe": qgpipe.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torch_geometric": torch_geometric.__version__,
            "numpy": np.__version__,
        },
    }


def _collected(tester: Any, model: torch.nn.Module, loader: Any, own: Tester) -> Collected:
    """The collected outputs of ``tester``, or of ``own`` if ``tester`` does not collect them."""
    if isinstance(tester, Tester) and tester.collected is not None:
        return tester.collected
    own.evaluate(model, loader)
    assert own.collected is not None
    return own.collected


def _baseline(tester: Any, collected: Collected, loaders: Loaders) -> pd.DataFrame | None:
    """The tester's row for the best constant prediction, if there is one."""
    if not isinstance(tester, Evaluator):
        return None
    targets = graph_targets(loaders.train.dataset)
    return None if targets is None else evaluate_baseline(tester, collected, targets, loaders.test)
