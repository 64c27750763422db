"""Sizes of layers that the configuration leaves to the data: ``null`` in the ``model`` section."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch

from qgpipe.config.objects import import_object
from qgpipe.config.types import Config
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.errors import ConfigError
from qgpipe.models.sizes import fill_sizes, has_open_sizes
from qgpipe.training.loaders import graph_targets, transform_of
from qgpipe.training.steps.outputs import IGNORED_TARGET, is_class_target, largest_class


def with_sizes(
    config: Config, dataset: Path | PackedDataset, classes: Iterable[int] = ()
) -> Config:
    """``config`` with every size of the model, which are those that fit ``dataset``.

    ``dataset``: the ``dataset.json``, or some of its samples; ``classes``: further classes to
    expect. The same object comes back if no size is ``null``. Raises ``ConfigError`` with the key
    of a size that the data does not tell.
    """
    if not has_open_sizes(config["model"]):
        return config
    if not isinstance(dataset, PackedDataset):
        dataset = PackedDataset(dataset, residency="mmap")
        dataset.transform = transform_of(config, "train")
    targets = graph_targets(dataset, of_all_sets=True)
    model = cast(dict[str, Any], config["model"])
    heads = len(model.get("downstream_tasks", [None]))
    batch = next(iter(GraphLoader(dataset, batch_size=min(2, len(dataset)))))

    def outputs(head: int) -> int:
        count = None
        if targets is not None and (targets.dim() == 1 or heads == 1):
            count = num_outputs(targets, dataset.class_names, classes)
        elif targets is not None and head < targets.shape[1]:
            column = targets[:, head]
            if is_class_target(column) or largest_class(column) is None:  # not either
                count = num_outputs(column)
        if count is None:
            raise ConfigError(
                "the target does not tell how many outputs this head has",
                key=f"model.downstream_tasks[{head}]",
                remedy="write the number: 1 for a value, or the number of classes",
            )
        return count

    section = fill_sizes(
        model,
        batch,
        outputs,
        import_object(config["apply_model"], "apply_model"),
        node_features=dataset.node_features,
        graph_features=dataset.graph_features,
    )
    return cast(Config, {**config, "model": section})


def num_outputs(
    targets: torch.Tensor, class_names: list[str] | None = None, classes: Iterable[int] = ()
) -> int | None:
    """The outputs that a head needs for ``targets`` (N,) or (N, T); None if they do not tell.

    Integers are classes, and need an output for each; real numbers need one for each column.
    """
    if not is_class_target(targets):
        return targets[:1].numel()
    given = targets[targets != IGNORED_TARGET]
    if targets.dim() > 1 or not given.numel() or given.min() < 0:
        return None
    return 1 + max(int(given.max()), len(class_names or ()) - 1, *classes, 1)
