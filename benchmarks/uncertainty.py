"""What temperature, outlier scores and an ensemble change on causal sets of several kinds.

    python benchmarks/uncertainty.py --output benchmarks/results/uncertainty.md

The default run is trained by the workflow itself as an ensemble of several members. Each member is
evaluated as it is and with a temperature, and scores outliers by both methods; so is the ensemble.
The further sets are those of ``benchmarks/science.py``. ``--quick`` does all of it with a few small
causal sets; its figures say nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from machine import describe
from measure import keep, table
from science import CLASSES, PACKAGES, ROOT, spread, write_sets

from qgpipe.calibration.calibrate import calibrate_run
from qgpipe.config import load_config, resolve_config
from qgpipe.evaluation.evaluate import evaluate_set
from qgpipe.system.files import read_json

OF_CLASSES = ("fresh", "smaller", "larger", "largest")  # sets with classes of the model
FORMS: dict[str, dict[str, Any]] = {
    "one model": {},
    "one model, temperature, distance": {
        "calibrate": "temperature",
        "outlier_score": "mahalanobis",
    },
    "one model, temperature, energy": {"calibrate": "temperature", "outlier_score": "energy"},
    "ensemble": {},
    "ensemble, temperature, distance": {"calibrate": "temperature", "outlier_score": "mahalanobis"},
}


OF_FEW = "few sets: "
FEW = {
    "generate": {"num_samples": 2000},
    "data": {"output": "results/few"},
    "training": {"num_epochs": 60, "lr_scheduler_kwargs": {"T_max": 60}},
    "early_stopping": {
        "patience": 60,
        "tasks": {"loss": {"metric": "f1_weighted", "mode": "max"}},
    },
}
"""A run that is sure of too much: few causal sets, many epochs, the best one chosen by its F1."""


def train(
    folder: Path, name: str, members: int, quick: bool, more: Mapping[str, Any] | None = None
) -> Path:
    """Train the members and combine them; returns the folder of the ensemble."""
    over: dict[str, Any] = {"name": name, "ensemble": members, **(more or {})}
    if quick:
        over["generate"] = {"num_samples": 90, "size": [8, 16]}
        over["training"] = {"num_epochs": 1}
    (folder / "over.yaml").write_text(yaml.safe_dump(over))
    command = [
        sys.executable, "-m", "snakemake", "train", "--snakefile", str(ROOT / "Snakefile"),
        "--directory", str(folder), "--cores", "2", "--configfile",
        str(ROOT / "config/run.yaml"), str(folder / "over.yaml"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return folder / "results/runs" / name


def evaluated(run: Path, testing: Mapping[str, Any], stores: Mapping[str, Path]) -> dict[str, Any]:
    """The result file of each set, of the model in ``run`` with what ``testing`` asks for."""
    raw = load_config(run / "config.yaml")
    raw["testing"] = {**raw["testing"], **testing}
    raw["evaluate"] = {"sets": {name: {"file": str(store)} for name, store in stores.items()}}
    config = resolve_config(raw)
    data, model, found = run.parents[2] / config["data"]["output"], run / "model.pt", {}
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary)
        if testing:
            calibrated = output / "calibrated.pt"
            files = data / "dataset.json", data / "split.json"
            calibrate_run(config, *files, model, calibrated, output / "calibration.json")
            model = calibrated
        for name in stores:
            evaluate_set(config, model, name, output / f"{name}.json", 2)
            found[name] = read_json(output / f"{name}.json")
    return found


def written(
    results: Mapping[str, Sequence[Mapping[str, Any]]], names: Sequence[str], members: int
) -> str:
    """The tables as Markdown; ``results``: of each form those of each model, by set."""
    texts = [
        "# What temperature, outlier scores and an ensemble change",
        describe(*PACKAGES),
        f"The default run with {members} seeds: mean ± standard deviation over these models; the "
        f"ensemble is their mean. `{OF_FEW.strip(': ')}`: the same model trained on 1,500 causal "
        "sets for 60 epochs, of which the best is chosen by F1 instead of the loss, so that it is "
        f"sure of too much. Classes: {', '.join(CLASSES)}. The sets are those of "
        "[science.md](science.md); the classes of `flat3d` and `kr` are none of the model's. "
        "Written by `benchmarks/uncertainty.py`.",
    ]
    for title, measure in (
        ("Accuracy", "accuracy"),
        ("Mean of -ln of the probability of the true class", "nll"),
        ("Expected calibration error", "calibration_error"),
        ("Mean confidence", "confidence"),
    ):
        chosen = [name for name in names if measure == "confidence" or name in OF_CLASSES]
        rows = [
            [form, *(spread([one[name]["tasks"][0][measure] for one in of]) for name in chosen)]
            for form, of in results.items()
            if "energy" not in form  # which changes nothing of these
        ]
        texts += [f"## {title}", table(["", *chosen], rows)]
    rows = [
        [form, *(spread([one[name]["outlier_share"] for one in of]) for name in names)]
        for form, of in results.items()
        if "temperature" in form
    ]
    texts += [
        "## Share of outliers",
        "The threshold is that of 5 % of the validation set: so many of `fresh` are expected above "
        "it, and of other sets as many as possible.",
        table(["", *names], rows),
    ]
    return "\n\n".join(texts) + "\n"


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stores = write_sets(folder, arguments.quick)
        results = {}
        for start, name, more in (("", "run", None), (OF_FEW, "few", FEW)):
            run = train(folder, name, arguments.members, arguments.quick, more)
            members = [run.with_name(f"{name}-member={k + 1}") for k in range(arguments.members)]
            for form, testing in FORMS.items():
                models = [run] if form.startswith("ensemble") else members
                results[start + form] = [evaluated(one, testing, stores) for one in models]
    keep(written(results, list(stores), arguments.members), arguments.output)


if __name__ == "__main__":
    main()
