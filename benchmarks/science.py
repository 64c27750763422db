"""What models reach beside baselines, on causal sets like those of training and on others.

    python benchmarks/science.py --output benchmarks/results/science.md
    python benchmarks/science.py --preset config/models/two_way.yaml

The default run, and each preset laid over it, is trained by the workflow itself with several seeds
on one split, and evaluated on further sets, with the baselines that are fitted to the same training
set. ``--quick`` does all of it with a few small causal sets; its figures say
nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from machine import describe
from measure import keep, table

from qgpipe import paths
from qgpipe.causets.writers.generate import generate_store
from qgpipe.config import load_config, resolve_config
from qgpipe.system.files import read_json

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "torch-geometric", "scikit-learn", "numpy")
CLASSES = ["polynomial", "destroyed", "merged"]
MEASURES = ("accuracy", "nll", "calibration_error", "confidence")


def sets(quick: bool) -> dict[str, Any]:
    """What is generated of the further sets: like the training set, of other sizes and classes."""

    def generated(num_samples: int, size: Sequence[int], classes: Sequence[Any]) -> dict[str, Any]:
        size = [s // 8 for s in size] if quick else list(size)
        samples = 9 if quick else num_samples
        section = {"seed": 77, "num_samples": samples, "size": size, "classes": list(classes)}
        return {**section, "layout": "stacked", "stores": ["set"]}

    found = {
        "fresh": generated(3000, (64, 128), CLASSES),
        "smaller": generated(900, (32, 48), CLASSES),
        "larger": generated(900, (200, 300), CLASSES),
        "largest": generated(300, (400, 500), CLASSES),
        "flat3d": generated(
            150, (64, 128), [{"type": "minkowski", "name": "flat3d", "kwargs": {"dimension": 3}}]
        ),
        "kr": generated(150, (64, 128), ["kr"]),
    }
    return {name: found[name] for name in ("larger", "flat3d")} if quick else found


def write_sets(folder: Path, quick: bool) -> dict[str, Path]:
    """The stores of the further sets, generated into ``folder``."""
    stores = {name: folder / f"{name}.zarr" for name in sets(quick)}
    for name, section in sets(quick).items():
        generate_store(section, name, stores[name], 2)
    return stores


def write_run(folder: Path, stores: Mapping[str, Path], seeds: int, quick: bool) -> Path:
    """What is laid over the default configuration: several seeds, and the further sets."""
    of_file = {name: {"file": str(store), "generate": None} for name, store in stores.items()}
    raw: dict[str, Any] = {"evaluate": {"sets": of_file}}
    if quick:
        raw["generate"] = {"num_samples": 90, "size": [8, 16]}
    values = ", ".join(map(str, range(seeds)))
    training = f"training:\n  seed: !sweep {{values: [{values}]}}\n"
    training += "  num_epochs: 1\n" if quick else ""
    path = folder / "seeds.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False) + training)
    return path


def train(folder: Path, files: Sequence[Path], name: str, cores: int) -> list[Path]:
    """Train and evaluate all seeds; returns the folders of their runs."""
    own = folder / f"{name}.yaml"
    own.write_text(f"name: {name}\n")
    command = [
        sys.executable, "-m", "snakemake", "evaluate", "baseline", "--snakefile",
        str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", str(cores), "--configfile",
        *map(str, (*files, own)),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return sorted((folder / "results/runs").glob(f"{name}-seed=*"))


def of_model(runs: Sequence[Path]) -> dict[str, dict[str, list[float]]]:
    """Scores of each run by set and measure; the test set is ``test``."""
    found: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        test = read_json(run / "test/metrics.json")
        found.setdefault("test", {}).setdefault("accuracy", []).append(test["metrics"]["accuracy"])
        for file in sorted((run / "evaluate").glob("*.json")):
            if file.name.endswith("provenance.json"):
                continue
            (scores,) = read_json(file)["tasks"]
            for measure in MEASURES:
                if scores[measure] is not None:
                    found.setdefault(file.stem, {}).setdefault(measure, []).append(scores[measure])
    return found


def of_baselines(folder: Path, run: Path) -> dict[str, dict[str, float]]:
    """The accuracy of each baseline by set, as the workflow has measured it beside the ``run``."""
    config = resolve_config(load_config(run / "config.yaml"))
    (test,) = read_json(run / "test/baselines.json")["targets"]
    found = {method: {"test": score["value"]} for method, score in test["baselines"].items()}
    for name in config["evaluate"]["sets"]:
        (target,) = read_json(folder / paths.baseline_scores(config, name))["targets"]
        for method, scores in target["baselines"].items():
            if scores["accuracy"] is not None:
                found.setdefault(method, {})[name] = scores["accuracy"]
    return found


def spread(values: Sequence[float] | None) -> str:
    """Mean ± standard deviation (of the sample) over seeds."""
    if not values:
        return "–"
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"


def written(
    models: Mapping[str, Mapping[str, Mapping[str, list[float]]]],
    baselines: Mapping[str, Mapping[str, float]],
    seeds: int,
) -> str:
    """The tables as Markdown."""
    names = ["test", "fresh", "smaller", "larger", "largest"]
    rows = [
        [name, *(spread(found.get(s, {}).get("accuracy")) for s in names)]
        for name, found in models.items()
    ]
    rows += [
        [name, *(f"{found[s]:.4f}" if s in found else "–" for s in names)]
        for name, found in baselines.items()
    ]
    texts = [
        "# Models and baselines on causal sets of several kinds",
        describe(*PACKAGES),
        f"Classes: {', '.join(CLASSES)}. Models: mean ± standard deviation over {seeds} seeds of "
        "weights and order on one split; baselines are fitted to the same training set. `test`: "
        "the test set of the run; `fresh`: n 64-128; `smaller`: n 32-48; `larger`: n 200-300; "
        "`largest`: n 400-500. Written by `benchmarks/science.py`.",
        "## Accuracy",
        table(["", *names], rows),
    ]
    for name, found in models.items():
        inner = [
            [s, *(spread(found.get(s, {}).get(measure)) for measure in MEASURES)]
            for s in (*names[1:], "flat3d", "kr")
        ]
        texts += [
            f"## {name}: how sure, and how rightly so",
            "The classes of `flat3d` and `kr` are none of the model's: there only the mean "
            "confidence has a meaning.",
            table(["", "accuracy", "-ln p", "calibration error", "mean confidence"], inner),
        ]
    return "\n\n".join(texts) + "\n"


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--preset", type=Path, nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = ROOT / "config/run.yaml"
        stores = write_sets(folder, arguments.quick)
        seeds = write_run(folder, stores, arguments.seeds, arguments.quick)
        models = {}
        for preset in (None, *arguments.preset):
            name = "default" if preset is None else preset.stem
            files = [base, *([preset.resolve()] if preset else []), seeds]
            models[name] = of_model(train(folder, files, name, arguments.cores))
        run = next((folder / "results/runs").glob("default-seed=*"))
        text = written(models, of_baselines(folder, run), arguments.seeds)
    keep(text, arguments.output)


if __name__ == "__main__":
    main()
