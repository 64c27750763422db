import pytest
import yaml

optuna = pytest.importorskip("optuna")

from qgpipe.compat.quantumgrav.QGTune import tune  # noqa: E402

TEXT = """
model:
  width: !sweep {values: [8, 16]}
  depth: !coupled-sweep {target: model.width, values: [1, 2]}
  layers: [{size: !reference {target: model.width}}, 3]
training:
  rate: !random_uniform {start: 1e-4, stop: 1.0, log: true}
  epochs: !range {start: 1, stop: 7, step: 3}
  share: !range {start: 0.1, stop: 0.3, step: 0.1}
  type: !pyobject torch.nn.ReLU
"""
CHOSEN = {
    "model.width": 16, "training.rate": 0.01, "training.epochs": 4, "training.share": 0.2,
}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    (tmp_path / "config.yaml").write_text(TEXT)
    return tmp_path / "config.yaml"


def test_a_trial_fills_the_search_space_and_what_depends_on_it(file):
    space = tune.build_search_space(file, optuna.trial.FixedTrial(CHOSEN))
    assert space["model"] == {"width": 16, "depth": 2, "layers": [{"size": 16}, 3]}
    assert space["training"]["rate"] == 0.01 and space["training"]["epochs"] == 4


def test_a_study_finds_the_best_and_it_is_saved(file, tmp_path):
    study = tune.create_study(
        {"study_name": "s", "direction": "maximize", "storage": str(tmp_path / "study.log")}
    )
    study.optimize(lambda trial: tune.build_search_space(file, trial)["model"]["width"], n_trials=6)
    tune.save_best_config(file, study.best_trial, tmp_path / "best.yaml")
    best = yaml.safe_load((tmp_path / "best.yaml").read_text())
    assert best["model"]["width"] == study.best_value
    assert best["model"]["depth"] == {8: 1, 16: 2}[study.best_value]
    assert best["training"]["type"] == "!pyobject torch.nn.modules.activation.ReLU"
    again = tune.create_study(
        {"study_name": "s", "direction": "maximize", "storage": str(tmp_path / "study.log")}
    )
    assert len(again.trials) == 6


@pytest.mark.parametrize(
    "wrong", [{"direction": "up"}, {"study_name": None}, {"storage": "nowhere"}]
)
def test_a_wrong_study_is_a_value_error(wrong):
    with pytest.raises(ValueError, match=r"study"):
        tune.create_study({"study_name": "s", "direction": "minimize", **wrong})


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([1, 2], "categorical"), (["a"], "categorical"), ([[1], [2]], None), ([], None),
        ((1.0, 2.0, 0.1), "float"), ((1e-5, 0.1, True), "float"), ((1, 2, 0.1), None),
        ((1, 5, 2), "int"), ((1.0, 5, 2), None), ("text", None),
    ],
)  # fmt: skip
def test_what_a_value_is_a_suggestion_for(value, kind):
    kinds = ("categorical", "float", "int")
    assert [k for k in kinds if getattr(tune, f"is_{k}_suggestion")(value)] == [kind] * bool(kind)


def test_a_coupled_sweep_needs_a_sweep_of_its_length(file):
    config = tune.load_yaml(file)
    for wrong in ({"target": ["training", "epochs"]}, {"values": [1, 2, 3]}):
        node = {**config["model"]["depth"], **wrong}
        with pytest.raises(ValueError, match="no sweep of"):
            tune.convert_to_suggestion("x", node, None, config)
    with pytest.raises(ValueError, match="there is no key"):
        tune.get_value_of_ref(config, ["model", "nothing"])
    with pytest.raises(FileNotFoundError):
        tune.load_yaml("absent.yaml")
