"""What a record holds, where it is found, and when it says that nothing is to be made."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import qgpipe
from qgpipe.provenance.record import Job, find_record, is_up_to_date, read_record, recorded

TABLE, RESULT = Path("results/data/table.json"), Path("results/run/result.txt")


def sha(text):
    import hashlib

    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def test_a_record_names_what_was_made_from_what(chain):
    record = find_record(RESULT)
    assert record.stage == "split"
    assert record.outputs == {RESULT: sha("3")}
    assert record.inputs == {TABLE: sha("[1, 2]")}
    (contents,) = find_record(TABLE).inputs.values()
    assert find_record(TABLE).inputs == {Path("own.zarr"): contents}
    assert contents == f"store:{find_record(TABLE).content['store']['identity']}"


def test_a_record_names_versions_machine_and_time(chain):
    content = json.loads(Path("results/run/result.txt.provenance.json").read_text())
    assert content["versions"]["qgpipe"] == qgpipe.__version__
    assert {"python", "numpy", "torch", "zarr"} <= set(content["versions"])
    assert content["host"]["cpus"] == os.cpu_count()
    assert content["device"] == "cpu"
    assert content["seconds"] >= 0
    assert content["started"].endswith("+00:00")


def test_core_seconds_count_what_a_job_and_its_processes_compute(tmp_path):
    output = tmp_path / "a"
    compute = "import time\nwhile time.process_time() < 0.3: pass"
    with recorded(Job("train", [output], [], {})):
        time.sleep(0.3)
        begun = time.process_time()
        while time.process_time() < begun + 0.2:
            pass
        subprocess.run([sys.executable, "-c", compute], check=True)
        output.touch()
    content = find_record(output).content
    assert 0.45 <= content["core_seconds"] < content["seconds"] - 0.25


def test_versions_of_the_packages_that_a_section_names_are_in_the_record(tmp_path):
    output = tmp_path / "a"
    section = {"monitor": "torchmetrics.Accuracy", "other": "nowhere.x", "text": "a sentence."}
    with recorded(Job("train", [output], [], section)):
        output.touch()
    assert "torchmetrics" in find_record(output).content["versions"]


def test_links_stay_when_the_project_moves(chain, tmp_path_factory, monkeypatch):
    moved = tmp_path_factory.mktemp("moved") / "project"
    shutil.copytree(chain, moved)
    monkeypatch.chdir(moved)
    assert find_record(RESULT).inputs == {TABLE: sha("[1, 2]")}
    assert find_record(moved / RESULT).inputs == {moved / TABLE: sha("[1, 2]")}


def test_several_outputs_of_a_stage_share_a_record(tmp_path):
    outputs = [tmp_path / "a", tmp_path / "b"]
    with recorded(Job("train", outputs, [], {})):
        for output in outputs:
            output.write_text(output.name)
    assert {find_record(output).file.name for output in outputs} == {"train.provenance.json"}
    assert find_record(tmp_path / "c") is None


def test_a_job_that_fails_leaves_no_record(tmp_path):
    output = tmp_path / "a"
    with pytest.raises(RuntimeError), recorded(Job("train", [output], [], {})):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_record_or_one_of_another_format_counts_as_none(tmp_path):
    for text in ("{", "[]", '{"format": 99}'):
        (tmp_path / "a.provenance.json").write_text(text)
        assert read_record(tmp_path / "a.provenance.json") is None


@pytest.fixture
def job(chain):
    return Job("split", [RESULT], [TABLE], {"x": [1, float("inf")], 2: None})


def test_what_was_made_from_the_same_is_up_to_date(job):
    assert is_up_to_date(job)
    for file in (TABLE, RESULT):
        os.utime(file, (0, 0))
    assert is_up_to_date(job)


@pytest.mark.parametrize("file", [TABLE, RESULT])
def test_another_input_or_output_is_out_of_date(job, file):
    file.write_text("other")
    assert not is_up_to_date(job)


def test_a_missing_output_or_record_is_out_of_date(job):
    RESULT.rename("kept")
    assert not is_up_to_date(job)
    Path("kept").rename(RESULT)
    assert is_up_to_date(job)
    job.record_file.unlink()
    assert not is_up_to_date(job)


@pytest.mark.parametrize("section", [None, {"x": [1, 2], 2: None}])
def test_another_section_or_one_without_a_name_is_out_of_date(job, section):
    assert not is_up_to_date(Job(job.stage, job.outputs, job.inputs, section))


def as_format_1(record: Path, stage: str) -> None:
    """Put ``record`` as the first version wrote it."""
    record.write_text(json.dumps({**json.loads(record.read_text()), "format": 1, "stage": stage}))


@pytest.mark.parametrize(
    ("before", "now"), [("report", "plot"), ("page", "report"), ("train", "train")]
)
def test_names_of_stages_in_earlier_records_are_understood(tmp_path, before, now):
    output = tmp_path / "a"
    with recorded(Job(now, [output], [], {})):
        output.touch()
    as_format_1(tmp_path / "a.provenance.json", before)
    assert find_record(output).stage == now
    assert is_up_to_date(Job(now, [output], [], {}))


def test_a_record_of_an_earlier_name_is_found_and_gives_way_to_the_new_one(tmp_path):
    outputs = [tmp_path / "loss.svg", tmp_path / "sizes.svg"]

    def plot() -> None:
        with recorded(Job("plot", outputs, [], {})):
            for output in outputs:
                output.touch()

    plot()
    earlier = (tmp_path / "plot.provenance.json").rename(tmp_path / "report.provenance.json")
    as_format_1(earlier, "report")
    assert find_record(outputs[0]).stage == "plot"
    plot()
    assert not earlier.exists()
    assert find_record(outputs[1]).file == tmp_path / "plot.provenance.json"


def test_a_record_of_a_later_format_is_not_read(tmp_path):
    output = tmp_path / "a"
    with recorded(Job("train", [output], [], {})):
        output.touch()
    file = tmp_path / "a.provenance.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 3}))
    assert read_record(file) is None
