"""The stage on generated causal sets, with models of which it is known what they use."""

import json
import textwrap

import pytest

from qgpipe import paths
from qgpipe.config.resolve import resolve_config
from qgpipe.explanation import explain
from qgpipe.models import build_model, save_model
from qgpipe.report.tables.explanation import read_explanation
from qgpipe.training.prepare import prepare_data

CODE = """
    import torch
    from torch import nn

    class Known(nn.Module):
        '''Logits a · f of the first graph feature, or what is pooled of nodes, or of each node.'''

        def __init__(self, uses):
            super().__init__()
            self.uses = uses
            self.factors = nn.Parameter(torch.tensor([1.0, -2.0, 4.0]))

        def forward(self, x, batch, graph_features):
            if self.uses == "elements":
                return x[:, 1]
            if self.uses == "graphs":
                return graph_features[:, :1] * self.factors + 7 * graph_features[:, 2:]
            return graph_features[:, 0]

    def nothing(outputs, batch):
        return outputs.mean()
"""
FEATURES = ["ordering_fraction", "longest_chain_fraction_normalized_2d", "myrheim_meyer_dimension"]


@pytest.fixture
def explained(minimal, user_folder, tmp_path):
    """A function of what the model uses and of changes of the configuration: what is found."""
    (user_folder / "known_models.py").write_text(textwrap.dedent(CODE))

    def run(uses, target="cset_type", **sections):
        config = resolve_config(
            {
                "name": "known",
                "generate": {
                    "seed": 3,
                    "num_samples": 160,
                    "size": [12, 24],
                    "classes": ["minkowski", "random", "layered"],
                },
                "data": {
                    "output": str(tmp_path / "data"),
                    "reader": {
                        "type": "qgpipe.CausalSetReader",
                        "kwargs": {
                            "node_features": ["height_rank", "in_degree_normalized"],
                            "graph_features": FEATURES,
                            "target": target,
                        },
                    },
                    "split": [0.2, 0.4, 0.4],
                },
                "model": {"type": "known_models.Known", "args": [uses]},
                "criterion": "known_models.nothing",
                "training": {**minimal["training"], "device": "cpu", "path": str(tmp_path)},
                "validation": {},
                **sections,
            }
        )
        dataset, split = prepare_data(config)
        model = build_model(config["model"], trust=True)
        save_model(paths.model(config), config["model"], model.state_dict())
        output = paths.explanation(config)
        explain.explain_run(config, dataset, split, paths.model(config), output, 2)
        assert read_explanation(output, paths.model(config)) == json.loads(output.read_text())
        return json.loads(output.read_text())

    return run


def costs(found, kind="features"):
    return {
        "+".join(entry["features"]): entry["scores"][0]["mean"]
        for entry in found["importances"][kind]
    }


def test_a_linear_function_of_one_invariant(explained):
    found = explained("graphs")
    assert (found["num_graphs"], found["num_tested"]) == (64, 64)
    assert [score["measure"] for score in found["importances"]["scores"]] == ["accuracy"]
    cost = costs(found)
    assert set(cost) == {"height_rank", "in_degree_normalized", *FEATURES}
    assert [name for name, fall in cost.items() if fall != 0] in ([], ["ordering_fraction"])
    assert costs(found, "all").keys() == {"height_rank+in_degree_normalized", "+".join(FEATURES)}
    invariants = found["invariants"]
    assert (invariants["fitted_set"], invariants["fitted_to"]) == ("validation", 64)
    [head] = invariants["heads"]
    assert head["methods"]["linear"]["value"] == pytest.approx(1, abs=1e-4)
    assert [one["name"] for one in head["outputs"]] == ["minkowski", "random", "layered"]
    assert set(head["methods"]) == {
        "linear", "boosting", "linear+two_order", "boosting+two_order"
    }  # fmt: skip


def test_features_that_say_the_same_are_permuted_together(explained):
    groups = costs(explained("graphs"), "correlated")
    assert "ordering_fraction+myrheim_meyer_dimension" in groups


def test_values_and_chosen_invariants(explained):
    found = explained(
        "values", target="ordering_fraction", baseline={"features": ["ordering_fraction"]}
    )
    cost = costs(found)
    assert cost.pop("ordering_fraction") > 0.01
    assert set(cost.values()) == {0}
    assert found["invariants"]["features"] == ["ordering_fraction"]
    [head] = found["invariants"]["heads"]
    assert head["kind"] == "regression"
    assert head["methods"]["linear"]["value"] == pytest.approx(1, abs=1e-4)


def test_outputs_of_elements_have_importances_but_no_share(explained):
    found = explained("elements", target="in_degree")
    cost = costs(found)
    assert cost.pop("in_degree_normalized") != 0
    assert set(cost.values()) == {0}
    assert found["invariants"]["heads"] == []
    assert "whole graphs" in found["invariants"]["left_out"]


def test_of_many_graphs_some_are_looked_at_always_the_same(explained, monkeypatch):
    monkeypatch.setattr(explain, "MOST_GRAPHS", 20)
    first, second = explained("graphs"), explained("graphs")
    assert (first["num_graphs"], first["invariants"]["fitted_to"]) == (20, 20)
    assert first == second
