import atexit
import contextlib
import fcntl
import functools
import gc
import http.server
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import settings

from qgpipe.config import objects

# Workers and what they start share few cores: threads that spin while they wait double the time.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS", "1")
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


class ObjectStore:
    """An S3 server on loopback with one bucket; ``answers``: the status of each answer so far."""

    def __init__(self, port=0):
        from moto.server import ThreadedMotoServer
        from werkzeug.serving import WSGIRequestHandler

        self.answers = answers = []
        WSGIRequestHandler.log_request = lambda handler, code="-", size="-": answers.append(
            int(code)
        )
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def client(self):
        import boto3

        keys = {"aws_access_key_id": "tests", "aws_secret_access_key": "tests"}
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **keys)

    def upload(self, path):
        """Put a folder, or a file, into the bucket ``sets``; its URL."""
        client = self.client()
        client.create_bucket(Bucket="sets")
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.is_file():
                key = file.relative_to(path.parent).as_posix()
                client.put_object(Bucket="sets", Key=key, Body=file.read_bytes())
        return f"s3://sets/{path.name}"

    def stop(self):
        self._server.stop()


@pytest.fixture
def object_store(monkeypatch):
    """An empty ``ObjectStore``, which the environment names."""
    pytest.importorskip("moto")
    store = ObjectStore()
    store.client().create_bucket(Bucket="sets")
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    yield store
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].reset()
    store.stop()


@pytest.fixture
def web_server():
    """A function of a path: its URL on a web server on loopback."""
    servers = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    def serve(path):
        handler = functools.partial(Quiet, directory=path.parent)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/{path.name}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def silent_server():
    """The URL of a server that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
