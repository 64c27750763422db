import json

import pytest

from qgpipe.errors import DataError
from qgpipe.report.tables.explanation import (
    explanation_rows,
    invariant_lines,
    measures,
    read_explanation,
    table_rows,
)
from qgpipe.system.files import sha256

from ..conftest import EXPLANATION, feature_entry


def test_measures_are_named_by_what_happens_to_them():
    assert measures(EXPLANATION) == ["rise of the loss", "fall of the accuracy"]
    scores = [
        {"task": 0, "measure": "accuracy", "value": 1.0},
        {"task": 1, "measure": "mean absolute error", "value": 1.0},
    ]
    several = {**EXPLANATION, "importances": {**EXPLANATION["importances"], "scores": scores}}
    assert measures(several)[1:] == [
        "fall of the accuracy of head 0", "rise of the mean absolute error of head 1"
    ]  # fmt: skip


def test_rows_are_in_the_order_of_the_rise_of_the_loss():
    rows = table_rows(EXPLANATION, "features")
    assert [row[0].features for row in rows] == [
        ("out_degree",), ("ordering_fraction",), ("in_degree",)
    ]  # fmt: skip
    assert [(row[0].mean, row[1].mean) for row in rows] == [(0.5, 0.25), (0.25, None), (-0.01, 0.0)]


def test_features_with_a_partner_have_the_letter_of_the_group():
    assert [row[0].group for row in table_rows(EXPLANATION, "features")] == ["a", "", "a"]
    many = [feature_entry([f"f{k}", f"g{k}"], 1 - k / 100) for k in range(28)]
    importances = {**EXPLANATION["importances"], "correlated": many}
    rows = table_rows({**EXPLANATION, "importances": importances}, "correlated")
    assert [rows[k][0].group for k in (0, 25, 26, 27)] == ["a", "z", "aa", "ab"]


def test_the_most_important_features_in_a_few_rows():
    title, first, *others = explanation_rows(EXPLANATION)
    assert title == ("permuted", "rise of the loss", "fall of the accuracy")
    assert first == ("out_degree (a)", "0.5 ± 0.01", "0.25 ± 0.02")
    assert others[0] == ("ordering_fraction", "0.25 ± 0.01", "not finite")
    assert [row[0] for row in others[2:]] == [
        "the 2 correlated features (a)",
        "all 3 node features",
    ]


def test_shares_are_shown_with_their_intervals():
    assert invariant_lines(EXPLANATION) == [
        "share of the variance of the outputs explained by",
        "  linear function of invariants: 0.9, 0.85 to 0.95",
        "  gradient boosting of invariants: not finite",
    ]
    left_out = {**EXPLANATION, "invariants": {**EXPLANATION["invariants"], "left_out": "no edges"}}
    assert invariant_lines(left_out) == ["no share that invariants explain: no edges"]


def test_an_explanation_of_another_model_is_left(tmp_path):
    file, model = tmp_path / "explanation.json", tmp_path / "model.pt"
    assert read_explanation(file, model) is None
    model.write_bytes(b"weights")
    file.write_text(json.dumps({**EXPLANATION, "model": sha256(model)}))
    assert read_explanation(file, model)["num_graphs"] == EXPLANATION["num_graphs"]
    model.write_bytes(b"others")
    assert read_explanation(file, model) is None


def test_a_damaged_file_is_named(tmp_path):
    file = tmp_path / "explanation.json"
    file.write_text(json.dumps({**EXPLANATION, "importances": {}}))
    with pytest.raises(DataError, match=r"explanation\.json is damaged: it has no key"):
        read_explanation(file)
