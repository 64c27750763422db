from pathlib import Path

import pytest

from qgpipe.provenance.record import Job, recorded
from qgpipe.report.page.provenance_summary import provenance_summary
from qgpipe.system.files import read_json, sha256, write_json


def make(stage: str, path: Path, *inputs: Path, **section: object) -> Path:
    """Write ``path`` as a job of ``stage`` would, with its record."""
    with recorded(Job(stage, [path], inputs, section)):
        path.write_text(stage)
    return path


@pytest.fixture
def metrics(tmp_path, monkeypatch) -> Path:
    """The result of a chain of jobs: three parts, their list, a split, training and test."""
    monkeypatch.chdir(tmp_path)
    parts = [make("preprocess", Path(f"part-{k}"), code={"mine": "abc"}) for k in range(3)]
    dataset = make("gather", Path("dataset.json"), *parts)
    split = make("split", Path("split.json"), dataset)
    model = make("train", Path("model.pt"), dataset, split, code={"loss": "def"})
    return make("test", Path("metrics.json"), model, split)


def test_the_stages_are_told_with_the_time_of_all_their_jobs(metrics):
    stages = {stage.name: stage for stage in provenance_summary(metrics).stages}
    assert list(stages) == ["preprocess", "gather", "split", "train", "test"]
    assert [stage.jobs for stage in stages.values()] == [3, 1, 1, 1, 1]
    seconds = [read_json(Path(f"part-{k}.provenance.json"))["seconds"] for k in range(3)]
    assert stages["preprocess"].seconds == pytest.approx(sum(seconds))


def test_sources_have_the_checksums_of_their_files_and_one_part_stands_for_all(metrics):
    found = provenance_summary(metrics)
    names = ["metrics.json", "model.pt", "split.json", "dataset.json", "part-0"]
    assert [source.path for source in found.sources] == names
    assert [source.checksum for source in found.sources] == [sha256(name) for name in names]
    assert found.more_parts == 2


def test_the_fingerprints_of_all_code_are_told(metrics):
    assert provenance_summary(metrics).code == {"mine": "abc", "loss": "def"}


def test_versions_that_differ_between_stages_are_all_told(metrics):
    record = read_json(Path("split.json.provenance.json"))
    record["versions"]["numpy"] = "0.9"
    write_json(Path("split.json.provenance.json"), record)
    assert provenance_summary(metrics).versions["numpy"].endswith("and 0.9")


def test_without_records_there_is_no_origin(metrics):
    Path("metrics.json.provenance.json").unlink()
    assert provenance_summary(metrics) is None
