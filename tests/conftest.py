import atexit
import contextlib
import fcntl
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from qgpipe.config import objects

# Workers and what they start share few cores: threads that spin while they wait double the time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "PYTEST_XDIST_WORKER" not in os.environ:  # the key that signs records is not the user's own
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="qgpipe-")
    atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)
settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Long ones first, so that in the end no worker is left with one: Slurm, whole runs, others."""
    items.sort(key=lambda item: (not in_slurm(item.nodeid), not item.get_closest_marker("slow")))


def pytest_collection_finish():
    """What has been imported stays; looking through it in each garbage collection takes time."""
    gc.collect()
    gc.freeze()


def in_slurm(nodeid: str) -> bool:
    return "/slurm/" in f"/{nodeid}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A module to one worker, which makes its fixtures; all scenarios on Slurm, which wait, too."""
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return "slurm" if in_slurm(nodeid) else nodeid.partition("::")[0]

    config.option.loadscopereorder = False  # but in the order of the tests
    return ByModule(config, log) if config.getvalue("dist") == "loadfile" else None


@contextlib.contextmanager
def search_path_restored():
    """A block after which folders of a user's modules, added within it, are no longer searched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        patch.setenv("QGPIPE_PATH", "")
        yield


@pytest.fixture(autouse=True, scope="module")
def _search_path_of_the_module():
    with search_path_restored():
        yield


@pytest.fixture(autouse=True)
def _search_path_of_the_test(_search_path_of_the_module):
    with search_path_restored():
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """A function of a name and of what fills a folder: a folder that one worker fills for all."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def folder_of(name: str, fill) -> Path:
        folder, done = base / name, base / f"{name}.done"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return folder_of


@pytest.fixture
def full_disk(tmp_path_factory):
    """Makes a folder that holds only so many bytes."""
    mounted = []

    def make(size: int):
        folder = tmp_path_factory.mktemp("disk")
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"needs to mount a small file system: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def minimal() -> dict:
    """The smallest configuration that resolves."""
    return {
        "data": {"files": ["a.zarr"]},
        "model": {"encoder_type": "torch.nn.Identity", "downstream_tasks": ["torch.nn.Identity"]},
        "training": {"seed": 1, "num_epochs": 2, "batch_size": 4},
        "criterion": "mymodule.loss",
    }


@pytest.fixture
def user_folder(tmp_path, monkeypatch):
    """A folder in which modules of a configuration are found."""
    monkeypatch.setenv(objects.SEARCH_PATH_VARIABLE, "")
    objects.add_search_path(tmp_path)
    return tmp_path
