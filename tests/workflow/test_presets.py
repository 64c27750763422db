"""The models in config/models/, each laid over the default run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from qgpipe.cli import main
from qgpipe.cli.new import PRESETS as PRESETS_OF_NEW
from qgpipe.config.dump import to_yaml
from qgpipe.provenance.record import find_record

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "config" / "models").glob("*.yaml"))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.stem)
def test_a_preset_fits_the_default_run(preset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", str(ROOT / "config" / "run.yaml"), str(preset)]) == 0
    said = capsys.readouterr().out
    assert f"results/runs/{preset.stem}/" in said


@pytest.mark.parametrize("preset", PRESETS_OF_NEW)
def test_a_preset_for_classes_fits_any_features_and_any_number_of_them(
    preset, project, monkeypatch, capsys
):
    reader = project.config["data"]["reader"]["kwargs"]
    reader["node_features"] = reader["node_features"][:5]
    reader["graph_features"] = reader["graph_features"][:3]
    project.config["generate"]["classes"].append("random")
    project.save()
    monkeypatch.chdir(project.folder)
    assert main(["check", "run.yaml", str(ROOT / "config" / "models" / f"{preset}.yaml")]) == 0
    said = capsys.readouterr().out
    assert re.search(r"graph_features_net.layers.0 +Linear +128\n", said)  # 3 · 32 + 32
    assert re.search(r"downstream_tasks.0.layers.2 +Linear +516\n", said)  # 128 · 4 + 4


def run_over(project, *over, cores=2):
    """The folder of the run of a tiny configuration with files laid over it."""
    small = project.folder / "small.yaml"
    small.write_text(to_yaml({"training": {"num_epochs": 1}}))
    done = subprocess.run(
        [
            sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
            "--cores", str(cores), "--nocolor", "--configfile", "run.yaml", *map(str, over),
            "small.yaml",
        ],
        cwd=project.folder, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return project.folder / "results" / "runs" / over[-1].stem


@pytest.mark.slow
def test_a_run_with_two_heads_keeps_classes_and_values_apart(project, monkeypatch, capsys):
    preset = ROOT / "config" / "models" / "two_heads.yaml"
    folder = run_over(project, preset)
    monkeypatch.chdir(project.folder)
    metrics = json.loads((folder / "test/metrics.json").read_text())
    table = pd.read_csv(folder / "test/predictions.csv")
    assert metrics["class_names"] == ["polynomial", "destroyed", "merged"]
    assert np.sum(metrics["confusion_matrix"]) == len(table)
    assert (table["task0_predicted"] == table["target_0"]).mean() == metrics["metrics"]["accuracy"]
    assert table["target_0"].dtype == int
    assert "task1_predicted" not in table
    errors = (table["task1_output_0"] - table["target_1"]).abs()
    assert errors.mean() == pytest.approx(metrics["metrics"]["mae"])
    assert metrics["baseline"]["metrics"]["mae"] > 0

    page = (folder / "report.html").read_text()
    assert "cset_type, head 0" in page and "myrheim_meyer_dimension" in page

    store = "results/two_heads/raw/causets.zarr"
    assert main(["predict", str(folder), store]) == 0
    (written,) = (folder / "predict").glob("*.csv")
    predicted = pd.read_csv(written).set_index("id").loc[table["id"]]
    assert predicted["task0_predicted"].tolist() == table["task0_predicted"].tolist()
    assert set(predicted["task0_class"]) <= {"polynomial", "destroyed", "merged"}
    shares = predicted[[f"task0_probability_{k}" for k in range(3)]]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert "task1_probability_0" not in predicted

    files = ["run.yaml", str(preset), "small.yaml"]
    record = find_record(folder / "model.pt")
    assert [file.name for file in record.config_files] == [Path(file).name for file in files]
    capsys.readouterr()
    assert main(["trace", str(folder / "model.pt")]) == 0
    said = capsys.readouterr().out
    assert "CHANGED" not in said
    assert main(["show", *files]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert main(["clean", *files]) == 0
    assert "nothing is stale" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_with_a_target_of_elements_has_a_row_for_each(project, monkeypatch, capsys):
    folder = run_over(project, ROOT / "config" / "models" / "node_target.yaml")
    monkeypatch.chdir(project.folder)
    metrics = json.loads((folder / "test/metrics.json").read_text())
    table = pd.read_csv(folder / "test/predictions.csv")
    store = zarr.open_group("results/node_target/raw/causets.zarr", mode="r")
    sizes, ranks = store["cset_size"][:].reshape(-1), store["height_rank"][:]
    assert list(table) == ["id", "element", "target", "output_0"]
    assert table["id"].nunique() == metrics["num_graphs"]
    for name, rows in table.groupby("id", sort=False):
        sample = int(name.rpartition("/")[2])
        assert rows["element"].tolist() == list(range(sizes[sample]))
        np.testing.assert_allclose(rows["target"], ranks[sample, : sizes[sample]], rtol=1e-6)
    errors = (table["output_0"] - table["target"]).abs()
    assert errors.mean() == pytest.approx(metrics["metrics"]["mae"], rel=1e-5)
    assert metrics["baseline"]["metrics"]["r2"] == pytest.approx(0, abs=0.1)
    assert f"{len(table):,} elements" in (folder / "figures/prediction.svg").read_text()
    assert ", element " in (folder / "report.html").read_text()

    assert main(["predict", str(folder), "results/node_target/raw/causets.zarr"]) == 0
    (written,) = (folder / "predict").glob("*.csv")
    predicted = pd.read_csv(written)
    assert len(predicted) == sizes.sum()
    both = predicted.merge(table, on=["id", "element"])
    np.testing.assert_allclose(both["output_0_x"], both["output_0_y"], atol=1e-5)
