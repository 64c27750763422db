"""The stage ``apply``: scores of the baselines on a set of causal sets of another kind.

Nothing here depends on a model: runs that share data and split share the file. Does not import
torch, which takes longer than the rest for a small set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qgpipe.baselines.invariants import (
    NO_EDGES,
    NoOrder,
    order_invariants,
    own_features,
    own_names,
)
from qgpipe.baselines.methods import Target
from qgpipe.baselines.training_set import (
    GraphFeatures,
    TrainingSet,
    computed_names,
    read_training_set,
)
from qgpipe.config.types import Config
from qgpipe.data.graphs.packed import Packed
from qgpipe.data.storage.part_file import open_part
from qgpipe.evaluation.scores import UNKNOWN, class_scores, known_classes, value_scores
from qgpipe.evaluation.set_store import set_class_names, set_store
from qgpipe.prediction.parts import read_parts
from qgpipe.system.files import scratch_folder, write_json

FORMAT = 1


def apply_baselines(
    config: Config, training_set: Path, name: str, output: Path, threads: int = 1
) -> None:
    """Fit the baselines again, and apply them to the set ``name`` of ``evaluate.sets``.

    ``training_set``: the file that ``fit_baselines`` wrote. Writes a JSON file with the scores of
    each baseline (:mod:`qgpipe.evaluation.scores`) for each target, and why others are left out.
    ``threads``: number of threads that read, compute and fit. Sets are generated and read, and
    exceptions raised, as by ``evaluate_set``.
    """
    own, training = config["evaluate"]["sets"][name], read_training_set(training_set)
    with scratch_folder(output) as folder:
        path = set_store(own, name, folder, threads)
        graphs, table, read_classes = _read(config, path, name, training, folder, threads)
    set_classes = set_class_names(own, read_classes)
    methods = dict.fromkeys(training.methods, training.left_out)
    targets = []
    for t, target in enumerate(training.targets):
        truth = table[:, t] if table.shape[1] == len(training.targets) else None
        outputs, left_out = training.answers(target, graphs, threads)
        scores = {
            method: _scores(answer, truth, target, training.class_names, set_classes)
            for method, answer in outputs.items()
        }
        targets.append({"name": target.name, "baselines": scores, "left_out": left_out})
    write_json(
        output,
        {
            "format": FORMAT,
            "set": name,
            "num_graphs": len(graphs.own),
            "num_train": training.num_train,
            "fitted_to": len(training.fitted_to),
            "features": training.feature_names(graphs),
            "targets": targets,
            "left_out": {} if training.left_out is None else methods,
        },
    )


def _read(
    config: Config, path: Path, name: str, training: TrainingSet, folder: Path, threads: int
) -> tuple[GraphFeatures, NDArray[np.float64], list[str] | None]:
    """Features and targets, float64 [N, T] (T is 0 without), of a store, and its class names."""
    known = {"class_names": training.class_names, "target_name": training.target_names}
    names = computed_names(training.methods, training.invariants)
    computed, own, targets, edges = [], [], [], 0
    missing: str | None = None
    for part, info in read_parts(config, path, name, known, folder, threads):
        graphs = open_part(part, mapped=False)
        own.append(own_features(graphs))
        targets.append(_targets(graphs))
        edges += info["num_edges"]
        if names and missing is None:
            try:
                computed.append(order_invariants([graphs], lambda some: some, names, threads))
            except NoOrder as reason:
                missing = str(reason)
    missing = missing or (None if edges or not names else NO_EDGES)
    all_own = np.concatenate(own)
    values = np.zeros((len(all_own), 0), np.float32)
    if names and missing is None:
        values = np.concatenate(computed)
    called = own_names(info["attributes"], info["graph_features"])
    features = GraphFeatures(values, all_own, called, missing)
    return features, np.concatenate(targets), info["class_names"]


def _targets(graphs: Packed) -> NDArray[np.float64]:
    """The targets of whole graphs, [N, T]; T is 0 without."""
    found = graphs.attributes.get("y")
    if found is None or found.kind != "graph":
        return np.zeros((graphs.num_graphs, 0))
    return found.values.reshape(graphs.num_graphs, -1).astype(np.float64)


def _scores(
    answers: NDArray[np.float64],
    truth: NDArray[np.float64] | None,
    target: Target,
    class_names: list[str] | None,
    set_classes: list[str] | None,
) -> dict[str, Any]:
    """Scores of the answers, [N, C] or [N], to one target; those of its classes if it has any."""
    if target.num_classes is None:
        if truth is None:
            return {"kind": "other", "num_known": 0}
        return value_scores(answers[:, None], truth[:, None])
    more = map(str, range(len(class_names or ()), target.num_classes))
    names = [*(class_names or ()), *more]
    found = {}
    if class_names is None and truth is not None:  # a model may predict them as values
        means = answers @ np.arange(target.num_classes)
        found["as_value"] = value_scores(means[:, None], truth[:, None])
    classes = np.full(len(answers), UNKNOWN, np.int64)
    if truth is not None:
        classes = known_classes(truth, names, class_names, set_classes)
    return class_scores(answers, classes, names) | found
