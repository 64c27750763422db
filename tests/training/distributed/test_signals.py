import os
import signal
import threading

import pytest

from qgpipe.system.logs import SIGNALS, TRY_AGAIN
from qgpipe.training.distributed.signals import Interrupted, SignalWatch


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_remembered_until_it_is_asked_for(number):
    with SignalWatch() as watch:
        watch.raise_if_received()
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted, match=f"stopped by {number.name}"):
            watch.raise_if_received()


def test_within_an_evaluation_it_ends_at_once():
    reached = []
    with SignalWatch() as watch, pytest.raises(Interrupted), watch.at_once():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.sigpending()
        reached.append("after the signal")
    assert reached == []


def test_an_evaluation_does_not_begin_after_a_signal():
    with SignalWatch() as watch:
        os.kill(os.getpid(), signal.SIGUSR1)
        with pytest.raises(Interrupted), watch.at_once():
            raise AssertionError("not reached")


def test_later_signals_change_nothing():
    with SignalWatch() as watch:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            watch.raise_if_received()
        os.kill(os.getpid(), signal.SIGINT)
        assert watch.received == "SIGTERM"


def test_the_handlers_are_put_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    with SignalWatch():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_outside_the_main_thread_it_watches_nothing():
    errors = []

    def work():
        try:
            with SignalWatch() as watch:
                watch.raise_if_received()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors == []


def test_uncaught_it_ends_the_process_with_code_75():
    assert Interrupted("SIGTERM").code == TRY_AGAIN == 75
