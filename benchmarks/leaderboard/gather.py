"""Keeps the scores of a model on a task, from the result files of its runs.

    python gather.py TASK MODEL OUTPUT CONFIGURATION...

Runs in the working directory of the pipeline; the configuration files are those of its runs, each
laid over the one before. ``OUTPUT`` is all that the page is written from:

- ``task``, ``model``, ``versions``, ``processor``, ``instructions`` (those that torch uses: with
  others the last bits differ);
- ``measure``: the score that is shown, ``accuracy`` of classes or ``r2`` of values;
- ``num_graphs``: by set: ``test``, and those of ``evaluate.sets``;
- ``runs``: of each seed the scores by set, the 95 % interval of that on the test set, the best
  baseline and whether the model differs from it, core-seconds of training, parameters;
- ``baselines``: scores by set, and the interval; ``left_out``: reasons;
- ``curves``: what ``report.sensitivity`` asks for, means over the seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from machine import processor

from qgpipe import paths
from qgpipe.config import expand_runs, load_config
from qgpipe.config.types import Config
from qgpipe.provenance.record import find_record
from qgpipe.report.tables.evaluations import read_baseline_scores, read_evaluation
from qgpipe.report.tables.results import RunResults
from qgpipe.report.tables.sensitivity import sensitivities
from qgpipe.system.files import write_json

FORMAT = 1
TEST = "test"


def gather(task: str, model: str, configs: Sequence[Config]) -> dict[str, Any]:
    """What is kept of the runs of ``configs``, which differ in their seeds."""
    results = [_results(config) for config in configs]
    first = results[0]
    measure = next(name for name in ("accuracy", "r2") if name in first.test["metrics"])
    sets = list(configs[0]["evaluate"]["sets"])
    evaluations = [
        {name: read_evaluation(paths.evaluated(config, None, name)) for name in sets}
        for config in configs
    ]
    return {
        "format": FORMAT,
        "task": task,
        "model": model,
        "measure": measure,
        "versions": first.summary["versions"],
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "num_graphs": {
            TEST: first.test["num_graphs"],
            **{name: one["num_graphs"] for name, one in evaluations[0].items()},
        },
        "runs": [
            _run(config, one, found, measure)
            for config, one, found in zip(configs, results, evaluations, strict=True)
        ],
        **_baselines(configs[0], first, measure),
        "curves": _curves(results),
    }


def _results(config: Config) -> RunResults:
    return RunResults(
        paths.run_folder(config),
        paths.dataset(config),
        paths.split(config),
        config["report"]["sensitivity"],
    )


def _run(
    config: Config, results: RunResults, evaluations: Mapping[str, Any], measure: str
) -> dict[str, Any]:
    """The scores of one seed."""
    compared = results.baselines
    scores = {TEST: results.test["metrics"][measure]}
    scores |= {name: one["tasks"][0].get(measure) for name, one in evaluations.items()}
    metric = compared["metrics"].get(measure) if compared else None
    target = compared["targets"][0] if compared and compared["targets"] else None
    best = target["best"] if target else None
    return {
        "seed": config["training"]["seed"],
        "scores": scores,
        "interval": [metric["model"]["low"], metric["model"]["high"]] if metric else None,
        "best_baseline": best,
        "model_is": target["baselines"][best]["model_is"] if target and best else None,
        "core_seconds": _core_seconds(paths.model(config)),
        "parameters": results.summary["parameters"],
    }


def _core_seconds(artifact: Path) -> float:
    """What the job that made ``artifact`` has computed."""
    record = find_record(artifact)
    assert record is not None
    return record.content["core_seconds"]


def _baselines(config: Config, results: RunResults, measure: str) -> dict[str, Any]:
    """Scores of the baselines; for targets of elements there is the constant answer alone."""
    compared = results.baselines
    assert compared is not None
    left_out = {one["baseline"]: one["reason"] for one in compared["left_out"]}
    if measure not in compared["metrics"]:
        constant = results.test["baseline"]["metrics"][measure]
        left_out.pop("constant", None)
        return {
            "baselines": {"constant": {"scores": {TEST: constant}, "interval": None}},
            "left_out": left_out,
        }
    found = {
        name: {"scores": {TEST: score["value"]}, "interval": [score["low"], score["high"]]}
        for name, score in compared["metrics"][measure]["baselines"].items()
    }
    for name in config["evaluate"]["sets"]:
        (target,) = read_baseline_scores(paths.baseline_scores(config, name))["targets"]
        for method, scores in target["baselines"].items():
            found[method]["scores"][name] = scores.get(measure)
    return {"baselines": found, "left_out": left_out}


def _curves(results: Sequence[RunResults]) -> list[dict[str, Any]]:
    """Scores by what causal sets were made of: ``value`` and the mean ``score`` in each bin."""
    found = [sensitivities(one) for one in results]
    return [
        {
            "by": by.by,
            "class": curve.name,
            "value": curve.value.tolist(),
            "count": curve.count.tolist(),
            "score": np.mean([one[k].curves[c].score for one in found], axis=0).tolist(),
        }
        for k, by in enumerate(found[0])
        for c, curve in enumerate(by.curves)
    ]


def main() -> None:
    """Gather the files that the command line names."""
    task, model, output, *files = sys.argv[1:]
    runs = expand_runs(load_config(*files))
    write_json(Path(output), gather(task, model, [run.config for run in runs]))


if __name__ == "__main__":
    main()
