"""Messages are a line of a few hundred characters, whatever is quoted in them."""

import pytest

from qgpipe.errors import LONGEST, ConfigError, DataError, one_line, shown


@pytest.mark.parametrize(
    "quoted", ["x" * 10**6, "line\n" * 1500, "\x1b[31m\x00\ud800", "tab\tand\r\nmore\u2028"]
)
def test_a_message_is_one_short_line_that_can_be_printed(quoted):
    for error in (
        ConfigError(quoted, key=quoted, file=quoted, remedy=quoted),
        DataError(f"cannot be read: {quoted} (mymodule.py, line 12)", store="a.zarr", sample=3),
    ):
        text = str(error)
        assert len(text) <= LONGEST
        assert text.isprintable()
        assert quoted in error.in_full()
    assert text.startswith("a.zarr, sample 3: cannot be read: ")
    assert text.endswith(" (mymodule.py, line 12)")


def test_a_short_message_is_as_it_was_written():
    error = ConfigError("unknown  key", key="training.sed", file="run.yaml", remedy="see 'seed'")
    assert str(error) == error.in_full() == "run.yaml: training.sed: unknown  key; see 'seed'"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [2]}, "{'b': 1, 'a': [2]}"),
        ("a\nb", r"'a\nb'"),
        (list(range(10**6)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, "
         "19, 20, 21..."),
        ([16**6000], "[0x100000000000000000...]"),
    ],
)  # fmt: skip
def test_a_value_is_shown_by_its_beginning(value, text):
    assert shown(value) == text


def test_lines_are_joined_by_a_space():
    assert one_line(" a \n\n  b\u2028c ") == "a b c"
