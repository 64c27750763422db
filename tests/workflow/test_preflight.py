import numpy as np
import pytest
import zarr

from qgpipe.config import resolve_config
from qgpipe.config.load import load_config
from qgpipe.errors import ConfigError, TrainingError
from qgpipe.workflow.preflight import check


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A run on forty causal sets of four elements; the first thirty are chains."""
    chain, antichain = np.triu(np.ones((4, 4)), 1).T, np.zeros((4, 4))
    group = zarr.open_group(tmp_path / "data.zarr", mode="w")
    arrays = {
        "adjacency_matrix": np.stack([chain] * 30 + [antichain] * 10),
        "in_degree": np.ones((40, 4), "f4"),
        "out_degree": np.ones((40, 4), "f4"),
        "cset_type": np.repeat([0, 1], [30, 10]),
    }
    for name, values in arrays.items():
        group.create_array(name, data=values)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QGPIPE_PATH", str(tmp_path))
    return {
        "data": {"files": ["data.zarr"]},
        "model": {
            "encoder_type": "torch.nn.Linear",
            "encoder_args": [2, 4],
            "pooling_layers": ["torch_geometric.nn.global_mean_pool"],
            "downstream_tasks": [["torch.nn.Linear", [4, 2]]],
        },
        "criterion": "qgpipe.training.losses.cross_entropy",
        "training": {"seed": 1, "num_epochs": 3, "batch_size": 4, "device": "cpu"},
    }


def test_it_says_what_will_happen_and_leaves_nothing(config, tmp_path):
    lines = check(resolve_config(config)).splitlines()
    assert lines[0] == "data      40 samples; stores: data; parts: 1 of up to 1000"
    assert lines[1] == "sample    16 graphs with 4 to 4 elements"
    assert "          x: 2 features: in_degree, out_degree" in lines
    assert "model     GNNModel, 22 parameters" in lines
    assert "training  3 epochs at most, batches of 4, Adam() on cpu" in lines
    assert [path.name for path in tmp_path.iterdir()] == ["data.zarr"]


def test_a_feature_that_is_constant_cannot_be_standardised(config):
    config["data"]["standardize"] = ["node_features"]
    with pytest.raises(ConfigError, match="'in_degree' of the node features is 1 in all 40 samp"):
        check(resolve_config(config))
    config["data"]["chunksize"] = 30  # several parts, of which not all are read
    said = check(resolve_config(config))
    assert "standardize 'in_degree' of the node features is 1 in all 16 samples looked at" in said


def test_a_feature_that_is_constant_in_the_first_samples_can_be(config, tmp_path):
    group = zarr.open_group(tmp_path / "data.zarr")
    for name in ("in_degree", "out_degree"):
        values = group[name][:]
        values[-1] = 2
        group[name][:] = values
    config["data"]["standardize"] = ["node_features"]
    assert "standardize" not in check(resolve_config(config))


def test_the_transform_is_applied_to_the_sample(config):
    config["data"]["transform"] = ["torch_geometric.transforms.Constant", [1.0]]
    config["model"]["encoder_args"] = [3, 4]
    assert "GNNModel" in check(resolve_config(config))


def test_a_filter_may_keep_none_of_the_first_samples(config):
    config["data"]["pre_filter"] = lambda data: data.edge_index.shape[1] == 0
    assert "sample    10 graphs" in check(resolve_config(config))


def test_integers_that_one_output_is_trained_on_are_values(config, tmp_path):
    group = zarr.open_group(tmp_path / "data.zarr")
    group.create_array("relations", data=np.arange(40) + 10)
    arguments = {"node_features": ["in_degree", "out_degree"], "target": "relations"}
    config["data"]["reader"] = {"type": "qgpipe.CausalSetReader", "kwargs": arguments}
    config["model"]["downstream_tasks"] = [["torch.nn.Linear", [4, 1]]]
    config["criterion"] = "qgpipe.training.losses.mean_squared_error"
    assert "y: relations" in check(resolve_config(config))


def test_classes_beyond_the_outputs_are_found(config):
    zarr.open_group("data.zarr")["cset_type"][:] = 3
    with pytest.raises(ConfigError, match="targets go up to 3 but head 0 has 2 outputs"):
        check(resolve_config(config))


@pytest.mark.parametrize("is_transposed", [False, True])
def test_relations_that_run_backwards_are_pointed_out(config, is_transposed):
    if is_transposed:
        adjacency = zarr.open_group("data.zarr")["adjacency_matrix"]
        adjacency[:] = adjacency[:].swapaxes(1, 2)
    text = check(resolve_config(config))
    assert ("relations run from higher to lower elements" in text) == is_transposed


def test_a_curvature_that_depends_on_the_scale_of_the_metric_is_pointed_out(config, tmp_path):
    group = zarr.open_group(tmp_path / "data.zarr")
    config["model"] |= {"pooling_layers": None, "downstream_tasks": [["torch.nn.Linear", [4, 1]]]}
    config["criterion"] = "qgpipe.training.losses.mean_squared_error"
    for name, noted in (("curvature", True), ("scaled_curvature", False)):
        group.create_array(name, data=np.ones((40, 4), "f4"))
        reader = {"node_features": ["in_degree", "out_degree"], "target": name}
        config["data"]["reader"] = {"type": "qgpipe.CausalSetReader", "kwargs": reader}
        assert ("the scale of the metric" in check(resolve_config(config))) is noted


def test_generated_data_is_tried_on_a_few_sets(config, tmp_path):
    classes = ["minkowski", "random"]
    config["generate"] = {"num_samples": 1000, "size": [5, 8], "classes": classes}
    config["data"] = {}
    text = check(resolve_config(config))
    assert "1,000 samples, generated" in text
    assert "classes minkowski, random" in text
    assert not (tmp_path / "results").exists()


def test_the_shipped_configurations_are_in_order(request):
    for file in (request.config.rootpath / "config").glob("*.yaml"):
        assert "outputs" in check(resolve_config(load_config(file)))


def test_it_names_the_code_that_is_followed_and_that_which_is_not(config, tmp_path):
    (tmp_path / "checked_loss.py").write_text(
        "import checked_scale\nfrom torch.nn.functional import cross_entropy\n\n\n"
        "def loss(outputs, data):\n    return cross_entropy(outputs[0], data.y)\n"
    )
    (tmp_path / "checked_scale.py").write_text(
        "try:\n    import fast\nexcept ImportError:\n    pass\n"
    )
    (tmp_path / "fast.so").touch()
    config["criterion"] = "!pyobject checked_loss.loss"
    lines = check(resolve_config(config)).splitlines()
    assert "code      checked_loss: checked_loss.py, checked_scale.py" in lines
    assert (
        f"          {tmp_path / 'fast.so'} is compiled code: changes in it are not noticed, "
        "use --forcerun" in lines
    )


def test_it_says_that_no_element_hears_of_its_future(config):
    said = "messages run from past to future only"
    assert said not in check(resolve_config(config))
    config["model"]["encoder_type"] = "torch_geometric.nn.GraphSAGE"
    config["model"]["encoder_args"] = [2, 4, 1]
    assert said in check(resolve_config(config))


EDGES = """
import torch
from torch_geometric.data import Data

