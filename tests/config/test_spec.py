import collections

import pytest

from qgpipe.config.spec import as_spec
from qgpipe.errors import ConfigError

NAME = "!pyobject collections.Counter"


@pytest.mark.parametrize(
    "form",
    [
        [NAME, ["aab"], {"c": 2}],
        {"type": NAME, "args": ["aab"], "kwargs": {"c": 2}},
        (collections.Counter, ("aab",), {"c": 2}),
        ["collections.Counter", ["aab"], {"c": 2}, "x -> y"],
    ],
)
def test_all_forms_build_the_same(form):
    assert as_spec(form).build() == {"a": 2, "b": 1, "c": 2}


@pytest.mark.parametrize("form", [NAME, [NAME], [NAME, None], [NAME, None, None], {"type": NAME}])
def test_arguments_may_be_left_out_or_null(form):
    assert as_spec(form).build() == {}


def test_the_signature_of_a_layer_is_kept():
    assert as_spec([NAME, [], {}, "x, edge_index"]).signature == "x, edge_index"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ([], r"m\[0\]: expected \[type, args, kwargs\], got 0 entries"),
        ([NAME, 3], r"m\[0\]: args must be a list, got 3"),
        ([NAME, [], [1]], r"m\[0\]: kwargs must be a mapping, got \[1\]"),
        ([NAME, [], {"!partial": {"type": NAME}}], r"m\[0\]: kwargs must be a mapping, got"),
        ({"typ": NAME}, r"m\[0\]: expected a mapping with 'type'"),
        (3, r"m\[0\]: 3 cannot be called"),
        (["math.pi"], r"m\[0\]: 3.14\d* cannot be called"),
    ],
)
def test_wrong_forms_are_named(form, message):
    with pytest.raises(ConfigError, match=message):
        as_spec(form, "m[0]")


def test_a_failing_construction_says_what_and_why():
    with pytest.raises(ConfigError, match=r"m: cannot construct Fraction\('x'\): .*'x'") as caught:
        as_spec(["fractions.Fraction", ["x"]], "m").build()
    assert isinstance(caught.value.__cause__, ValueError)
