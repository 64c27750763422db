import sys
import time

import pytest
from judge import Mutant, judge

from qgpipe.cli import main


def says(text, code=1):
    def run():
        print(text, file=sys.stderr, flush=True)
        return code

    return run


def fails():
    raise ValueError("a bug")


def aborts():
    import os

    os.abort()


@pytest.mark.parametrize(
    ("kind", "run", "expected"),
    [
        ("ran", says("", 0), {}),
        ("silent", says("", 0), {"refused": True}),
        ("silent", says("", 0), {"same": lambda folder: False}),
        ("message", says("qgpipe check: data.files: a.zarr is no store"), {}),
        ("message", lambda: main(["check", "no.yaml"]), {"refused": True}),
        ("long", says("one\ntwo\nthree"), {}),
        ("long", says("x" * 700), {}),
        ("long", says(""), {}),
        ("traceback", fails, {}),
        ("died", aborts, {}),
        ("hang", lambda: time.sleep(100), {}),
    ],
)
def test_what_came_of_a_mutant_is_told(tmp_path, monkeypatch, kind, run, expected):
    monkeypatch.setattr("judge.LIMIT", 2.0)
    outcome = judge(Mutant("mutant", lambda folder: None, run, **expected), tmp_path)
    assert outcome.kind == kind, outcome.error
