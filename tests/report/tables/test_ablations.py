import json

from qgpipe.report.tables.ablations import ablation_rows, read_ablations
from qgpipe.system.files import sha256

from ..conftest import ABLATIONS


def test_the_model_and_its_ablations_in_rows():
    assert ablation_rows(ABLATIONS) == [
        ("accuracy", "", "difference", "p"),
        ("model", "0.7, 0.6 to 0.8", "", ""),
        ("without edges", "0.5, 0.4 to 0.6", "-0.2, -0.3 to -0.1", "0.01"),
        ("edges reversed", "0.7, 0.6 to 0.8", "+0, -0.3 to -0.1", "0.01"),
    ]


def test_a_target_without_graphs_has_no_rows_and_several_are_named():
    [target] = ABLATIONS["targets"]
    none = {**target, "name": "other", "model": None, "ablations": {}}
    rows = ablation_rows({**ABLATIONS, "targets": [target, none]})
    assert rows[0][0] == "accuracy of cset_type"
    assert len(rows) == 4


def test_ablations_of_other_predictions_are_left(tmp_path):
    file, predictions = tmp_path / "ablations.json", tmp_path / "predictions.csv"
    assert read_ablations(file, predictions) is None
    predictions.write_text("id\n")
    file.write_text(json.dumps({**ABLATIONS, "predictions": sha256(predictions)}))
    assert read_ablations(file, predictions)["runs"] == ABLATIONS["runs"]
    predictions.write_text("id\na/0\n")
    assert read_ablations(file, predictions) is None
