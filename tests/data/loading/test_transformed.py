import multiprocessing
import os
import signal

import pytest

from qgpipe.data.loading.transformed import heed_parent_only, held

FORK = multiprocessing.get_context("fork")


def work(ready, sender):
    """A worker that is signalled by a process which is not its parent, and goes on."""
    heed_parent_only(0)
    ready.set()
    sender.wait()
    os._exit(7)


def start_late():
    """A worker that another process stops before it is prepared."""
    stranger = FORK.Process(target=os.kill, args=(os.getpid(), signal.SIGTERM))
    stranger.start()
    stranger.join()
    heed_parent_only(0)
    os._exit(7)


@pytest.fixture
def worker():
    ready, sender = FORK.Event(), FORK.Event()
    process = FORK.Process(target=work, args=(ready, sender), daemon=True)
    process.start()
    ready.wait()
    yield process, sender
    process.kill()
    process.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_worker_goes_on_when_its_whole_job_is_signalled(worker, number):
    process, sender = worker
    stranger = FORK.Process(target=os.kill, args=(process.pid, number))
    stranger.start()
    stranger.join()
    sender.set()
    process.join()
    assert process.exitcode == 7


def test_a_signal_that_comes_while_workers_start_finds_them_prepared():
    received = []
    before = signal.signal(signal.SIGTERM, lambda *_: received.append("parent"))
    try:
        with held():
            process = FORK.Process(target=start_late)
            process.start()
            signal.raise_signal(signal.SIGTERM)  # to this thread: others may not hold it
            assert received == []
        assert received == ["parent"]
    finally:
        signal.signal(signal.SIGTERM, before)
    process.join()
    assert process.exitcode == 7


def test_a_worker_ends_when_its_parent_says_so(worker):
    process, _ = worker
    process.terminate()
    process.join()
    assert process.exitcode == 0
