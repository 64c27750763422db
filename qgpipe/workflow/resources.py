"""Resources that jobs request from a scheduler, estimated from the size of their data.

The estimates use metadata and are upper bounds: decoded sizes, not packed ones. Stages that have to
finish within one attempt request more in each further attempt. Training resumes where it was
stopped, so it requests the same again.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qgpipe.config.types import Config
from qgpipe.data.preprocessing.plan import PartPlan
from qgpipe.prediction.plan import PredictedStore
from qgpipe.system.gpus import has_gpu

MB = 1e6
LARGEST_REQUEST = 64_000  # MB for training; graphs that do not fit are read from disk
DECODED_PER_SECOND = 1e6  # bytes; the slowest readers measured reach seven times as much
SMALL_BATCH = 2e6  # bytes of the raw arrays of a batch, decoded: 32 graphs of 176 elements
TESTED_PER_SECOND = 1_000 / 60  # graphs; a tenth of what a small model reaches on two cores


class _ShellPath(str):
    """A path for ``shell_exec``, which Snakemake 9.20 to 9.27 writes into scripts unquoted."""

    def __format__(self, _: str) -> str:
        return repr(str(self))

    def __reduce__(self) -> tuple:
        """Pickle as plain text: scripts need not import this module."""
        return str, (str(self),)


SCRIPT_SHELL = _ShellPath(Path(__file__).with_name("script_shell.sh"))


def decoded_bytes(parts: Iterable[PartPlan]) -> int:
    """Bytes of the raw arrays of the samples in ``parts``, decoded."""
    return sum((part.stop - part.start) * part.sample_bytes for part in parts)


def generate_minutes(parts: Iterable[PartPlan], attempt: int = 1) -> int:
    """Minutes to generate the samples of ``parts``: 30, and one for each 10 MB."""
    return attempt * (30 + math.ceil(decoded_bytes(parts) / (10 * MB)))


def preprocess_megabytes(part: PartPlan, attempt: int = 1) -> int:
    """Memory in MB to preprocess ``part``: 2 GB, and the decoded size of its samples.

    The built-in reader needs a tenth of that, a reader that returns PyG graphs most of it.
    """
    return attempt * (2_000 + math.ceil(decoded_bytes([part]) / MB))


def preprocess_minutes(part: PartPlan, attempt: int = 1) -> int:
    """Minutes to preprocess ``part``: ten, and the time of a slow reader."""
    return attempt * (10 + math.ceil(decoded_bytes([part]) / DECODED_PER_SECOND / 60))


def listing_megabytes(parts: Iterable[PartPlan], attempt: int = 1) -> int:
    """Memory in MB to list ``parts`` or split samples: 1 GB, 0.5 kB a sample, 0.1 MB a part."""
    parts = list(parts)
    samples = sum(part.stop - part.start for part in parts)
    return attempt * (1_000 + math.ceil(0.0005 * samples + 0.1 * len(parts)))


def listing_minutes(parts: Iterable[PartPlan], attempt: int = 1) -> int:
    """Minutes to list ``parts`` or split their samples: ten, and one for each 500 parts."""
    return attempt * (10 + math.ceil(len(list(parts)) / 500))


def training_megabytes(parts: Iterable[PartPlan]) -> int:
    """Memory in MB to train or test on ``parts``: 6 GB, and a quarter of their decoded size."""
    return min(6_000 + math.ceil(decoded_bytes(parts) / 4 / MB), LARGEST_REQUEST)


def prediction_megabytes(store: PredictedStore, chunksize: int, attempt: int = 1) -> int:
    """Memory in MB to predict ``store``: 4 GB, and the decoded size of ``chunksize`` samples."""
    samples = min(chunksize, store.num_samples)
    return attempt * (4_000 + math.ceil(samples * store.sample_bytes / MB))


def prediction_minutes(store: PredictedStore, attempt: int = 1) -> int:
    """Minutes to predict ``store``: 30, and the time of a slow reader and model."""
    read = store.num_samples * store.sample_bytes / DECODED_PER_SECOND
    return attempt * (30 + math.ceil((read + store.num_samples / TESTED_PER_SECOND) / 60))


def gpus(config: Config, is_local: bool) -> int:
    """The number of GPUs of a job that runs a model: 1, or 0 if it runs on the CPU.

    ``is_local``: the job runs on this machine, so that ``auto`` means the CPU if there is no GPU.
    Jobs that request none can run in parallel.
    """
    device = config["training"]["device"]
    on_cpu = device == "cpu" or (device == "auto" and is_local and not has_gpu())
    return 0 if on_cpu else 1


def training_threads(config: Config, parts: Iterable[PartPlan]) -> int:
    """Threads to train or test on ``parts``: 8, or 1 where more hardly help, with small batches.

    Measured with batches of 32 graphs: with up to 128 elements training on two threads was 1.2
    times as fast as on one, with 192 elements the layers were 1.9 times as fast. Threads of one
    operation wait for each other: where another program used one of the cores, two were up to ten
    times slower than one. Threads that prepare batches come on top.
    """
    largest = max((part.sample_bytes for part in parts), default=0)
    is_small = config["training"]["batch_size"] * largest <= SMALL_BATCH
    return 1 + config["training"]["num_workers"] if is_small and "parallel" not in config else 8


def baseline_threads(parts: Iterable[PartPlan]) -> int:
    """Threads to fit the baselines to ``parts``: one for each 25,000 graphs, at most 4."""
    return min(1 + sum(part.stop - part.start for part in parts) // 25_000, 4)


def training_gpus(config: Config, is_local: bool) -> int:
    """As ``gpus``, for each process that trains."""
    return gpus(config, is_local) * config.get("parallel", {"world_size": 1})["world_size"]


def training_tasks(config: Config) -> dict[str, Any]:
    """Nodes, and a task of Slurm for each process, where training is on several nodes.

    ``mpi`` tells Snakemake's executor that the job starts its tasks itself.
    """
    section = config.get("parallel", {"nodes": 1})
    if section["nodes"] == 1:
        return {}
    request = {"nodes": section["nodes"], "tasks": section["world_size"], "mpi": "srun"}
    return request | ({"tasks_per_gpu": 1} if gpus(config, is_local=False) else {})


def evaluation_minutes(parts: Iterable[PartPlan], attempt: int = 1) -> int:
    """Minutes to test on all samples of ``parts``: 60, and the time of a slow model."""
    samples = sum(part.stop - part.start for part in parts)
    return attempt * (60 + math.ceil(samples / TESTED_PER_SECOND / 60))
