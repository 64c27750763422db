import json
import re
from html.parser import HTMLParser

import pytest

from qgpipe.errors import DataError
from qgpipe.report.page.page import render, write_page

from ..conftest import ABLATIONS, EXPLANATION

VOID = {"meta", "link", "br"}


class Elements(HTMLParser):
    """The tags of a page, checked to be closed in order, with attributes and texts."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def attributes(self, name):
        return [found[name] for _, found in self.found if name in found]


@pytest.fixture(scope="module")
def elements(page) -> Elements:
    return Elements(page.read_text())


def numbers(html: str, row: str) -> list[float | None]:
    """The exact numbers in the row of a table that begins with ``row``."""
    found = re.search(rf'<tr><th scope="row">{row}</th>(.*?)</tr>', html, re.S)
    return [json.loads(value) for value in re.findall(r'<data value="(.*?)"', found[1])]


def test_every_element_is_closed_and_every_id_is_one_of_a_kind(elements):
    ids = elements.attributes("id")
    assert len(ids) == len(set(ids)) > 20


def test_every_reference_within_the_page_has_its_target(elements):
    ids = set(elements.attributes("id"))
    references = [*elements.attributes("href"), *elements.attributes("xlink:href")]
    assert {name[1:] for name in references if name.startswith("#")} <= ids
    assert {name for name in references if not name.startswith("#")} == {"data:,"}


def test_names_of_the_user_never_become_markup(elements):
    tags = {tag for tag, _ in elements.found}
    assert not tags & {"script", "iframe", "object", "embed", "form"}
    assert not [name for _, found in elements.found for name in found if name.startswith("on")]


def test_pictures_have_names_and_tables_captions(elements):
    pictures = [found for tag, found in elements.found if tag == "svg"]
    assert len(pictures) >= 8
    assert all(found["role"] == "img" and found["aria-label"] for found in pictures)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("table") == tags.count("caption") > 5
    assert tags.count("h1") == 1


def test_metrics_baselines_and_confusion_are_those_of_the_result_file(results):
    run = results()
    html = render(run)
    table = html[html.index('<table class="confusion">') :].replace("\n", "")
    for name, row in zip(run.test["class_names"], run.test["confusion_matrix"], strict=True):
        assert numbers(table, name) == row
    for kind in ("loss", "metrics"):
        for name, value in run.test[kind].items():
            assert numbers(html, name) == [value, run.test["baseline"][kind][name]]


def test_a_run_without_a_baseline_shows_its_metrics_alone(results):
    run = results()
    run.test["baseline"] = None
    assert numbers(render(run), "loss_avg") == [run.test["loss"]["loss_avg"]]


def test_what_is_known_of_the_run_is_on_the_page(results):
    run = results(config="name: a_run\nx-note: 1 < 2\n")
    text = Elements(render(run)).text
    for expected in (
        "NaN in 'in_degree'", "raw/a.zarr", "3 filtered out, 1 left out as bad", "random, seed 7",
        "1,234", "stopped by num_epochs", "checkpoints/0123456789abcdef", "x-note: 1 < 2",
        "python 3.11.7", "There are no records",
    ):  # fmt: skip
        assert expected in text, expected


def test_captions_tell_of_the_kind_of_target_that_the_run_has(results):
    of_classes, of_values = "share of right answers", "prediction minus target"
    run = results()
    assert of_classes in render(run) and of_values not in render(run)
    real = {
        "metrics": {**run.test, "task": "regression", "confusion_matrix": None},
        "predictions": {"id": ["a/0", "a/1"], "target": [0.5, 1.5], "output_0": [0.25, 2.0]},
        "split": {**run.split, "class_counts": None},
    }
    page = render(results(**real))
    assert of_values in page and of_classes not in page


def test_names_are_shown_as_they_are_written(results):
    name = "<b>&amp;"
    metrics = {**results().test, "run": name, "class_names": [name, "b", "c"]}
    text = Elements(render(results(metrics=metrics, config=f"name: {name}"))).text
    assert text.count(name) >= 10


def test_a_file_that_is_missing_is_named_and_no_page_is_written(results, tmp_path):
    run = results()
    (run.run_folder / "config.yaml").unlink()
    with pytest.raises(DataError, match=r"config\.yaml; make it again with --forcerun train_run"):
        write_page(run.run_folder, run.dataset_json, run.split_json, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_an_odd_run_has_a_page_too(odd_run):
    Elements(render(odd_run))


def test_a_page_of_many_graphs_and_epochs_stays_small(results, large_run):
    assert len(render(results(**large_run)).encode()) < 2_000_000


def test_equal_results_give_an_equal_page_but_for_what_is_measured(results):
    first, second = (
        re.sub(r'<span class="measured">.*?</span>', "", render(results()), flags=re.S)
        for _ in range(2)
    )
    assert first == second


def test_an_explanation_is_shown_if_there_is_one(results):
    run = results(explanation=EXPLANATION)
    plain, text = render(run), render(run, explained=True)
    assert 'id="explanation"' not in plain
    assert "figure-importances" not in plain
    for name in ("importances", "invariants"):
        assert f'id="figure-{name}"' in text
    assert numbers(text, "all outputs") == [0.9, None]
    row = re.search(r'<th scope="row" class="text">out_degree \(a\)</th>(.*?)</tr>', text)
    assert [json.loads(v) for v in re.findall(r'<data value="(.*?)"', row[1])] == [0.5, 0.25]


def test_why_nothing_is_explained_is_said(results):
    invariants = {**EXPLANATION["invariants"], "heads": [], "left_out": "the graphs have no edges"}
    run = results(explanation={**EXPLANATION, "invariants": invariants})
    assert "Not measured: the graphs have no edges." in render(run, explained=True)


def test_ablations_are_shown_with_or_without_an_explanation(results):
    run = results(ablations=ABLATIONS, explanation=EXPLANATION)
    text = render(run, ablated=True)
    assert 'id="figure-ablations"' in text
    assert "figure-importances" not in text
    assert numbers(text, "without edges") == [0.5, 0.5, -0.2, 0.01]
    assert numbers(text, "edges reversed")[:3] == [0.7, None, 0.0]
    assert "a_run-no_edges" in text
    assert 'id="figure-importances"' in render(run, explained=True, ablated=True)


def test_what_the_classes_were_in_the_store_is_said(results):
    dataset = {"class_names": ["flat", "curved"], "classes": [4, 1]}
    text = Elements(render(results(dataset={**results().dataset, **dataset}))).text
    assert "The classes are stored as 4 (flat), 1 (curved)." in text
