"""Models built from a configuration, and what is done with them: build, call, check, save."""

from qgpipe.models.build import build_model, call_model, load_model
from qgpipe.models.check import check_model, example_batch
from qgpipe.models.gnn_block import GNNBlock
from qgpipe.models.gnn_model import GNNModel
from qgpipe.models.gps_transformer import GPSTransformer
from qgpipe.models.linear_sequential import LinearSequential
from qgpipe.models.sequential import Sequential
from qgpipe.models.skip_connection import SkipConnection
from qgpipe.models.storage import read_model_file, save_model
from qgpipe.models.summary import summarise

__all__ = [
    "GNNBlock",
    "GNNModel",
    "GPSTransformer",
    "LinearSequential",
    "Sequential",
    "SkipConnection",
    "build_model",
    "call_model",
    "check_model",
    "example_batch",
    "load_model",
    "read_model_file",
    "save_model",
    "summarise",
]
