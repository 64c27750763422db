"""The page about generated causal sets names all classes, parameters and arrays."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest

import qgpipe.config
from qgpipe.causets.generators.classes import resolve_class
from qgpipe.causets.generators.registry import GENERATORS

PAGE = (Path(__file__).parents[2] / "docs" / "generators.md").read_text()
CLASSES, KEPT = (
    PAGE.split("Names in QuantumGrav.jl")[0],
    PAGE.split("## What a causal set was made of")[1],
)


@pytest.mark.parametrize("name", GENERATORS)
def test_a_class_has_a_row_with_its_parameters(name):
    (row,) = [line for line in CLASSES.splitlines() if re.match(rf"\|[^|]*`{name}`", line)]
    if "as there" in row:
        return
    for parameter in list(inspect.signature(resolve_class(name, "x").function).parameters)[2:]:
        assert f"`{parameter}`" in row, parameter


@pytest.mark.parametrize("name", GENERATORS)
def test_what_a_class_keeps_is_on_the_page(name):
    made = resolve_class(name, "x").generate(np.random.default_rng(0), 20)
    for array in (*made.made_of, *made.of_elements):
        assert f"| `{array}`" in KEPT or f", `{array}`" in KEPT, array


def test_the_schema_names_all_classes():
    schema = json.loads((Path(qgpipe.config.__file__).parent / "schema.json").read_text())
    described = schema["$defs"]["generator"]["description"]
    assert f"({', '.join(GENERATORS)})" in described
