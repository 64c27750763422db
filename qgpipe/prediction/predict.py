"""The stage ``predict``: from a raw store and a trained model to a table."""

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import torch

from qgpipe.config.objects import import_object
from qgpipe.config.types import Config
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.errors import DataError
from qgpipe.message_passing.edge_format import EdgeFormat
from qgpipe.models import load_model, read_model_file
from qgpipe.models.construct.calibrator import calibrator_of
from qgpipe.models.shape_check import check_model
from qgpipe.prediction.chunks import read_chunks
from qgpipe.prediction.outputs import collect_outputs
from qgpipe.prediction.table import PredictionTable, open_table
from qgpipe.system.device import resolve_device
from qgpipe.system.files import atomic_path, scratch_folder
from qgpipe.system.logs import NOTES
from qgpipe.system.rng import deterministic_algorithms
from qgpipe.training.loaders import select_edge_format, transform_of

_NO_LOSSES = np.zeros(0)
_LoaderKey = Literal["batch_size", "num_workers", "pin_memory", "prefetch_factor"]
_LOADER_KEYS: tuple[_LoaderKey, ...] = get_args(_LoaderKey)


def predict_store(
    config: Config,
    model_path: Path,
    store_path: Path,
    store_name: str,
    output: Path,
    processes: int = 1,
) -> int:
    """Apply the model in ``model_path`` to a store, and write a row for each graph to ``output``.

    ``config``: the resolved configuration with its section ``predict``; ``store_name``: of the
    store in ids. The store is read in chunks of ``data.chunksize`` samples, like the test set;
    ``processes``: threads of the built-in reader, or processes of a user's reader.
    ``PredictionTable`` describes the columns. Returns the number of graphs.

    Raises ``DataError`` if the store is damaged or lacks the features that the model was trained
    on; then no table is written.
    """
    device = resolve_device(config["training"]["device"])
    predictor = Predictor(config, model_path, device)
    with (
        scratch_folder(output) as folder,
        atomic_path(output) as temporary,
        open_table(temporary, config["predict"]["format"]) as write,
        deterministic_algorithms(config["training"]["deterministic"]),
    ):
        graphs = 0
        for dataset in read_chunks(
            config, store_path, store_name, predictor.trained, folder, processes, device
        ):
            write(predictor.rows(dataset))
            graphs += len(dataset)
    if predictor.undecided:
        NOTES.warning(
            "%s: the outputs for %d of %d graphs are not finite, these have no class",
            store_name,
            predictor.undecided,
            graphs,
        )
    return graphs


class Predictor:
    """The model of a run, applied to the graphs of one store.

    ``trained``: the facts in the model's file about the data it was trained on.
    """

    def __init__(self, config: Config, model_path: Path, device: torch.device):
        self.config = config
        self.device = device
        self.trained = read_model_file(model_path)
        self.model = load_model(model_path, device, section=config["model"]).eval()
        self.apply_model = import_object(config["apply_model"], "apply_model")
        self._transform = transform_of(config, "test")
        self._form: EdgeFormat | None = None
        keeps = config["predict"]["embeddings"]
        calibrator = calibrator_of(self.model)
        self._table = PredictionTable(self.trained, calibrator, keeps)
        self._embeddings_for = "predict.embeddings" if keeps else None
        if not keeps and calibrator is not None and calibrator.needs_embeddings:
            self._embeddings_for = "testing.outlier_score"

    @property
    def undecided(self) -> int:
        """The number of graphs so far with outputs that are not finite."""
        return self._table.undecided

    def rows(self, dataset: PackedDataset) -> pd.DataFrame:
        """A row for each graph of ``dataset``.

        Raises ``ConfigError`` if the model cannot be called with these graphs, ``DataError`` if it
        gives no row for each of them.
        """
        loader = self._loader(dataset)
        seen = collect_outputs(
            self.model, loader, self.device, self.apply_model, embeddings_for=self._embeddings_for
        )
        assert seen.collected.positions is not None
        ids = dataset.sample_ids(seen.collected.positions)
        table = self._table.rows(seen, ids)
        if not any("output_" in str(name) for name in table):
            raise DataError(
                f"the model gives no row for each of {len(ids)} graphs, or of their elements",
                store=dataset.description["stores"][0]["path"],
                remedy="predictions are for models with outputs for graphs or for elements",
            )
        return table

    def _loader(self, dataset: PackedDataset) -> GraphLoader:
        dataset.transform = self._transform
        testing: dict[str, Any] = {key: self.config["testing"][key] for key in _LOADER_KEYS}
        loader = GraphLoader(dataset, seed=self.config["training"]["seed"], **testing)
        if self._form is None:  # chosen once per store
            if "attributes" not in self.trained:
                self._check(loader)
            select_edge_format([loader], self.model, self.config, self.device)
            self._form = loader.edge_format
        loader.edge_format = self._form
        return loader

    def _check(self, loader: GraphLoader) -> None:
        """Raise an explained error if the data does not fit a model without recorded features."""
        check_model(
            self.model,
            next(iter(loader)).to(self.device),
            node_features=loader.dataset.node_features,
            graph_features=loader.dataset.graph_features,
            apply_model=self.apply_model,
        )
