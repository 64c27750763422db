import functools
import sys
from pathlib import Path

from qgpipe.config.objects import SEARCH_PATH_VARIABLE
from qgpipe.stages.session_code import live_code, live_folders


def in_a_module(outputs, data):
    return outputs[0].mean()


def local(text):
    """A function as a script or a notebook defines it."""
    if text == "mean":

        def function(x):
            return x.mean()
    else:

        def function(x):
            return x.sum()

    return function


def test_functions_of_modules_are_left_to_their_names():
    assert live_code({"criterion": in_a_module, "type": dict, "n": 3}) == live_code({})


def test_the_source_of_other_functions_counts():
    assert live_code([local("mean")]) == live_code([local("mean")])
    assert live_code([local("mean")]) != live_code([local("sum")])
    assert live_code([local("mean")]) != live_code([])


def test_it_is_found_at_any_depth():
    deep = {"a": [{"b": (functools.partial(local("mean"), y=local("sum")),)}]}
    assert live_code(deep) not in (live_code([local("mean")]), live_code([]))


def test_functions_of_the_running_script_count(monkeypatch):
    monkeypatch.setattr(in_a_module, "__module__", "__main__")
    assert live_code(in_a_module) != live_code([])


def test_what_has_no_source_counts_by_its_name():
    typed_in = eval("lambda x: x")
    assert live_code(typed_in) != live_code([])


def test_modules_lie_where_configured_here_and_beside_the_script(monkeypatch, tmp_path):
    monkeypatch.setenv(SEARCH_PATH_VARIABLE, str(tmp_path / "configured"))
    monkeypatch.chdir(tmp_path)
    script = str(tmp_path / "scripts" / "a.py")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", script, raising=False)
    assert live_folders() == [tmp_path / "configured", Path.cwd(), tmp_path / "scripts"]
