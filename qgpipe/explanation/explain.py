"""The stage ``explain``: which features the best model needs, and what invariants say of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qgpipe.baselines.features import INVARIANTS, TWO_ORDER
from qgpipe.baselines.fit import dataset_invariants
from qgpipe.baselines.invariants import NoOrder, column_names
from qgpipe.baselines.methods import PLUS, Features, NotApplicable, one_thread_of_blas
from qgpipe.causets import observables
from qgpipe.config.objects import import_object
from qgpipe.config.types import Config
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.explanation.correlation import STRONG, correlated_groups
from qgpipe.explanation.invariant_share import (
    FITTED,
    RESAMPLES,
    Share,
    centred_outputs,
    fitted_outputs,
    outputs_by_graph,
    shares_explained,
)
from qgpipe.explanation.permutation import (
    Importances,
    Level,
    Permuted,
    Score,
    feature_values,
    permutation_importances,
    scores_of,
)
from qgpipe.models import load_model, read_model_file
from qgpipe.system.device import resolve_device
from qgpipe.system.files import sha256, write_json
from qgpipe.system.rng import deterministic_algorithms
from qgpipe.training.evaluation.evaluator import Tester
from qgpipe.training.evaluation.metrics import Collected
from qgpipe.training.loaders import open_loaders, select_edge_format
from qgpipe.training.steps.criterion import evaluation_criterion

FORMAT = 1
REPETITIONS = 5
MOST_GRAPHS = 1000  # of the test set, and of the set that invariants are fitted to
KINDS: dict[Level, str] = {"node": "node_features", "graph": "graph_features"}

logger = logging.getLogger(__name__)

Positions = NDArray[np.int64]


def explain_run(
    config: Config,
    dataset_json: Path,
    split_json: Path,
    model_path: Path,
    output: Path,
    threads: int = 1,
) -> None:
    """Explain the model in ``model_path`` and write what was found to ``output``, as JSON.

    At most 1,000 graphs of the test set are looked at, drawn with ``training.seed`` as all else
    that is random. ``threads``: how many compute invariants and grow trees. Raises ``ConfigError``,
    ``DataError`` or ``TrainingError`` for what a user can fix.
    """
    device, seed = resolve_device(config["training"]["device"]), config["training"]["seed"]
    content = read_model_file(model_path)
    criterion = evaluation_criterion(config, device, content, model_path)
    apply_model = import_object(config["apply_model"], "apply_model")
    loaders = open_loaders(config, dataset_json, split_json)
    model = load_model(model_path, device, section=config["model"])
    test = _some(loaders.test, seed)
    fitted_set = "validation" if len(loaders.validation.dataset) else "train"
    fitted_to = _some(getattr(loaders, fitted_set), seed)
    select_edge_format([test, fitted_to], model, config, device)
    tester = Tester(device, criterion, apply_model=apply_model)
    with deterministic_algorithms(config["training"]["deterministic"]):
        begun = time.monotonic()
        importances = _importances(model, test, criterion, apply_model, device, seed)
        logger.info("permutation importance: %.1f s", time.monotonic() - begun)
        answers = [_collected(tester, model, loader) for loader in (fitted_to, test)]
    begun = time.monotonic()
    explained = _explained(config, test.dataset, answers, threads)
    logger.info("share that invariants explain: %.1f s", time.monotonic() - begun)
    write_json(
        output,
        {
            "format": FORMAT,
            "run": config["name"],
            "model": sha256(model_path),
            "seed": seed,
            "num_graphs": len(test.dataset),
            "num_tested": len(loaders.test.dataset),
            "importances": importances,
            "invariants": {"fitted_set": fitted_set, **explained},
        },
    )


def _some(loader: GraphLoader, seed: int) -> GraphLoader:
    """A loader of the same graphs in their order, or of as many as are looked at."""
    dataset = loader.dataset
    if len(dataset) > MOST_GRAPHS:
        chosen = np.random.default_rng(seed).choice(len(dataset), MOST_GRAPHS, replace=False)
        dataset = dataset[np.sort(chosen)]
    return GraphLoader(dataset, loader.batch_size, num_workers=loader.num_workers, seed=loader.seed)


def _collected(tester: Tester, model: torch.nn.Module, loader: GraphLoader) -> Collected:
    tester.evaluate(model, loader)
    assert tester.collected is not None
    return tester.collected


def _importances(
    model: torch.nn.Module,
    loader: GraphLoader,
    criterion: Any,
    apply_model: Any,
    device: torch.device,
    seed: int,
) -> dict[str, Any]:
    """The entry ``importances``: of each feature, of correlated ones and of all together."""
    values = feature_values(loader)
    names = {
        level: _names(loader.dataset, level, whole.shape[1]) for level, whole in values.items()
    }
    single = [
        Permuted(level, (c,)) for level, whole in values.items() for c in range(whole.shape[1])
    ]
    every = [
        Permuted(level, tuple(range(whole.shape[1])))
        for level, whole in values.items()
        if whole.shape[1] > 1
    ]
    groups = [
        Permuted(level, tuple(columns))
        for level, whole in values.items()
        for columns in correlated_groups(whole.numpy(), seed=seed)
        if len(columns) < whole.shape[1]
    ]
    permuted = [*single, *groups, *every]
    found = permutation_importances(
        model, lambda: loader, permuted, criterion, apply_model, device, REPETITIONS, seed
    )
    entries = [
        {
            "level": some.level,
            "features": [names[some.level][c] for c in some.columns],
            **_worse(found, p),
        }
        for p, some in enumerate(permuted)
    ]
    cut = len(single), len(single) + len(groups)
    return {
        "repetitions": REPETITIONS,
        "correlation": STRONG,
        "loss": _finite(found.loss),
        "scores": [
            {"task": score.task, "measure": score.measure, "value": _finite(value)}
            for score, value in zip(found.scores, found.values, strict=True)
        ],
        "features": entries[: cut[0]],
        "correlated": entries[cut[0] : cut[1]],
        "all": entries[cut[1] :],
    }


def _names(dataset: PackedDataset, level: Level, count: int) -> list[str]:
    kind = KINDS[level]
    known = getattr(dataset, kind, None) or []
    return known if len(known) == count else [f"{kind}[{c}]" for c in range(count)]


def _worse(found: Importances, p: int) -> dict[str, Any]:
    """Mean and deviation over the permutations of what one of them costs."""
    mean, deviation = found.worse[p].mean(axis=0), found.worse[p].std(axis=0, ddof=1)
    pairs = [
        {"mean": _finite(m), "deviation": _finite(s)}
        for m, s in zip(mean.tolist(), deviation.tolist(), strict=True)
    ]
    return {"loss": pairs[0], "scores": pairs[1:]}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _explained(
    config: Config, dataset: PackedDataset, answers: Sequence[Collected], threads: int
) -> dict[str, Any]:
    """The entry ``invariants``: how much of the outputs of each head they explain, or why not."""
    fitted_to, test = answers
    nothing: dict[str, Any] = {"fitted_to": fitted_to.num_graphs, "features": [], "heads": []}
    heads = [score for score in scores_of(test) if _by_graph(score, answers)]
    try:
        if not heads:
            raise NotApplicable("no head has outputs for whole graphs that go with a target")
        if min(fitted_to.num_graphs, test.num_graphs) < 2:
            raise NotApplicable("there are too few graphs")
        names, features = _features(config, dataset, answers, threads)
        with one_thread_of_blas(threads):
            entries = [_head(head, answers, features, dataset) for head in heads]
    except (NoOrder, NotApplicable) as reason:
        return {**nothing, "left_out": str(reason)}
    return {
        "fitted_to": fitted_to.num_graphs,
        "features": names,
        "resamples": RESAMPLES,
        "heads": entries,
        "left_out": None,
    }


def _by_graph(score: Score, answers: Sequence[Collected]) -> bool:
    return all(outputs_by_graph(one, score.task) is not None for one in answers)


def _features(
    config: Config, dataset: PackedDataset, answers: Sequence[Collected], threads: int
) -> tuple[list[str], dict[str, Features]]:
    """Names of the invariants, and their values: without and, by ``two_order``, with that test.

    They are those that the baselines are fitted to. Raises ``NoOrder``.
    """
    section = config["baseline"]
    chosen = list((None if isinstance(section, bool) else section["features"]) or INVARIANTS)
    tested = observables.find(TWO_ORDER) is not None and TWO_ORDER not in chosen
    positions = [one.positions.numpy() for one in answers if one.positions is not None]
    names = [*chosen, *([TWO_ORDER] if tested else [])]
    values = dataset_invariants(dataset, np.concatenate(positions), names, threads)
    cut, width = len(positions[0]), len(column_names(chosen))
    columns = {"": slice(width), **({PLUS: slice(None)} if tested else {})}
    return column_names(chosen), {
        name: Features(values[:cut, some], values[cut:, some]) for name, some in columns.items()
    }


def _head(
    head: Score,
    answers: Sequence[Collected],
    features: dict[str, Features],
    dataset: PackedDataset,
) -> dict[str, Any]:
    """The entry of a head: the share of each output, and of all, that each method explains.

    Values of several targets, which may have different units, count in standard deviations.
    """
    given = [outputs_by_graph(one, head.task) for one in answers]
    train, test = (centred_outputs(one, head.kind) for one in given if one is not None)
    if head.kind == "regression":
        deviation = test.std(axis=0)
        train, test = (one / np.where(deviation > 0, deviation, 1) for one in (train, test))
    columns: list[dict[str, Any]] = [
        {"name": name, "methods": {}} for name in _output_names(dataset, head, test.shape[1])
    ]
    entry: dict[str, Any] = {
        "task": head.task,
        "kind": head.kind,
        "methods": {},
        "outputs": columns,
    }
    for plus, known in features.items():
        for name, method in FITTED.items():
            shares, whole = shares_explained(test, fitted_outputs(method, train, known))
            entry["methods"][f"{name}{plus}"] = _entry(whole)
            for column, share in zip(columns, shares, strict=True):
                column["methods"][f"{name}{plus}"] = _entry(share)
    return entry


def _output_names(dataset: PackedDataset, head: Score, count: int) -> list[str]:
    """What the outputs of a head are called: classes or targets, where that is known."""
    target = dataset.target_name
    named = [target] if isinstance(target, str) else target or []
    known = dataset.class_names if head.kind == "classification" else named
    return known if known and len(known) == count else [f"output {c}" for c in range(count)]


def _entry(share: Share) -> dict[str, float | None]:
    return {"value": share.value, "low": share.low, "high": share.high}