def read(store, idx, float_dtype, int_dtype, validate):
    edge_index = torch.tensor([[0, 1], [1, 2]])
    return Data(x=torch.ones(4, 2), edge_index=edge_index, y=torch.tensor(idx % 2),
                edge_attr=torch.rand(2, 3))
"""


def test_attributes_of_edges_are_listed(config, tmp_path):
    (tmp_path / "withedges.py").write_text(EDGES)
    config["data"]["reader"] = "withedges.read"
    assert "          edge_attr: 3 of each edge, float32" in check(resolve_config(config))


def monitored(config, stage, evaluator, monitor):
    tasks = [{"name": "mine", "monitor": monitor}]
    return {**config, stage: {evaluator: {"evaluator_tasks": tasks}}}


def of_two_kinds(y_true, y_score):
    if len(set(y_true.tolist())) < 2:
        raise ValueError("one kind")
    return float(y_score.mean())


def never(y_true, y_pred):
    raise ValueError("never")


@pytest.mark.parametrize(
    ("stage", "evaluator"), [("validation", "validator"), ("testing", "tester")]
)
def test_monitors_are_tried(config, tmp_path, stage, evaluator):
    given = resolve_config(monitored(config, stage, evaluator, of_two_kinds))
    key = f"{stage}.{evaluator}.evaluator_tasks[0]"
    # The first samples are all of one class.
    assert f"          {key}: not tried, the samples lack a class" in check(given)
    classes = zarr.open_group(tmp_path / "data.zarr")["cset_type"]
    classes[:] = np.arange(40) % 2
    assert "not tried" not in check(given)
    wrong = resolve_config(monitored(config, stage, evaluator, never))
    with pytest.raises(TrainingError, match=r"evaluator_tasks\[0\]: monitor 'mine' failed: .*nev"):
        check(wrong)
