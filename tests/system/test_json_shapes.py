import json

import pytest

from qgpipe.errors import DataError
from qgpipe.system.json_shapes import misfit, read_shaped

SHAPE = {
    "count": int,
    "score": (float, None),
    "kind": {"a", "b"},
    "names": (None, [str]),
    "table": {str: {"x": float}},
    "more?": bool,
}
FITS = {"count": 3, "score": None, "kind": "a", "names": ["x"], "table": {"t": {"x": 1}}}


@pytest.mark.parametrize(
    "change",
    [{}, {"score": 1}, {"score": -2.5}, {"names": None}, {"table": {}}, {"more": True}, {"z": []}],
)
def test_what_is_of_the_shape_passes(change):
    assert misfit(FITS | change, SHAPE) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": "3"}, "'count' is '3', not a whole number"),
        ({"count": 3.0}, "'count' is 3.0, not a whole number"),
        ({"count": True}, "'count' is True, not a whole number"),
        ({"score": "x"}, "'score' is 'x', not a number or null"),
        ({"score": float("nan")}, "'score' is nan, not a number or null"),
        ({"score": False}, "'score' is False, not a number or null"),
        ({"kind": "c"}, "'kind' is 'c', not a or b"),
        ({"kind": ["a"]}, "'kind' is ['a'], not a or b"),
        ({"names": {}}, "'names' is {}, not null or a list"),
        ({"names": ["x", 1]}, "'names[1]' is 1, not a text"),
        ({"table": {"t": {"x": None}}}, "'table.t.x' is None, not a number"),
        ({"table": {"t": {}}}, "it has no key 'table.t.x'"),
        ({"more": 1}, "'more' is 1, not true or false"),
        ({"count": "1" * 99}, f"'count' is '{'1' * 59}…, not a whole number"),
    ],
)
def test_what_does_not_fit_is_named(change, said):
    assert misfit(FITS | change, SHAPE) == said


@pytest.mark.parametrize("name", [name for name in SHAPE if not name.endswith("?")])
def test_a_key_that_is_missing_is_named(name):
    without = {key: value for key, value in FITS.items() if key != name}
    assert misfit(without, SHAPE) == f"it has no key '{name}'"


DAMAGE = [b"", b"{", b'{"count": NaN}', b"\xff", b"[" * 100_000, b"null", b"1" * 10_000, b"{}"]


@pytest.mark.parametrize("content", DAMAGE, ids=range(len(DAMAGE)))
def test_a_file_that_is_damaged_is_refused_with_the_remedy(tmp_path, content):
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_shaped(file, SHAPE, "make it again")
    text = str(caught.value)
    assert text.startswith(f"{file} is damaged: ") and text.endswith("; make it again")
    assert len(text) < 300 + len(str(file))


def test_a_folder_in_place_of_a_file_and_no_file_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read: Is a directory; make it again"):
        read_shaped(tmp_path, SHAPE, "make it again")
    with pytest.raises(DataError, match=r"no such file: .*/a.json; make it again"):
        read_shaped(tmp_path / "a.json", SHAPE, "make it again")


def test_a_file_that_is_whole_is_read(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(FITS))
    assert read_shaped(tmp_path / "a.json", SHAPE, "") == FITS
