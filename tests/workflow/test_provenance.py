"""Where the artifacts of a finished run came from, by the commands that a user types."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import rocrate
from requests_cache import CachedResponse, CachedSession
from requests_cache.models import CachedRequest
from rocrate_validator import services
from rocrate_validator.models import Severity

from qgpipe.cli import main
from qgpipe.stages.registry import STAGES

pytestmark = pytest.mark.slow

RUN = Path("results/runs/tiny")


@pytest.fixture
def copy(finished, tmp_path, monkeypatch):
    """A copy of the finished run to change; the working directory."""
    shutil.copytree(finished.folder, tmp_path / "copy", ignore=shutil.ignore_patterns(".snakemake"))
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def said(capsys, *arguments):
    code = main(list(map(str, arguments)))
    return code, capsys.readouterr().out


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_finished_run_is_traced_to_its_raw_store_and_settings(copy, capsys):
    code, text = said(capsys, "trace", RUN / "test/metrics.json")
    assert code == 0
    assert text.endswith("all 8 artifacts hold, and the settings are as they were\n")
    order = ["metrics.json: h", "model.pt: h", "split.json: h", "dataset.json: h",
             "causets-000000000.safetensors: h", "causets.zarr: h"]  # fmt: skip
    places = [text.index(line) for line in order]
    assert places == sorted(places)


def test_what_has_changed_in_the_configuration_is_named_where_it_matters(copy, capsys):
    edit(Path("run.yaml"), "num_epochs: 3", "num_epochs: 4 # more")
    code, text = said(capsys, "trace", RUN)
    assert code == 1
    assert text.count("CHANGED") == 1
    assert "run.yaml has CHANGED: training.num_epochs: 3 → 4\n" in text
    last = "all 23 artifacts hold; the settings of 1 job have changed or cannot be told\n"
    assert text.endswith(last)


def test_a_damaged_part_is_found(copy, capsys):
    part = Path("results/data/parts/causets-000000020.safetensors")
    stat, content = part.stat(), bytearray(part.read_bytes())
    content[-1] ^= 0xFF
    part.write_bytes(content)
    os.utime(part, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    code, text = said(capsys, "trace", RUN / "model.pt")
    assert code == 1
    assert f"{part}: CHANGED since it was made" in text
    assert "1 of 7 artifacts do not hold, but the settings are as they were\n" in text


def test_runs_are_compared(copy, capsys):
    shutil.copytree(RUN, "results/runs/other")
    other = Path("results/runs/other")
    edit(other / "config.yaml", "name: tiny", "name: other")
    edit(other / "config.yaml", "num_epochs: 3", "num_epochs: 4")
    record = json.loads((other / "train.provenance.json").read_text())
    record["versions"]["torch"] = "2.11.0"
    (other / "train.provenance.json").write_text(json.dumps(record))
    metrics = json.loads((other / "test/metrics.json").read_text())
    metrics["metrics"]["accuracy"] += 0.25
    (other / "test/metrics.json").write_text(json.dumps(metrics))
    code, text = said(capsys, "diff", RUN, other)
    assert code == 0
    assert "settings\n  name: 'tiny' → 'other'\n  training.num_epochs: 3 → 4\n" in text
    for topic in ("data", "code", "git", "machine"):
        assert f"{topic}: the same\n" in text
    assert re.search(r"versions\n  train\.torch: '2\.1\d.*' → '2\.11\.0'\n", text)
    assert re.search(r"  test accuracy .* \+0\.25\n", text)


def test_a_folder_without_a_run_cannot_be_compared(copy, capsys):
    for other in ("results/data", "run.yaml", "nowhere", str(RUN / "model.pt")):
        for pair in ([str(RUN), other], [other, str(RUN)]):
            assert main(["diff", *pair]) == 1
            assert capsys.readouterr().err == (
                f"qgpipe diff: {other} is not the folder of a finished run; name two folders in "
                "training.path, results/runs/first for instance\n"
            )


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("train.provenance.json", "{}", "is damaged or of another format"),
        ("test/metrics.json", "[]", "is damaged: it is [], not a mapping"),
        ("summary.json", "{", "is damaged"),
        ("config.yaml", "a: [", "line 1"),
    ],
)
def test_a_run_with_a_damaged_file_cannot_be_compared(copy, capsys, file, content, problem):
    shutil.copytree(RUN, "results/runs/other")
    damaged = Path("results/runs/other", file)
    damaged.write_text(content)
    assert main(["diff", str(RUN), "results/runs/other"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"qgpipe diff: {damaged}")
    assert problem in error
    assert error.count("\n") <= 2


@pytest.fixture
def crate(copy, capsys):
    code, _ = said(capsys, "trace", RUN, "--crate", "crate")
    assert code == 0
    graph = json.loads(Path("crate/ro-crate-metadata.json").read_text())["@graph"]
    return {entity["@id"]: entity for entity in graph}


def ids(value):
    return {entry["@id"] for entry in (value if isinstance(value, list) else [value])}


@pytest.fixture
def context(tmp_path):
    """A cache of web pages with the one that the validator asks for, so that it needs no network.

    The context of RO-Crate 1.1 is made from the newer one that comes with ``rocrate``: of the
    terms that our crates use they differ in one.
    """
    page = Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld"
    text = page.read_text().replace(
        "bioschemas.org/terms/ComputationalWorkflow", "bioschemas.org/ComputationalWorkflow"
    )
    address = "https://w3id.org/ro/crate/1.1/context"
    response = CachedResponse(
        content=text.encode(),
        status_code=200,
        url=address,
        headers={"Content-Type": "application/ld+json"},
        request=CachedRequest(method="GET", url=address),
    )
    with CachedSession(str(tmp_path / "cache"), expire_after=-1, backend="sqlite") as session:
        session.cache.save_response(response)
    return tmp_path / "cache"


def problems(cache):
    """What the validator says that the crate in the working directory must have and has not."""
    settings = services.ValidationSettings(
        rocrate_uri="crate",
        profile_identifier="workflow-run-crate",
        requirement_severity=Severity.REQUIRED,
        offline=True,
        cache_path=cache,
    )
    return [issue.message for issue in services.validate(settings).get_issues()]


def test_a_crate_says_what_each_script_does(crate):
    for name, stage in STAGES.items():
        script = "cli/export.py" if stage.rule is None else f"{stage.rule}.py"
        entity = crate[f"workflow/scripts/{Path(script).name}"]
        assert (entity["name"], entity["description"]) == (f"{name} of qgpipe", stage.title)


def test_a_crate_passes_the_validator_of_its_profile(crate, context):
    assert problems(context) == []
    edit(Path("crate/ro-crate-metadata.json"), '"instrument"', '"startDate"')
    instrument = "The Action MUST have an instrument property that references the executed tool"
    assert instrument in problems(context)


def test_a_crate_conforms_to_the_workflow_run_profile(crate):
    root = crate["./"]
    assert ids(root["conformsTo"]) == {
        "https://w3id.org/ro/wfrun/process/0.5",
        "https://w3id.org/ro/wfrun/workflow/0.5",
        "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
    }
    assert all(crate[address]["@type"] == "CreativeWork" for address in ids(root["conformsTo"]))
    assert {"name", "description", "datePublished", "license"} <= set(root)
    workflow = crate[root["mainEntity"]["@id"]]
    assert workflow["@type"] == ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
    assert crate[workflow["programmingLanguage"]["@id"]]["name"] == "Snakemake"


def test_a_crate_names_what_each_job_made_from_what(crate):
    actions = [entity for entity in crate.values() if entity["@type"] == "CreateAction"]
    assert len(actions) == 1 + 1 + 3 + 1 + 1 + 1 + 1 + 2 + 2  # the whole run and its jobs
    assert ids(crate["./"]["mentions"]) == {action["@id"] for action in actions}
    by_script = {next(iter(ids(action["instrument"]))): action for action in actions}
    train = by_script["workflow/scripts/train_run.py"]
    assert ids(train["object"]) == {"results/data/dataset.json", "results/data/split.json"}
    assert "results/runs/tiny/model.pt" in ids(train["result"])
    whole = by_script["workflow/Snakefile"]
    assert ids(whole["object"]) == {"run.yaml"}
    assert ids(train["result"]) < ids(whole["result"])
    assert whole["startTime"] <= train["startTime"] <= train["endTime"] <= whole["endTime"]
    for action in actions:
        script = crate[next(iter(ids(action["instrument"])))]
        assert "SoftwareSourceCode" in script["@type"]
        assert ids(action.get("object", [])) | ids(action["result"]) <= set(crate)


def test_a_crate_holds_every_file_that_it_lists(crate):
    files = [name for name, entity in crate.items() if "File" in entity["@type"]]
    inside = {name for name in files if not name.startswith("file:")}
    assert {name for name in inside if not Path("crate", name).is_file()} == set()
    assert len(files) - len(inside) == 3  # parts stay where they are
    parts = ids(crate["./"]["hasPart"])
    assert set(files) <= parts
    written = {p.relative_to("crate").as_posix() for p in Path("crate").rglob("*") if p.is_file()}
    assert written == inside | {"ro-crate-metadata.json"}


def test_no_crate_is_written_of_what_does_not_hold(copy, capsys):
    edit(Path("run.yaml"), "num_epochs: 3", "num_epochs: 4")
    assert main(["trace", str(RUN), "--crate", "crate"]) == 1
    assert capsys.readouterr().err == (
        "qgpipe trace: run.yaml or code that it names is not as in train: "
        "training.num_epochs: 3 → 4; change it back, or run the pipeline again\n"
    )
    edit(Path("run.yaml"), "num_epochs: 4", "num_epochs: 3")
    (RUN / "history.csv").write_text("edited")
    assert main(["trace", str(RUN), "--crate", "crate"]) == 1
    assert "history.csv is not what was recorded" in capsys.readouterr().err
    assert not Path("crate").exists()
