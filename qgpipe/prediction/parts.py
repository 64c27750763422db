"""Reads the graphs of a store into parts, with the settings of the test set.

Does not import torch.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from qgpipe.config.resolve import ROLES, data_source
from qgpipe.config.types import Config
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.preprocessing.part import preprocess_part
from qgpipe.errors import DataError
from qgpipe.prediction.features import check_arrays, check_metadata, check_names
from qgpipe.prediction.plan import reader_for

logger = logging.getLogger(__name__)


def read_parts(
    config: Config,
    path: Path,
    name: str,
    trained: Mapping[str, Any],
    folder: Path,
    processes: int,
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The store ``path`` in parts of ``data.chunksize`` samples with their descriptions.

    Empty ones are skipped. ``name``: of the store in ids; ``trained``: facts about the training
    set, as in the file of a model; features are compared with those that are named there. Each part
    is a file in ``folder`` that replaces the previous one; ``processes`` as in ``preprocess_part``.

    Raises ``DataError`` as ``preprocess_part`` does, if the features are not those of ``trained``,
    and if no graph is left at all.
    """
    store = open_store(path)
    reading = _reading(config, path, reader_for(config, store, trained.get("target_name")))
    check_metadata(reading["data"], reading["data"]["reader"], path, trained)
    part = folder / "part.safetensors"
    left = filtered = skipped = 0
    for start in range(0, store.num_samples, reading["data"]["chunksize"]):
        stop = min(start + reading["data"]["chunksize"], store.num_samples)
        info = preprocess_part(reading, path, name, start, stop, part, processes=processes)
        filtered, skipped = filtered + info["num_filtered"], skipped + info["num_skipped"]
        if not info["num_graphs"]:
            continue
        check_names(str(path), trained, info)
        check_arrays(str(path), trained, info)
        if not left:
            _compare_classes(path, trained, info)
        left += info["num_graphs"]
        yield part, info
    if not left:
        raise DataError(
            f"no graph is left; {filtered} were filtered out, {skipped} skipped as bad",
            store=str(path),
            remedy="check data.pre_filter and the store",
        )
    logger.info("%s: %d graphs, %d filtered out, %d left out", name, left, filtered, skipped)


def _reading(config: Config, path: Path, reader: Any) -> Config:
    """A configuration whose only data is the store ``path``, read as the test set is."""
    stages: dict[str, Any] = {
        stage: {key: value for key, value in config[stage].items() if key != "data"}
        for stage in ROLES
        if stage in config
    }
    own = {"files": [str(path)], "reader": reader, "compress": False}
    kept = {"group_by": None, "stratify_by": None}
    data = {**data_source(config, "test"), **own, **kept}
    nothing: dict[str, Any] = {"generate": None, "report": {"sensitivity": []}}
    return cast(Config, {**config, **stages, **nothing, "data": data})


def _compare_classes(path: Path, trained: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    ours, theirs = trained.get("class_names"), found["class_names"]
    if ours is not None and theirs is not None and list(ours) != list(theirs):
        logger.warning(
            "%s: its classes are %s, those of the model %s: the numbers under 'target' are the "
            "store's own",
            path,
            ", ".join(theirs),
            ", ".join(ours),
        )
