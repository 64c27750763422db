"""A finished run applied to further stores, by the workflow and by the command."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from snakemake.cli import main as snakemake
from torch_geometric.data import Batch, Data

from qgpipe import GraphLoader, PackedDataset
from qgpipe.causets.writers.generate import generate_store
from qgpipe.cli import main
from qgpipe.config import resolve_config
from qgpipe.models import load_model
from qgpipe.models.build import call_model
from qgpipe.provenance.record import find_record

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "predict.md"
RUN = Path("results/runs/tiny")
TARGETS = ("cset_type", "manifold_like", "dimension")
CALL = "import sys; from qgpipe.cli import main; sys.exit(main(sys.argv[1:]))"


def write_store(config: dict, path: Path, samples: int = 50) -> None:
    settings = {**resolve_config(config)["generate"], "seed": 7, "num_samples": samples}
    generate_store(settings, path.stem, path)


@pytest.fixture(scope="module")
def predicted(finished, tmp_path_factory):
    """A copy of the finished run, applied to a store of its own data and to two new ones.

    ``bare.zarr`` is ``fresh.zarr`` without targets.
    """
    folder = tmp_path_factory.mktemp("predicted") / "copy"
    made = replace(finished, folder=shutil.copytree(finished.folder, folder))
    write_store(made.config, folder / "fresh.zarr")
    shutil.copytree(folder / "fresh.zarr", folder / "bare.zarr")
    for name in TARGETS:
        shutil.rmtree(folder / "bare.zarr" / name, ignore_errors=True)
    files = ["fresh.zarr", "results/data/raw/causets.zarr"]
    made.config = {**made.config, "predict": {"files": files, "embeddings": True}}
    made.save()
    result = made.snakemake("predict")
    assert result.returncode == 0, result.stdout + result.stderr
    return made


@pytest.fixture
def here(predicted, monkeypatch):
    """The working directory: the folder of ``predicted``, which tests must leave as it is."""
    monkeypatch.chdir(predicted.folder)
    return predicted.folder


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(RUN / "predict" / name)


def error(capsys, *arguments) -> str:
    assert main(list(map(str, arguments))) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_predictions_of_the_test_set_are_those_of_the_test(here):
    tested = pd.read_csv(RUN / "test/predictions.csv").set_index("id")
    found = table("causets.csv").set_index("id")
    assert len(found) == 60
    assert list(found)[: len(tested.columns)] == list(tested)
    same = found.loc[tested.index, list(tested)]
    pd.testing.assert_frame_equal(same, tested, rtol=1e-4, atol=1e-6)


def test_every_graph_has_a_row_with_probabilities_and_the_name_of_its_class(here):
    found = table("fresh.csv")
    assert found["id"].tolist() == [f"fresh/{i}" for i in range(50)]
    assert found["target"].tolist() == [i % 3 for i in range(50)]
    outputs = torch.tensor(found[[f"output_{k}" for k in range(3)]].to_numpy())
    shares = found[[f"probability_{k}" for k in range(3)]].to_numpy()
    np.testing.assert_allclose(shares, torch.softmax(outputs, 1), rtol=1e-6)
    names = np.array(["polynomial", "destroyed", "merged"])
    assert found["class"].tolist() == names[shares.argmax(1)].tolist()


def test_embeddings_are_what_a_hook_on_the_pooling_sees(here):
    data = PackedDataset("results/data/dataset.json")
    model = load_model(RUN / "model.pt").eval()
    seen = []
    model.aggregate_pooling.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        for batch in GraphLoader(data, batch_size=7):
            call_model(model, batch)
    found = table("causets.csv").filter(like="embedding_").to_numpy()
    assert found.shape == (60, 64)
    np.testing.assert_allclose(found, torch.cat(seen), rtol=1e-4, atol=1e-5)


def test_the_command_gives_the_same_as_the_workflow_and_needs_no_target(here, tmp_path, capsys):
    assert main(["predict", str(RUN), "bare.zarr", "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'bare.csv'}: 50 graphs\n"
    bare, fresh = pd.read_csv(tmp_path / "bare.csv"), table("fresh.csv")
    assert bare["id"].tolist() == [f"bare/{i}" for i in range(50)]
    assert list(bare) == [name for name in fresh if name != "target" and "embed" not in name]
    pd.testing.assert_frame_equal(bare.drop(columns="id"), fresh[list(bare)[1:]])


def test_parquet_holds_the_same(here, tmp_path):
    options = ["--format", "parquet", "--embeddings", "--output", str(tmp_path)]
    assert main(["predict", str(RUN), "fresh.zarr", *options]) == 0
    found = pd.read_parquet(tmp_path / "fresh.parquet")
    pd.testing.assert_frame_equal(found, table("fresh.csv"), check_dtype=False, rtol=1e-6)
    assert found["output_0"].dtype == np.float32


def to_make(project, *arguments, **changes) -> set[str]:
    """What Snakemake, run in this process, would make with other settings: a moment."""
    changed = replace(project, config={**project.config, **changes})
    output, here = io.StringIO(), Path.cwd()
    try:
        with contextlib.redirect_stdout(output):
            snakemake([
                *arguments, "--summary", "--quiet", "all", "--snakefile", str(ROOT / "Snakefile"),
                "--directory", str(project.folder), "--cores", "2", "--nocolor",
                "--configfile", str(changed.save("changed.yaml")),
            ])  # fmt: skip
    except SystemExit as exit:
        assert exit.code == 0, output.getvalue()
    finally:
        os.chdir(here)
    lines = [line.split("\t") for line in output.getvalue().splitlines()[1:]]
    return {line[0] for line in lines if line[-1] != "no update"}


def tables(*names: str, run: str = "tiny") -> set[str]:
    return {f"results/runs/{run}/predict/{name}" for name in names}


def test_nothing_is_to_be_done_after_it(predicted):
    assert to_make(predicted, "predict") == set()
    assert to_make(predicted) == set()


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ({"files": ["fresh.zarr", "bare.zarr"]}, tables("bare.csv")),
        ({"files": ["fresh.zarr"]}, set()),
        ({"embeddings": False}, tables("fresh.csv", "causets.csv")),
        ({"format": "parquet"}, tables("fresh.parquet", "causets.parquet")),
    ],
)
def test_a_change_of_what_is_asked_for_makes_only_that(predicted, change, made):
    assert to_make(predicted, predict={**predicted.config["predict"], **change}) == made


def test_a_new_model_is_applied_again_but_not_for_other_batches(predicted):
    both = tables("fresh.csv", "causets.csv")
    training = {**predicted.config["training"], "num_epochs": 9}
    assert both < to_make(predicted, "predict", training=training)
    testing = {**predicted.config["testing"], "batch_size": 3}
    assert to_make(predicted, "predict", testing=testing) == set()
    data = {**predicted.config["data"], "on_bad_sample": "skip"}
    assert both < to_make(predicted, "predict", data=data)


def test_every_run_of_a_sweep_is_applied(predicted):
    training = {**predicted.config["training"], "seed": {"!sweep": {"values": [1, 2]}}}
    made = to_make(predicted, "predict", training=training)
    for seed in (1, 2):
        assert tables("fresh.csv", "causets.csv", run=f"tiny-seed={seed}") < made


def test_a_store_that_has_grown_is_predicted_again(predicted, tmp_path):
    kept = predicted.folder / "fresh.zarr"
    kept.rename(tmp_path / "kept")
    write_store(predicted.config, kept, samples=53)
    try:
        assert to_make(predicted, "predict") == tables("fresh.csv")
    finally:
        shutil.rmtree(kept)
        (tmp_path / "kept").rename(kept)
    assert to_make(predicted, "predict") == set()


def test_tables_are_traced_to_model_and_store(here, tmp_path, capsys):
    assert find_record(RUN / "predict/fresh.csv").stage == "predict"
    assert main(["trace", str(RUN / "predict/fresh.csv")]) == 0
    said = capsys.readouterr().out
    assert f"from: {RUN}/model.pt, fresh.zarr" in said
    assert "the settings are as they were" in said
    assert main(["predict", str(RUN), "bare.zarr", "--output", str(tmp_path)]) == 0
    assert main(["trace", str(tmp_path / "bare.csv")]) == 0
    assert f"settings: {here / RUN}/config.yaml still says the same" in capsys.readouterr().out


def test_runs_differ_in_their_tables(here, tmp_path, capsys):
    other = shutil.copytree(RUN, tmp_path / "other")
    record = json.loads((other / "predict/fresh.csv.provenance.json").read_text())
    record["outputs"]["fresh.csv"] = "sha256:0"
    (other / "predict/fresh.csv.provenance.json").write_text(json.dumps(record))
    assert main(["diff", str(RUN), str(other)]) == 0
    assert "predictions\n  fresh.csv: 'sha256:" in capsys.readouterr().out


def widen(path: Path, name: str) -> None:
    group = zarr.open_group(path)
    values = group[name][:]
    shutil.rmtree(path / name)
    group.create_array(name, data=np.stack([values, values], axis=-1))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        ("height_rank", "trained on 12 node features, this store gives 13: height_rank missing"),
        ("ordering_fraction", "on 4 graph features, this store gives 5: ordering_fraction"),
    ],
)
def test_other_features_are_refused_by_name(here, tmp_path, capsys, array, said):
    store = shutil.copytree("fresh.zarr", tmp_path / "other.zarr")
    widen(store, array)
    text = error(capsys, "predict", RUN, store, "--output", tmp_path / "out")
    assert text.startswith(f"qgpipe predict: {store}: ")
    assert said in text
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_features_that_a_store_does_not_have_are_computed(here, tmp_path):
    store = shutil.copytree("fresh.zarr", tmp_path / "fresh.zarr")
    for name in ("height_rank", "ordering_fraction_past", "ordering_fraction"):
        shutil.rmtree(store / name)
    options = ["--embeddings", "--output", str(tmp_path / "out")]
    assert main(["predict", str(RUN), str(store), *options]) == 0
    assert (tmp_path / "out/fresh.csv").read_bytes() == Path(RUN, "predict/fresh.csv").read_bytes()


def test_the_workflow_refuses_them_before_it_starts(predicted):
    folder = predicted.folder
    shutil.copytree(folder / "fresh.zarr", folder / "lacking.zarr")
    widen(folder / "lacking.zarr", "ordering_fraction")
    changed = {**predicted.config, "predict": {"files": ["lacking.zarr"]}}
    replace(predicted, config=changed).save("changed.yaml")
    result = predicted.snakemake("predict", config="changed.yaml")
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert "lacking.zarr: the model was trained on 4 graph features, this store gives 5" in said
    assert "Traceback" not in said
    shutil.rmtree(folder / "lacking.zarr")


def test_a_bad_sample_stops_it_or_is_left_out(here, tmp_path, capsys, caplog):
    store = shutil.copytree("fresh.zarr", tmp_path / "other.zarr")
    zarr.open_group(store)["cset_size"][33] = 99
    text = error(capsys, "predict", RUN, store, "--output", tmp_path / "out")
    assert "sample 33, array 'cset_size'" in text
    assert list((tmp_path / "out").iterdir()) == []
    run = tmp_path / "run"
    shutil.copytree(RUN, run, ignore=shutil.ignore_patterns("checkpoints"))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("on_bad_sample: error", "on_bad_sample: skip"))
    assert main(["predict", str(run), str(store)]) == 0
    assert "left out sample 33" in caplog.text
    found = pd.read_csv(run / "predict/other.csv")
    assert found["id"].tolist() == [f"other/{i}" for i in range(50) if i != 33]


def test_a_folder_without_a_model_is_refused(here, capsys):
    for folder in ("results/runs", "nowhere"):
        assert error(capsys, "predict", folder, "fresh.zarr") == (
            f"qgpipe predict: {folder} is not the folder of a finished run: it has no config.yaml; "
            "name a folder in training.path, results/runs/first for instance\n"
        )
    text = error(capsys, "predict", RUN, "nowhere.zarr")
    assert text.endswith("nowhere.zarr: no such store; check the stores on the command line\n")


def test_a_killed_command_leaves_no_table_and_can_be_given_again(here, tmp_path, predicted, capsys):
    run = shutil.copytree(RUN, tmp_path / "run", ignore=shutil.ignore_patterns("predict"))
    (run / "config.yaml").write_text(
        (run / "config.yaml").read_text().replace("chunksize: 20", "chunksize: 1")
    )
    process = subprocess.Popen([sys.executable, "-c", CALL, "predict", run, "fresh.zarr"])
    folder = run / "predict"
    while not any(
        file.stat().st_size for file in folder.glob(".fresh.csv.*.tmp") if file.is_file()
    ):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(list(folder.glob(".*.tmp"))) == 2
    assert not (folder / "fresh.csv").exists()
    assert main(["predict", str(run), "fresh.zarr"]) == 0
    assert sorted(file.name for file in folder.iterdir()) == [
        "fresh.csv", "fresh.csv.provenance.json",
    ]  # fmt: skip
    again, whole = pd.read_csv(folder / "fresh.csv"), table("fresh.csv")
    pd.testing.assert_frame_equal(again, whole[list(again)], rtol=1e-4, atol=1e-6)


def test_clean_names_left_overs_and_tables_that_are_not_asked_for(predicted, tmp_path, monkeypatch):
    from qgpipe.config import expand_runs, load_config
    from qgpipe.workflow.cleanup import find_stale

    copy = shutil.copytree(predicted.folder, tmp_path / "copy")
    monkeypatch.chdir(copy)
    assert main(["predict", str(RUN), "bare.zarr"]) == 0
    left = RUN / "predict/.fresh.csv.nowhere.1.tmp"
    left.write_text("half")
    os.utime(left, (0, 0))
    config = {**load_config("run.yaml"), "predict": {"files": ["results/data/raw/causets.zarr"]}}
    configs = [run.config for run in expand_runs(config)]
    found = {stale.path for stale in find_stale(configs, Path("run.yaml"))}
    names = ("fresh.csv", "fresh.csv.provenance.json", left.name)
    assert found == {RUN / "predict" / name for name in names}


def asymmetric(sizes: list[int]) -> Batch:
    """Random orders of other sizes than those of the example of the export."""
    generator = torch.Generator().manual_seed(5)
    graphs = []
    for n in sizes:
        relations = torch.triu(torch.rand(n, n, generator=generator) < 0.5, 1)
        features = torch.randn(n, 12, generator=generator)
        of_graph = torch.randn(1, 4, generator=generator)
        edges = relations.nonzero().T
        graphs.append(Data(x=features, edge_index=edges, graph_features=of_graph))
    return Batch.from_data_list(graphs)


def test_an_exported_model_gives_what_that_of_the_run_gives(here, tmp_path, capsys):
    assert main(["export", str(RUN), "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path}\n"
    snippet: dict = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)[0], snippet)
    own = load_model(RUN / "model.pt").eval()
    rebuilt, program = snippet["load"](tmp_path), snippet["load_program"](tmp_path)
    for sizes in ([7, 2], [1, 31, 4, 8, 8, 3], [5], [1]):
        batch = asymmetric(sizes)
        with torch.no_grad():
            expected = call_model(own, batch)[0]
            assert torch.equal(call_model(rebuilt, batch)[0], expected)
            (found,) = program(batch.x, batch.edge_index, batch.ptr, batch.graph_features)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    content = json.loads((tmp_path / "model.json").read_text())
    assert content["class_names"] == ["polynomial", "destroyed", "merged"]
    assert content["least_graphs"] == 1
    files = {"model.json", "model.safetensors", "program.pt2"}
    assert {f.name for f in tmp_path.iterdir()} == {*files, "export.provenance.json"}
    assert set(find_record(tmp_path / "program.pt2").content["outputs"]) == files
    assert main(["trace", str(tmp_path)]) == 0
    assert f"from: {here / RUN}/model.pt" in capsys.readouterr().out


def test_an_export_does_not_replace_that_of_another_run(here, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["export", str(RUN), "--output", str(out)]) == 0
    assert main(["export", str(RUN), "--output", str(out)]) == 0  # its own
    other = shutil.copytree(RUN, tmp_path / "run", ignore=shutil.ignore_patterns("predict"))
    config = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace(f"name: {RUN.name}", "name: other"))
    before = {file: file.read_bytes() for file in out.iterdir()}
    capsys.readouterr()
    assert main(["export", str(other), "--output", str(out)]) == 1
    assert capsys.readouterr().err == (
        f"qgpipe export: {out} holds the model of run '{RUN.name}', not of 'other'; name another "
        "folder with --output, or delete that one\n"
    )
    assert {file: file.read_bytes() for file in out.iterdir()} == before


def test_an_export_of_an_earlier_model_is_stale(predicted, tmp_path, monkeypatch):
    from qgpipe.config import expand_runs
    from qgpipe.workflow.cleanup import find_stale

    monkeypatch.chdir(shutil.copytree(predicted.folder, tmp_path / "copy"))
    assert main(["export", str(RUN)]) == 0
    configs = [run.config for run in expand_runs(predicted.config)]
    assert find_stale(configs) == []
    content = torch.load(RUN / "model.pt", weights_only=True)
    torch.save({**content, "epoch": 99}, RUN / "model.pt")
    names = ("model.json", "model.safetensors", "program.pt2", "export.provenance.json")
    assert {stale.path for stale in find_stale(configs)} == {
        RUN / "export" / name for name in names
    }


def test_a_model_that_is_called_in_its_own_way_has_no_program(here, tmp_path, capsys):
    run = shutil.copytree(RUN, tmp_path / "run", ignore=shutil.ignore_patterns("predict"))
    config = (run / "config.yaml").read_text()
    assert "apply_model: null" in config
    (run / "config.yaml").write_text(
        config.replace("apply_model: null", "apply_model: qgpipe.models.call_model")
    )
    assert main(["export", str(run)]) == 0
    assert capsys.readouterr().out == (
        f"wrote {run}/export\nthere is no program.pt2: apply_model calls the model in a way of "
        "its own\n"
    )
    assert (run / "export/model.safetensors").exists()


@pytest.fixture
def copy(predicted, tmp_path, monkeypatch):
    """A copy of ``predicted``, the working directory, with another ``fresh.zarr`` in ``other``."""
    folder = shutil.copytree(predicted.folder, tmp_path / "copy")
    monkeypatch.chdir(folder)
    shutil.copytree("bare.zarr", "other/fresh.zarr")
    return replace(predicted, folder=folder)


def files_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_a_table_of_another_store_of_that_name_is_not_replaced(copy, tmp_path, capsys):
    before = files_in(RUN / "predict")
    text = error(capsys, "predict", RUN, "bare.zarr", "other/fresh.zarr")
    assert text == (
        f"qgpipe predict: {RUN}/predict/fresh.csv holds predictions for fresh.zarr, not for "
        "other/fresh.zarr; name another folder with --output, or delete it\n"
    )
    assert files_in(RUN / "predict") == before
    out = tmp_path / "out"
    assert main(["predict", str(RUN), "other/fresh.zarr", "--output", str(out)]) == 0
    assert main(["predict", str(RUN), "other/fresh.zarr", "--output", str(out)]) == 0  # its own
    before = files_in(out)
    assert "not for fresh.zarr" in error(capsys, "predict", RUN, "fresh.zarr", "--output", out)
    run = shutil.copytree(RUN, tmp_path / "run", ignore=shutil.ignore_patterns("predict"))
    text = error(capsys, "predict", run, "other/fresh.zarr", "--output", out)
    assert f"model.pt, not of {run}/model.pt" in text
    assert files_in(out) == before


def test_two_stores_of_one_name_have_a_table_each(copy, tmp_path):
    stores = ["fresh.zarr", "other/fresh.zarr"]
    assert main(["predict", str(RUN), *stores, "--output", str(tmp_path)]) == 0
    found = [pd.read_csv(tmp_path / f"fresh{end}.csv") for end in ("", "-2")]
    assert ["target" in one for one in found] == [True, False]


def test_a_table_of_the_workflow_stays_the_workflows(copy, capsys):
    text = error(capsys, "predict", RUN, "fresh.zarr")  # without embeddings
    assert "fresh.csv was made by the workflow, with other settings or" in text
    assert main(["predict", str(RUN), "fresh.zarr", "--embeddings"]) == 0
    assert to_make(copy, "predict") == set()
    assert to_make(copy, predict={"files": ["fresh.zarr"]}) == tables("fresh.csv")


def test_a_file_of_unknown_origin_is_not_replaced(copy, tmp_path, capsys):
    (tmp_path / "bare.csv").write_text("mine")
    text = error(capsys, "predict", RUN, "bare.zarr", "--output", tmp_path)
    assert "bare.csv is there, and no record of what it holds; name another folder" in text
    assert (tmp_path / "bare.csv").read_text() == "mine"


@pytest.mark.parametrize("ask", [{"files": ["other/fresh.zarr"]}, {"files": ["fresh.zarr"]}])
def test_the_workflow_does_not_take_a_table_of_the_command_for_its_own(copy, ask):
    for file in ("fresh.csv", "fresh.csv.provenance.json"):
        (RUN / "predict" / file).unlink()
    store = {"other/fresh.zarr": "fresh.zarr"}.get(ask["files"][0], "other/fresh.zarr")
    assert main(["predict", str(RUN), store]) == 0
    copy.config = {**copy.config, "predict": ask}
    copy.save()
    code, said = copy.forked_snakemake("predict", "--dry-run")
    assert code == 1
    assert "Traceback" not in said
    assert (
        f"{RUN}/predict/fresh.csv holds predictions for {store}, not for {ask['files'][0]}; "
        "move it, and the workflow makes its own"
    ) in " ".join(said.split())


def test_but_for_the_same_table_it_does(copy):
    for file in ("fresh.csv", "fresh.csv.provenance.json"):
        (RUN / "predict" / file).unlink()
    assert main(["predict", str(RUN), "fresh.zarr", "--embeddings"]) == 0
    assert to_make(copy, "predict") == set()


@pytest.mark.parametrize("command", [("predict", "fresh.zarr"), ("export",)])
@pytest.mark.parametrize("below", ["", "deeper"])
def test_an_output_that_is_no_folder_is_refused(copy, tmp_path, capsys, command, below):
    (tmp_path / "file").write_text("mine")
    name, *stores = command
    text = error(capsys, name, RUN, *stores, "--output", tmp_path / "file" / below)
    assert text == (f"qgpipe {name}: {tmp_path}/file is a file, not a folder; name another one\n")
    assert (tmp_path / "file").read_text() == "mine"


def test_an_export_does_not_replace_files_of_others(copy, tmp_path, capsys):
    out = tmp_path / "out"
    for name in ("program.pt2", "model.safetensors", "model.json"):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        (out / name).write_text('{"mine": 1}')
        text = error(capsys, "export", RUN, "--output", out)
        assert text.startswith(f"qgpipe export: {out} holds another {name}, not of 'tiny'; name")
        assert files_in(out) == {name: b'{"mine": 1}'}


def test_nor_an_export_of_a_run_of_that_name_elsewhere(copy, tmp_path, capsys):
    assert main(["export", str(RUN), "--output", str(tmp_path / "out")]) == 0
    other = shutil.copytree(RUN, tmp_path / "tiny", ignore=shutil.ignore_patterns("predict"))
    assert main(["export", str(other), "--output", str(tmp_path / "out")]) == 0  # the same model
    content = torch.load(other / "model.pt", weights_only=True)
    torch.save({**content, "epoch": 99}, other / "model.pt")
    assert main(["export", str(other), "--output", str(tmp_path / "out")]) == 0
    text = error(capsys, "export", RUN, "--output", tmp_path / "out")
    assert f"holds the model of run 'tiny' in {tmp_path}/tiny, not of 'tiny' in " in text
