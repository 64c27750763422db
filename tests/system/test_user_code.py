import json
from pathlib import Path

import pytest
import torch

from qgpipe.system.user_code import line_of_user


def caught(function) -> Exception:
    with pytest.raises(Exception) as error:
        function()
    return error.value


def fails():
    return json.loads("{")


def test_the_innermost_line_outside_installed_packages_is_named():
    line = fails.__code__.co_firstlineno + 1
    assert line_of_user(caught(fails)) == f" (test_user_code.py, line {line})"
    assert "test_user_code.py, line" in line_of_user(caught(lambda: torch.zeros(2) @ torch.ones(3)))


def test_a_folder_that_is_called_like_us_may_hold_code_of_the_users(tmp_path):
    module = tmp_path / "qgpipe" / "mine.py"
    module.parent.mkdir()
    module.write_text("def fails():\n    raise ValueError\n")
    names: dict = {}
    exec(compile(module.read_text(), str(module), "exec"), names)
    assert line_of_user(caught(names["fails"])) == " (mine.py, line 2)"


def test_an_error_that_never_was_raised_has_no_line():
    assert line_of_user(ValueError()) == ""


def test_a_syntax_error_says_its_line_itself():
    assert line_of_user(caught(lambda: compile("x = =", str(Path("a.py")), "exec"))) == ""
