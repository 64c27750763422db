"""A finished run that is explained on request."""

import json
import shutil
from dataclasses import replace

import pytest

from qgpipe.cli import main
from qgpipe.provenance.record import find_record

pytestmark = pytest.mark.slow

RUN = "results/runs/tiny"
MADE = {"explain_run": 1, "plot_run": 1, "report_run": 1}


@pytest.fixture(scope="module")
def asked(finished, tmp_path_factory):
    """A copy of the finished run, explained."""
    folder = tmp_path_factory.mktemp("explained") / "copy"
    made = replace(finished, folder=shutil.copytree(finished.folder, folder, symlinks=True))
    made.config = {**made.config, "report": {"explain": True}}
    made.save()
    assert made.rules_to_run() == MADE
    assert made.rules_to_run("explain") == {"explain_run": 1}
    result = made.snakemake()
    assert result.returncode == 0, result.stdout + result.stderr
    return made


def test_it_is_not_made_without_being_asked_for(finished):
    assert finished.rules_to_run("explain") == {}
    assert not (finished.folder / RUN / "explanation.json").exists()
    assert 'id="explanation"' not in (finished.folder / RUN / "report.html").read_text()


def test_report_figures_and_record_are_there_and_nothing_is_left_to_do(asked):
    run = asked.folder / RUN
    content = json.loads((run / "explanation.json").read_text())
    reader = asked.config["data"]["reader"]["kwargs"]
    names = {name for entry in content["importances"]["features"] for name in entry["features"]}
    assert names == {*reader["node_features"], *reader["graph_features"]}
    assert len(content["invariants"]["heads"]) == 1
    assert find_record(run / "explanation.json").content["stage"] == "explain"
    page = (run / "report.html").read_text()
    for name in ("importances", "invariants"):
        assert (run / "figures" / f"{name}.svg").stat().st_size > 0
        assert f'id="figure-{name}"' in page
    assert asked.rules_to_run() == {}


def test_show_prints_what_was_found(asked, monkeypatch, capsys):
    monkeypatch.chdir(asked.folder)
    main(["show", "run.yaml"])
    said = capsys.readouterr().out
    assert "all 12 node features" in said
    assert "linear function of invariants" in said


def test_the_same_again_with_the_same_bytes(asked):
    file = asked.folder / RUN / "explanation.json"
    before = file.read_bytes()
    done = asked.snakemake("explain", "--forcerun", "explain_run")
    assert done.returncode == 0, done.stderr
    assert file.read_bytes() == before
