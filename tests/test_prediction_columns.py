import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgpipe.prediction_columns import PredictionColumn, columns_of, parse_column

KINDS = ["target", "output", "predicted", "class", "probability", "embedding"]
NUMBERS = st.none() | st.integers(0, 10**6)


@given(st.builds(PredictionColumn, st.sampled_from(KINDS), NUMBERS, NUMBERS))
def test_a_name_reads_back_as_what_was_written(column):
    assert parse_column(str(column)) == column


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("target", ("target", None, None)),
        ("output_0", ("output", None, 0)),
        ("task1_output_0", ("output", 1, 0)),
        ("task0_predicted", ("predicted", 0, None)),
        ("id", None),
        ("output_x", None),
        ("target_", None),
        ("task_output_0", None),
    ],
)
def test_names(name, column):
    assert parse_column(name) == column


def test_columns_of_a_head_are_found_in_their_order():
    names = ["id", "task0_output_1", "task0_output_0", "task1_output_0", "task0_predicted"]
    assert columns_of(names, "output", 0) == ["task0_output_1", "task0_output_0"]
    assert columns_of(names, "output") == []
