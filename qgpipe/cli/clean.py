"""``qgpipe clean run.yaml``."""

import argparse
from contextlib import ExitStack

from qgpipe import paths
from qgpipe.cli.arguments import add_config, config_files, runs_of
from qgpipe.sweeps.expansion import with_derived
from qgpipe.system.lock import writing

HELP = "list what a configuration no longer uses in its output folders, and delete it if asked to"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A configuration, and whether to delete."""
    add_config(parser)
    parser.add_argument("--yes", action="store_true", help="delete what is listed")


def run(arguments: argparse.Namespace) -> int:
    """List stale files with sizes; with ``--yes`` delete them, unless a run is in progress."""
    from qgpipe.workflow.cleanup import find_stale, remove

    files = config_files(arguments)
    configs = [run.config for run in with_derived(runs_of(*files))]
    locks = [path(config) for path in (paths.data_lock, paths.run_lock) for config in configs]
    locks = [lock for lock in dict.fromkeys(locks) if lock.parent.exists()]
    trainings = (paths.training_lock(paths.run_folder(config)) for config in configs)
    locks += [lock for lock in trainings if lock.exists()]
    if not locks:
        print("there is nothing yet")
        return 0
    with ExitStack() as stack:
        for lock in locks:
            stack.enter_context(writing(lock))
        found = find_stale(configs, *files)
        for stale in found:
            print(f"{_size(stale.size)}  {stale.path}: {stale.why}")
        if not found:
            print("nothing is stale")
            return 0
        print(f"{_size(sum(stale.size for stale in found))}  in all")
        if not arguments.yes:
            print("nothing was deleted: add --yes")
            return 0
        for stale in found:
            remove(stale)
    print("deleted")
    return 0


def _size(size: int) -> str:
    return f"{size / 1e6:10,.3f} MB"
