"""Models from a configuration: building, calling, checking and saving them."""

from qgpipe.models.build import build_model, call_model, load_model
from qgpipe.models.construct.model_file import read_model_file, save_model
from qgpipe.models.gnn_model import GNNModel
from qgpipe.models.layers.gnn_block import GNNBlock
from qgpipe.models.layers.gps_transformer import GPSTransformer
from qgpipe.models.layers.linear_sequential import LinearSequential
from qgpipe.models.layers.sequential import Sequential
from qgpipe.models.layers.skip_connection import SkipConnection
from qgpipe.models.shape_check import check_model, example_batch
from qgpipe.models.summary import summarise

__all__ = [
    "GNNBlock", "GNNModel", "GPSTransformer", "LinearSequential", "Sequential", "SkipConnection",
    "build_model", "call_model", "check_model", "example_batch", "load_model", "read_model_file",
    "save_model", "summarise",
]  # fmt: skip
