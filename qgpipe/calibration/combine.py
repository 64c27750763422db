"""The stage ``ensemble``: several models that differ in their seeds become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from qgpipe.config.dump import to_yaml
from qgpipe.config.objects import import_object
from qgpipe.config.types import Config
from qgpipe.models import load_model, read_model_file, save_model
from qgpipe.models.ensemble import Answer
from qgpipe.prediction.outputs import collect_outputs
from qgpipe.prediction.table import placeholder_targets
from qgpipe.probabilities import are_probabilities
from qgpipe.system.device import resolve_device
from qgpipe.system.files import read_json, write_json, write_text
from qgpipe.training.evaluation.metrics import Collected
from qgpipe.training.loaders import open_loaders, select_edge_format
from qgpipe.training.model_sizes import with_sizes
from qgpipe.training.steps.outputs import kind_of_task

_PLAIN = ("epoch", "lr")  # columns of a history that are no scores


def combine_members(
    config: Config, members: Sequence[Path], dataset_json: Path, split_json: Path, folder: Path
) -> None:
    """Write the ensemble of the runs in the folders ``members`` to ``folder``.

    ``model.pt`` holds the weights of all and how the outputs of each task are averaged; a criterion
    with weights is that of the first member. ``history.csv`` has the means over the members of the
    epochs that all have trained, ``summary.json`` what each has reached. Raises ``DataError`` for a
    file that is missing or damaged.
    """
    config = with_sizes(config, dataset_json)
    contents = [read_model_file(member / "model.pt") for member in members]
    first = contents[0]
    weights = {
        f"members.{k}.{name}": value
        for k, content in enumerate(contents)
        for name, value in content["state_dict"].items()
    }
    facts = {k: v for k, v in first.items() if k not in ("format", "model", "state_dict")}
    answers = _answers(config, members[0] / "model.pt", dataset_json, split_json, first)
    facts |= {
        "epoch": None,
        "score": None,
        "ensemble": {"size": len(members), "answers": {str(k): v for k, v in answers.items()}},
    }
    histories = [pd.read_csv(member / "history.csv") for member in members]
    epochs = min(map(len, histories))
    mean = pd.concat([one[:epochs] for one in histories]).groupby(level=0).mean(numeric_only=True)
    mean["epoch"] = histories[0]["epoch"][:epochs]
    write_text(folder / "config.yaml", to_yaml(config))
    write_text(folder / "history.csv", mean.to_csv(index=False))
    write_json(folder / "summary.json", _summary(config, members, epochs))
    save_model(folder / "model.pt", first["model"], weights, **facts)


def _answers(
    config: Config,
    model_path: Path,
    dataset_json: Path,
    split_json: Path,
    trained: Mapping[str, Any],
) -> dict[int, Answer]:
    """What the outputs of each task are, by those for a batch of the validation set."""
    device = resolve_device("cpu")
    model = load_model(model_path, device, section=config["model"]).eval()
    loader = open_loaders(config, dataset_json, split_json).validation
    select_edge_format([loader], model, config, device)
    apply_model = import_object(config["apply_model"], "apply_model")
    collected = collect_outputs(model, [next(iter(loader))], device, apply_model).collected
    return answers_of(collected, trained)


def answers_of(collected: Collected, trained: Mapping[str, Any]) -> dict[int, Answer]:
    """What the outputs of each task are: logits of classes, logits of yes or no, or other numbers.

    ``trained``: the facts in the file of the model about the data that it was trained on.
    """
    targets = placeholder_targets(trained, collected.num_rows)
    if targets is None:
        return dict.fromkeys(collected.heads, "mean")
    answered = replace(collected, targets=targets)
    found: dict[int, Answer] = {}
    for task in answered.heads:
        output, target = answered.pair(task)
        found[task] = "mean"
        if kind_of_task(output, target) == "classification":
            found[task] = "sigmoid" if output.shape == target.shape else "softmax"
            if are_probabilities(output.double().numpy()):
                found[task] = "mean"
    return found


def _summary(config: Config, members: Sequence[Path], epochs: int) -> dict[str, Any]:
    summaries = [read_json(member / "summary.json") for member in members]
    first = summaries[0]
    seconds = sum(one["seconds"] for one in summaries)
    graphs = sum(one["seconds"] * (one["graphs_per_second"] or 0) for one in summaries)
    scores = [one["best_score"] for one in summaries]
    return {
        **first,
        "run": config["name"],
        "best_epoch": None,
        "best_score": None if None in scores else sum(scores) / len(scores),
        "epochs": epochs,
        "stopped_by": " and ".join(sorted({one["stopped_by"] for one in summaries})),
        "seconds": seconds,
        "graphs_per_second": graphs / seconds if seconds else None,
        "parameters": sum(one["parameters"] for one in summaries),
        "members": [
            {key: one[key] for key in ("run", "best_epoch", "best_score")} for one in summaries
        ],
    }
