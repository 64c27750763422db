"""The stage ``calibrate``: temperature and outlier score of a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qgpipe.calibration.combine import answers_of
from qgpipe.calibration.outliers import energy_buffers, mahalanobis_buffers, with_threshold
from qgpipe.calibration.temperature import calibration_of, fit_temperature
from qgpipe.config.objects import import_object
from qgpipe.config.types import Config
from qgpipe.errors import ConfigError, TrainingError
from qgpipe.models import load_model, read_model_file, save_model
from qgpipe.models.construct.calibrator import Calibrator, with_calibrator
from qgpipe.prediction.outputs import Seen, collect_outputs
from qgpipe.system.device import resolve_device
from qgpipe.system.files import write_json
from qgpipe.system.rng import deterministic_algorithms
from qgpipe.training.evaluation.metrics import Collected
from qgpipe.training.loaders import open_loaders, select_edge_format

FORMAT = 1
CALIBRATE, OUTLIER_SCORE = "testing.calibrate", "testing.outlier_score"


def calibrate_run(
    config: Config,
    dataset_json: Path,
    split_json: Path,
    model_path: Path,
    output: Path,
    report: Path,
) -> None:
    """Fit what ``testing`` asks for to the model in ``model_path``, and write it to ``output``.

    The temperature is fitted to the validation set, the outlier score to the training set with its
    threshold from the validation set. ``report``: JSON with what was fitted. Raises ``ConfigError``
    with the key if the model has no classes, logits or embeddings to fit it to.
    """
    testing = config["testing"]
    device = resolve_device(config["training"]["device"])
    content = read_model_file(model_path)
    model = load_model(model_path, device, section=config["model"]).eval()
    apply_model = import_object(config["apply_model"], "apply_model")
    loaders = open_loaders(config, dataset_json, split_json)
    select_edge_format([loaders.train, loaders.validation], model, config, device)
    of_embeddings = OUTLIER_SCORE if testing["outlier_score"] == "mahalanobis" else None
    with deterministic_algorithms(config["training"]["deterministic"]):
        seen = collect_outputs(
            model, loaders.validation, device, apply_model, embeddings_for=of_embeddings
        )
        train = None
        if of_embeddings is not None:
            loaders.train.sampler = None  # every graph, once
            train = collect_outputs(
                model, loaders.train, device, apply_model, embeddings_for=of_embeddings
            )
    require_fit(config, content, seen.collected)
    buffers, fitted = _temperatures(testing["calibrate"], content, seen.collected)
    if testing["outlier_score"] is not None:
        buffers |= _outliers(content, seen, train, buffers["temperature"], testing["outlier_share"])
        fitted["outliers"] = {
            "score": testing["outlier_score"],
            "share": testing["outlier_share"],
            "threshold": buffers["outlier_threshold"].item(),
        }
    weights = with_calibrator(content["state_dict"], Calibrator(buffers))
    facts = {k: v for k, v in content.items() if k not in ("format", "model", "state_dict")}
    write_json(report, {"format": FORMAT, "run": config["name"], **fitted})
    save_model(output, content["model"], weights, **facts)


def require_fit(config: Config, trained: Mapping[str, Any], collected: Collected) -> None:
    """Raise ``ConfigError`` if a model cannot be given what ``testing`` asks for.

    ``collected``: what it gives for some graphs; ``trained``: the facts in its file.
    """
    testing, answers = config["testing"], answers_of(collected, trained)
    if testing["calibrate"] is not None and not {"softmax", "sigmoid"} & {*answers.values()}:
        raise ConfigError(
            "the model has no logits of classes to divide by a temperature",
            key=CALIBRATE,
            remedy="leave it out; it is for classes, not for values or probabilities",
        )
    if testing["outlier_score"] == "energy" and (
        config["ensemble"] or answers[min(answers)] != "softmax"
    ):
        raise ConfigError(
            "an ensemble gives probabilities, not logits"
            if config["ensemble"]
            else "the first task of the model has no logits of classes",
            key=OUTLIER_SCORE,
            remedy="use 'mahalanobis'",
        )
    if testing["outlier_score"] is not None and collected.of_elements:
        raise ConfigError(
            "the model answers for elements, not for graphs",
            key=OUTLIER_SCORE,
            remedy="leave it out",
        )


def _temperatures(
    method: str | None, trained: Mapping[str, Any], collected: Collected
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The temperature of each task, and what each changes on the validation set."""
    temperature = torch.ones(max(collected.num_tasks, 1), dtype=torch.float64)
    fitted: dict[str, Any] = {"temperature": None}
    if method is not None:
        tasks = []
        for task, answer in answers_of(collected, trained).items():
            if answer == "mean":
                continue
            output, target = collected.pair(task)
            temperature[task] = fit_temperature(output, target)
            before, after = (calibration_of(output / t, target) for t in (1.0, temperature[task]))
            tasks.append(
                {"task": task, "value": temperature[task].item(), "before": before, "after": after}
            )
        fitted["temperature"] = tasks
    return {"temperature": temperature}, fitted


def _outliers(
    trained: Mapping[str, Any],
    seen: Seen,
    train: Seen | None,
    temperature: Tensor,
    share: float,
) -> dict[str, Tensor]:
    task = min(seen.collected.heads)
    logits = seen.collected.heads[task]
    if train is None:
        return with_threshold(energy_buffers(temperature), logits / temperature[task], None, share)
    classes = None
    if answers_of(train.collected, trained)[task] == "softmax":
        classes = train.collected.pair(task)[1]
    assert train.embeddings is not None
    if not train.embeddings.isfinite().all():
        raise TrainingError(
            "the embeddings of the training set are not all finite", where=OUTLIER_SCORE
        )
    found = {"temperature": temperature, **mahalanobis_buffers(train.embeddings, classes)}
    return with_threshold(found, logits, seen.embeddings, share)
