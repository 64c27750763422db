"""``qgpipe new``: what it writes passes the check, and trains as it stands."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
import zarr

from qgpipe.causets.writers.generate import generate_store
from qgpipe.cli import main
from qgpipe.config import load_config, resolve_config

ROOT = Path(__file__).parents[2]
SAMPLES = 45
# For each target what is written, and what the trained head has to give.
KINDS = {
    "cset_type": ("cross_entropy", "stratified", 3),
    "manifold_like": ("cross_entropy", "stratified", 2),
    "connectivity": ("mean_squared_error", "random", 1),
    "is_curved": ("binary_cross_entropy", "random", 1),
    "distance": ("mean_squared_error", "random", 1),
    "side": ("cross_entropy", "random", 3),
}


@pytest.fixture(scope="module")
def stores(made_once, tmp_path_factory):
    """``stacked.zarr`` and ``groups.zarr``, of the same causal sets, with arrays of ours."""

    def make(folder: Path) -> None:
        config = load_config(ROOT / "config" / "run.yaml")
        config["generate"].update(num_samples=SAMPLES, size=[8, 12])
        for layout in ("stacked", "groups"):
            path = folder / f"{layout}.zarr"
            generate_store({**resolve_config(config)["generate"], "layout": layout}, "s", path)
            store = zarr.open_group(path)
            rng = np.random.default_rng(1)
            if layout == "stacked":
                n = store["adjacency_matrix"].shape[1]
                add(store, rng, SAMPLES, (SAMPLES, n))
            else:
                for i in range(SAMPLES):
                    group = store[f"cset_{i + 1}"]
                    add(group, rng, 1, group["adj"].shape[:1])

    def add(group: zarr.Group, rng: np.random.Generator, graphs: int, elements: tuple) -> None:
        for name, values in {
            "connectivity": rng.random(graphs).astype("f4"),
            "is_curved": rng.integers(0, 2, graphs).astype("f4"),
            "distance": rng.random(elements).astype("f4"),
            "side": rng.integers(0, 3, elements),
        }.items():
            group.create_array(name, data=values, overwrite=True)

    own = tmp_path_factory.mktemp("stores") / "copy"
    return shutil.copytree(made_once("stores_for_new", make), own)


@pytest.fixture
def here(stores, tmp_path, monkeypatch):
    """The working directory, with links to the stores."""
    for store in stores.iterdir():
        (tmp_path / store.name).symlink_to(store)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("layout", ["stacked", "groups"])
@pytest.mark.parametrize("target", KINDS)
def test_what_is_written_passes_the_check(here, layout, target, capsys):
    assert main(["new", f"{layout}.zarr", "--target", target, "-o", "run.yaml"]) == 0
    assert capsys.readouterr().out == "wrote run.yaml; next: qgpipe check run.yaml\n"
    assert main(["check", "run.yaml"]) == 0
    said = capsys.readouterr().out
    config = load_config("run.yaml")
    loss, split, outputs = KINDS[target]
    assert config["criterion"] == f"!pyobject qgpipe.training.losses.{loss}"
    assert config["data"]["split_method"] == split
    assert f"Linear  {128 * outputs + outputs:>19,}"[-7:] in said
    named = target == "cset_type"
    assert ("classes polynomial, destroyed, merged" in said) == named
    text = Path("run.yaml").read_text()
    assert ("polynomial" in text) == named  # names are never guessed from numbers
    features = config["data"]["reader"]["kwargs"]["node_features"]
    assert "in_degree_normalized" in features and target not in features
    assert ("graph_features" in config["data"]["reader"]["kwargs"]) == (
        target not in ("distance", "side")
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "target", "preset"),
    [
        ("groups", "cset_type", "two_way"),
        ("stacked", "connectivity", "gps"),
        ("groups", "is_curved", "gin"),
        ("stacked", "distance", "graphnorm_residual"),
        ("groups", "side", "seed"),
    ],
)
def test_what_is_written_trains_as_it_stands(here, layout, target, preset):
    written = ["new", f"{layout}.zarr", "--target", target, "--preset", preset, "-o", "run.yaml"]
    assert main(written) == 0
    Path("one_epoch.yaml").write_text(yaml.safe_dump({"training": {"num_epochs": 1}}))
    result = subprocess.run(
        [
            sys.executable, "-m", "snakemake", "test", "--snakefile", str(ROOT / "Snakefile"),
            "--cores", "2", "--nocolor", "--configfile", "run.yaml", "one_epoch.yaml",
        ],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    run = here / "results" / "runs" / layout
    assert np.isfinite(json.loads((run / "test" / "metrics.json").read_text())["loss"]["loss_avg"])
    head = load_config(run / "config.yaml")["model"]["downstream_tasks"][0]
    (inputs, _), (_, outputs) = head["kwargs"]["dims"]
    assert outputs == KINDS[target][2]
    assert isinstance(inputs, int)


def test_several_targets_are_listed_and_asked_for(here, capsys):
    assert main(["new", "stacked.zarr"]) == 1
    error = capsys.readouterr().err
    listed = error.partition("stacked.zarr: several arrays could be the target (")[2]
    by_kind = dict(part.split(": ") for part in listed.partition(")")[0].split("; "))
    assert by_kind["true or false"] == "manifold_like"
    assert by_kind["integers"].startswith("cset_type, dimension, ")
    assert {"distance", "side"} < set(by_kind["of elements"].split(", "))
    assert error.endswith("choose one with --target\n")
    assert main(["new", "stacked.zarr", "--target", "cset_typ"]) == 1
    assert "did you mean 'cset_type'?" in capsys.readouterr().err


def store_of(path, **arrays):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for name, values in arrays.items():
        group.create_array(name, data=values)
    return str(path)


def chain(n, links):
    order = np.triu(np.ones((n, n), "u1"), 1)
    return (order - np.triu(order, 2) if links else order).T


@pytest.mark.parametrize("links", [True, False])
def test_the_only_candidate_is_the_target_and_features_fit_the_relations(
    tmp_path, monkeypatch, capsys, links
):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    sizes = rng.integers(4, 7, 40)
    relations = np.zeros((40, 6, 6), "u1")
    for matrix, n in zip(relations, sizes, strict=True):
        matrix[:n, :n] = chain(n, links)
    degree = relations.sum(2).astype("f4")
    arrays = {"in_degree": degree, "out_degree": relations.sum(1).astype("f4")}
    store_of("mine.zarr", relation=relations, cset_size=sizes, mass=rng.random(40), **arrays)
    assert main(["new", "mine.zarr", "-o", "run.yaml"]) == 0
    kwargs = load_config("run.yaml")["data"]["reader"]["kwargs"]
    assert kwargs["target"] == "mass" and kwargs["adjacency"] == "relation"
    assert (kwargs["node_features"] == ["in_degree", "out_degree"]) == links
    assert ("height_rank" in kwargs["node_features"]) != links
    # A chain is totally ordered: its ordering fraction is 1, and cannot be standardised.
    constant = "ordering_fraction" in Path("run.yaml").read_text().partition("Left out")[2]
    assert constant != links
    assert "ordering_fraction" not in kwargs.get("graph_features", [])
    assert main(["check", "run.yaml"]) == 0, capsys.readouterr().err


def test_names_that_yaml_reads_otherwise_are_quoted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relations = np.stack([chain(4, links=False)] * 30)
    numbers = {"on": np.random.default_rng(0).random(30)}
    store_of("2024.zarr", adjacency_matrix=relations, in_degree=np.zeros((30, 4)), **numbers)
    assert main(["new", "2024.zarr", "-o", "run.yaml"]) == 0
    config = load_config("run.yaml")
    assert config["name"] == "2024"
    assert config["data"]["reader"]["kwargs"]["target"] == "on"


def test_a_file_is_never_replaced(here, capsys):
    Path("run.yaml").write_text("mine")
    assert main(["new", "stacked.zarr", "--target", "cset_type", "-o", "run.yaml"]) == 1
    assert "run.yaml: the file is there already" in capsys.readouterr().err
    assert Path("run.yaml").read_text() == "mine"


def test_a_preset_without_outputs_for_elements_is_refused_for_them(here, capsys):
    assert main(["new", "groups.zarr", "--target", "side", "--preset", "gps"]) == 1
    assert "'gps' gives one answer for each causal set" in capsys.readouterr().err
