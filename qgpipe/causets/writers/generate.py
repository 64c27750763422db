"""Raw stores of generated causal sets."""

import sys
from pathlib import Path

from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from qgpipe.causets.writers.groups import GroupStore
from qgpipe.causets.writers.samples import SampleSource
from qgpipe.causets.writers.stacked import StackedStore
from qgpipe.causets.writers.zarr_v2 import is_written_here, single_threaded_compression
from qgpipe.config.dump import to_plain
from qgpipe.config.types import GenerateSection
from qgpipe.errors import DataError
from qgpipe.system.files import atomic_path

Store = StackedStore | GroupStore

_LAYOUTS: dict[str, type[Store]] = {"stacked": StackedStore, "groups": GroupStore}


def generate_store(
    config: GenerateSection, store: str, output: str | Path, workers: int = 1
) -> None:
    """Make the causal sets of one store and write them as the zarr v2 directory ``output``.

    ``config`` is the resolved ``generate`` section, ``store`` the store's name. The bytes depend
    only on these two, not on ``workers``, the number of processes. The root attributes are
    ``class_names`` (by ``cset_type``), the ``generate`` section and ``store``. An earlier store
    that this function wrote is replaced.

    Raises ``ConfigError`` with the key of the class that cannot be generated, and ``DataError`` if
    ``output`` was not written by this function; then it is left unchanged.
    """
    plain = to_plain(config, "generate")
    source = SampleSource(config, store)
    attributes = {
        "class_names": [c.name for c in source.classes],
        "generate": plain,
        "store": store,
    }
    output = Path(output)
    if output.exists() and not is_written_here(output):
        raise DataError(
            f"{output} is there, and qgpipe has not made it",
            remedy="move it away, or give the store to be generated another name",
        )
    with atomic_path(output) as folder:
        layout = _LAYOUTS[config["layout"]](folder, source)
        layout.create(attributes)
        starts = range(0, source.num_samples, layout.block)
        # joblib's processes are spawned, but do not run the calling script again.
        pool = Parallel(
            n_jobs=min(workers, len(starts)),
            batch_size=1,
            initializer=_find_modules_in,
            initargs=(list(sys.path),),
        )
        pool(delayed(_write_block)(layout, start) for start in starts)


def _find_modules_in(path: list[str]) -> None:
    """Let a worker, which may be reused from an earlier call, find the user's modules."""
    sys.path[:] = path


def _write_block(layout: Store, start: int) -> None:
    # One thread: such small matrices gain nothing from more, and results would depend on it.
    with threadpool_limits(1), single_threaded_compression():
        layout.write_block(start)
