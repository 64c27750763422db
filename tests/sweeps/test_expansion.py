"""Sweeps: which runs a configuration stands for, by hand-worked lists."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qgpipe import paths
from qgpipe.config import expand_runs, load_config, resolve_config
from qgpipe.errors import ConfigError


@pytest.fixture
def expand(tmp_path, minimal):
    """The runs of the minimal configuration with YAML text laid over it."""

    def runs(text, file="run.yaml"):
        (tmp_path / "run.yaml").write_text(textwrap.dedent(text))
        config = dict(minimal)
        for key, value in load_config(tmp_path / "run.yaml").items():
            old = config.pop(key, None)
            if isinstance(old, dict):
                value = {**{k: v for k, v in old.items() if k not in value}, **value}
            config[key] = value
        return expand_runs(config, file)

    return runs


def names(runs):
    return [run.config["name"] for run in runs]


def test_a_configuration_without_sweeps_is_one_run_as_it_is(expand, minimal):
    (run,) = expand("name: one")
    assert run.config == resolve_config({**minimal, "name": "one"})
    assert (run.base, run.point, run.along, run.fold, run.label) == ("one", {}, {}, None, "")


def test_runs_are_all_combinations_the_last_key_changing_fastest(expand):
    runs = expand("""
        name: study
        training:
          optimizer_kwargs: {lr: !sweep {values: [0.1, 1e-3]}}
          batch_size: !sweep {values: [4, 8, 16]}
    """)
    assert names(runs) == [
        "study-lr=0.1,batch_size=4",
        "study-lr=0.1,batch_size=8",
        "study-lr=0.1,batch_size=16",
        "study-lr=0.001,batch_size=4",
        "study-lr=0.001,batch_size=8",
        "study-lr=0.001,batch_size=16",
    ]
    found = [
        (r.config["training"]["optimizer_kwargs"]["lr"], r.config["training"]["batch_size"])
        for r in runs
    ]
    assert found == [(0.1, 4), (0.1, 8), (0.1, 16), (0.001, 4), (0.001, 8), (0.001, 16)]


def test_coupled_values_go_along_and_add_no_runs(expand):
    runs = expand("""
        training:
          num_epochs: !sweep {values: [1, 2]}
          batch_size: !coupled-sweep {target: training.num_epochs, values: [32, 64]}
        testing:
          batch_size: !coupled-sweep {target: training.num_epochs, values: [7, 9]}
    """)
    found = [
        tuple(r.config[s][k] for s, k in (("training", "num_epochs"), ("training", "batch_size"),
                                          ("testing", "batch_size")))
        for r in runs
    ]  # fmt: skip
    assert found == [(1, 32, 7), (2, 64, 9)]
    assert runs[1].point == {"training.num_epochs": 2}
    assert runs[1].along == {"training.batch_size": 64, "testing.batch_size": 9}


def test_the_expansion_that_quantumgravpys_own_test_lists(expand):
    """Layers with batch size, three rates, x with its two partners, and a list of lists."""
    runs = expand("""
        model:
          encoder_kwargs:
            layers: !sweep {values: [1, 2]}
            bs: !coupled-sweep {target: model.encoder_kwargs.layers, values: [16, 32]}
            lr: !sweep {values: [0.1, 0.01, 0.001]}
            foo: [{x: 3, y: 5}, {x: !sweep {values: [1, 2]}, y: 2}]
            bar: [{x: !coupled-sweep {target: "model.encoder_kwargs.foo[1].x", values: [-1, -2]}}]
            baz: [{x: !coupled-sweep {target: model.encoder_kwargs.foo.1.x, values: [-10, -20]}}]
            listsweep: !sweep {values: [[1, 2], [3, 4, 5], [6]]}
    """)
    found = [r.config["model"]["encoder_kwargs"] for r in runs]
    assert [
        (f["layers"], f["bs"], f["lr"], f["foo"][1]["x"], f["bar"][0]["x"], f["baz"][0]["x"],
         f["listsweep"])
        for f in found
    ] == [
        (layers, bs, lr, x, -x, -10 * x, chosen)
        for layers, bs in ((1, 16), (2, 32))
        for lr in (0.1, 0.01, 0.001)
        for x in (1, 2)
        for chosen in ([1, 2], [3, 4, 5], [6])
    ]  # fmt: skip
    assert len(set(names(runs))) == 36


def test_a_sweep_may_be_an_item_of_a_list(expand):
    runs = expand("""
        model:
          encoder_kwargs:
            dims:
              - [12, !sweep {values: [32, 64]}]
              - [!reference {target: "model.encoder_kwargs.dims[0][1]"}, 3]
    """)
    assert [r.config["model"]["encoder_kwargs"]["dims"] for r in runs] == [
        [[12, 32], [32, 3]],
        [[12, 64], [64, 3]],
    ]
    assert names(runs) == ["run-dims.0.1=32", "run-dims.0.1=64"]


def test_a_reference_takes_the_value_of_the_run_through_other_references(expand):
    (run,) = expand("""
        training:
          seed: 5
          batch_size: !reference {target: generate.num_samples}
        generate:
          num_samples: !reference {target: training.seed}
          classes: [polynomial]
    """)
    assert run.config["training"]["batch_size"] == run.config["generate"]["num_samples"] == 5


def test_a_whole_layer_may_be_swept_and_referred_into(expand):
    runs = expand("""
        model:
          encoder_kwargs:
            layers: !sweep
              values:
                - [{dim: 4, type: !pyobject torch.nn.ReLU}]
                - [{dim: 6, type: !pyobject torch.nn.Tanh}]
            out: !reference {target: "model.encoder_kwargs.layers[0].dim"}
    """)
    assert [r.config["model"]["encoder_kwargs"]["out"] for r in runs] == [4, 6]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{start: 1, stop: 5, step: 1}", [1, 2, 3, 4, 5]),
        ("{start: 0, stop: 1, step: 0.2}", [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ("{start: 5, stop: 2, step: -1}", [5, 4, 3, 2]),
        ("{start: 0.5, stop: 0.1, step: -0.2}", [0.5, 0.3, 0.1]),
        ("{start: 1, stop: 6, step: 2}", [1, 3, 5]),
        ("{start: 1, stop: 8, step: 2}", [1, 3, 5, 7]),
        ("{start: 10, stop: 12}", [10, 11, 12]),
        ("{start: 0.1, stop: 0.3}", [0.1, 0.2, 0.3]),
        ("{start: 1e-4, stop: 3e-4, step: 1e-4}", [0.0001, 0.0002, 0.0003]),
    ],
)
def test_a_range_includes_its_end(expand, text, values):
    runs = expand(f"training: {{optimizer_kwargs: {{lr: !range {text}}}}}")
    found = [run.config["training"]["optimizer_kwargs"]["lr"] for run in runs]
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


UNIFORM = "training: {{seed: {seed}, optimizer_kwargs: {{lr: !random_uniform {{start: {start}, stop: {stop}, log: {log}, size: {size}}}}}}}"  # noqa: E501


def drawn(expand, seed=1, start="1e-5", stop="1e-1", log="true", size=4):
    text = UNIFORM.format(seed=seed, start=start, stop=stop, log=log, size=size)
    return [run.config["training"]["optimizer_kwargs"]["lr"] for run in expand(text)]


def test_random_values_follow_from_the_seed_and_are_kept_when_more_are_drawn(expand):
    four, six, other = drawn(expand), drawn(expand, size=6), drawn(expand, seed=2)
    assert six[:4] == four
    assert not set(four) & set(other)
    assert all(float(f"{value:.6g}") == value for value in six)


def test_random_values_fill_their_range_evenly_or_by_decades(expand):
    by_decade = drawn(expand, size=400)
    assert min(by_decade) >= 1e-5
    assert max(by_decade) <= 1e-1
    assert 60 < sum(value < 1e-4 for value in by_decade) < 140  # a quarter: one of four decades
    evenly = drawn(expand, start="2", stop="4", log="false", size=100)
    assert 30 < sum(value < 3 for value in evenly) < 70


@pytest.mark.parametrize("seed", ["!sweep {values: [3, 4]}", "!range {start: 3, stop: 4}"])
def test_with_several_seeds_the_first_one_draws(expand, seed):
    both = drawn(expand, seed=seed)
    assert len(both) == 8
    assert set(both) == set(drawn(expand, seed=3))


def test_names_tell_keys_and_values_apart(expand):
    runs = expand("""
        name: r
        criterion: !sweep {values: [!pyobject torch.nn.L1Loss, !pyobject torch.nn.MSELoss]}
        training: {batch_size: !sweep {values: [4]}}
        testing: {batch_size: !sweep {values: [8]}}
        model:
          encoder_kwargs:
            a: !sweep {values: [null]}
            b: !sweep {values: [true]}
            c: !sweep {values: [[64, 32]]}
            d: !sweep {values: [[[1, 2], [3]]]}
            e: !sweep {values: ["some text/x"]}
            f: !sweep {values: [{k: 1}]}
    """)
    first, second = names(runs)
    assert first == (
        "r-criterion=L1Loss,training.batch_size=4,testing.batch_size=8,"
        "a=null,b=true,c=64x32,d=1x2_3,e=some-text-x,f=4514a0c6"
    )
    assert second == first.replace("L1Loss", "MSELoss")


@given(
    old=st.lists(st.integers(0, 99), min_size=1, max_size=5, unique=True),
    added=st.integers(100, 199),
    place=st.integers(0, 5),
)
def test_adding_a_value_changes_no_name_and_no_configuration(old, added, place):
    def runs(values):
        raw = {
            "data": {"files": ["a.zarr"]},
            "model": {"encoder_type": "x.y", "downstream_tasks": ["x.y"]},
            "training": {
                "seed": {"!sweep": {"values": values}},
                "num_epochs": 1,
                "batch_size": {"!coupled-sweep": {"target": "training.seed", "values": [
                    value + 1 for value in values]}},
            },
            "criterion": "x.y",
        }  # fmt: skip
        return {run.config["name"]: run.config for run in expand_runs(raw)}

    before, after = runs(old), runs([*old[:place], added, *old[place:]])
    if len(old) > 1:
        assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {f"run-seed={added}"}


def test_what_is_not_shaped_by_a_sweep_is_shared(expand):
    runs = expand("training: {optimizer_kwargs: {lr: !sweep {values: [0.1, 0.2]}}}")
    assert [run.config["data"]["variant"] for run in runs] == [None, None]


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        ("training: {seed: !sweep {values: [1, 2]}}", {"dataset"}),
        ("{data: {seed: 7}, training: {seed: !sweep {values: [1, 2]}}}", {"dataset", "split"}),
        ("data: {seed: !sweep {values: [1, 2]}}", {"dataset"}),
        ("data: {subset: !sweep {values: [0.5, 1.0]}}", {"dataset"}),
        ("data: {chunksize: !sweep {values: [5, 10]}}", set()),
        ("data: {pre_filter: !sweep {values: [null, a.b]}}", set()),
        ("data: {files: !sweep {values: [[a.zarr], [b.zarr]]}}", set()),
        ("data: {n_processes: !sweep {values: [1, 2]}}", {"dataset", "split"}),
        ("data: {transform: !sweep {values: [null, a.b]}}", {"dataset", "split"}),
    ],
)
def test_runs_have_data_of_their_own_only_where_they_must(expand, text, shared):
    first, second = (run.config for run in expand(text))
    for name, path in (("dataset", paths.dataset), ("split", paths.split)):
        assert (path(first) == path(second)) == (name in shared), name
    assert paths.data_lock(first) == paths.data_lock(second)


def test_readings_of_one_raw_store_share_it(expand):
    first, second = (
        run.config
        for run in expand("""
            generate: {num_samples: 9, classes: [polynomial]}
            data: {float_type: !sweep {values: [torch.float32, torch.float64]}}
        """)
    )
    assert paths.raw_store(first, "a") == paths.raw_store(second, "a")
    assert str(paths.part(second, "p")) == (
        "results/data/float_type=torch.float64/parts/p.safetensors"
    )


GENERATED = "generate: {num_samples: !sweep {values: [9, 12]}, classes: [polynomial]}"


def test_stores_that_are_generated_differently_lie_apart(expand):
    runs = [r.config for r in expand(GENERATED)]
    assert [str(paths.raw_store(config, "a")) for config in runs] == [
        "results/data/num_samples=9/raw/a.zarr",
        "results/data/num_samples=12/raw/a.zarr",
    ]


def test_two_swept_keys_give_two_splits_where_one_shapes_it(expand):
    runs = expand("""
        training:
          seed: !sweep {values: [1, 2]}
          num_epochs: !sweep {values: [3, 4]}
    """)
    assert [str(paths.split(run.config)) for run in runs] == [
        "results/data/splits/seed=1.json",
        "results/data/splits/seed=1.json",
        "results/data/splits/seed=2.json",
        "results/data/splits/seed=2.json",
    ]


def test_folds_are_runs_that_share_their_data(expand):
    runs = expand("name: cv\ndata: {folds: 3}")
    assert names(runs) == ["cv-fold=1", "cv-fold=2", "cv-fold=3"]
    assert [run.fold for run in runs] == [1, 2, 3]
    assert [run.label for run in runs] == ["", "", ""]
    assert len({paths.dataset(run.config) for run in runs}) == 1
    assert [paths.split(run.config).name for run in runs] == [f"fold={k}.json" for k in (1, 2, 3)]


def test_folds_go_with_a_sweep(expand):
    runs = expand("data: {folds: 2}\ntraining: {num_epochs: !sweep {values: [3, 4]}}")
    assert [(run.label, run.fold) for run in runs] == [
        ("num_epochs=3", 1), ("num_epochs=3", 2), ("num_epochs=4", 1), ("num_epochs=4", 2),
    ]  # fmt: skip
    assert len({paths.split(run.config) for run in runs}) == 2


def test_one_fold_alone_is_a_run(expand):
    (run,) = expand("name: cv\ndata: {folds: 3, fold: 2}")
    assert (run.config["name"], run.fold) == ("cv", 2)


def test_the_configuration_of_a_run_is_a_run_of_its_own(expand):
    for run in expand("data: {folds: 2}\ntraining: {seed: !sweep {values: [3, 4]}}"):
        (again,) = expand_runs(run.config)
        assert again.config == run.config


def test_the_keys_of_a_partial_are_those_of_what_it_stands_for(expand):
    runs = expand("""
        criterion: !partial
          type: mymodule.loss
          kwargs: {weight: !sweep {values: [1, 2]}}
        training: {batch_size: !reference {target: criterion.kwargs.weight}}
    """)
    assert [run.point for run in runs] == [{"criterion.kwargs.weight": k} for k in (1, 2)]
    assert [run.config["criterion"]["!partial"]["kwargs"] for run in runs] == [
        {"weight": 1}, {"weight": 2},
    ]  # fmt: skip
    assert [run.config["training"]["batch_size"] for run in runs] == [1, 2]


def test_keys_for_anchors_are_no_sweeps(expand):
    runs = expand("""
        x-rates: &rates !sweep {values: [0.1, 0.2]}
        training: {optimizer_kwargs: {lr: *rates}}
    """)
    assert names(runs) == ["run-lr=0.1", "run-lr=0.2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "training: {batch_size: !coupled-sweep {target: training.epochs, values: [1]}}",
            "training.batch_size: !coupled-sweep goes along with 'training.epochs', which is not "
            "swept; nothing is",
        ),
        (
            "training: {seed: !sweep {values: [1, 2]}, batch_size: "
            "!coupled-sweep {target: training.seed, values: [4]}}",
            "training.batch_size: !coupled-sweep has 1 values, but training.seed has 2; give one "
            "for each",
        ),
        ("training: {seed: !sweep {values: []}}", "training.seed: !sweep has no values; give a"),
        (
            "training: {seed: !sweep {valuse: [1]}}",
            "training.seed: !sweep lacks 'values'; its keys are values",
        ),
        (
            "training: {seed: !range {start: 1, stop: 2, end: 3}}",
            "training.seed: !range has no key 'end'; its keys are start, step, stop",
        ),
        (
            "training: {seed: !range {start: 1, stop: 5, step: -1}}",
            "training.seed: no steps of -1 lead from 1 to 5",
        ),
        (
            "training: {seed: !range {start: one, stop: 5}}",
            "training.seed: 'start' is no number: 'one'",
        ),
        (
            "training: {ema_decay: !random_uniform {start: 0, stop: 1, log: true}}",
            "training.ema_decay: nothing can be drawn between 0 and 1",
        ),
        (
            "training: {batch_size: !reference {target: training.epochs}}",
            "training.batch_size: !reference: there is no key 'training.epochs'; write its whole",
        ),
        (
            "training: {batch_size: !reference {target: training.seed}, "
            "seed: !reference {target: training.batch_size}}",
            "training.batch_size: !reference leads back to itself",
        ),
        (
            "training: {batch_size: !reference {target: training}}",
            "training.batch_size: !reference leads back to itself",
        ),
        (
            "training: {seed: !sweep {values: [1, 1]}}",
            "training.seed: two runs get the name 'seed=1'; give each value once",
        ),
        (
            "criterion: !sweep {values: [!pyobject a.loss, !pyobject b.loss]}",
            "criterion: two runs get the name 'criterion=loss'",
        ),
        (
            "training: {seed: !sweep {values: [1, !range {start: 1, stop: 2}]}}",
            "training.seed: !range stands within the values of another sweep",
        ),
        ("name: !sweep {values: [a, b]}", "name: !sweep cannot stand here; give one value"),
        ("data: {output: !sweep {values: [a]}}", "data.output: !sweep cannot stand here"),
        (
            "training: {batch_size: !sweep {values: [1, none]}}",
            "training.batch_size: expected an integer",
        ),
    ],
)
def test_mistakes_are_named_with_file_and_key(expand, text, message):
    with pytest.raises(ConfigError) as caught:
        expand(text)
    assert str(caught.value).startswith(f"run.yaml: {message}")
    assert "\n" not in str(caught.value)


def test_runs_share_the_sets_that_baselines_are_applied_to(minimal):
    made = {"num_samples": {"!sweep": {"values": [3, 4]}}, "classes": ["kr"], "size": [5, 9]}
    minimal["evaluate"] = {"sets": {"other": {"generate": made}}}
    with pytest.raises(ConfigError, match=r"^evaluate: the runs .* or set baseline: false"):
        expand_runs(minimal)
    first, second = expand_runs({**minimal, "baseline": False})
    assert first.place["sets"] == second.place["sets"] == {"other": None}


def test_runs_share_their_baselines(minimal):
    minimal["training"]["seed"] = {"!sweep": {"values": [1, 2]}}
    assert all(run.config["baseline"]["max_graphs"] == 20_000 for run in expand_runs(minimal))
    minimal["baseline"] = {"max_graphs": {"!reference": {"target": "training.seed"}}}
    with pytest.raises(ConfigError, match=r"^baseline: the runs of a sweep share their baselines"):
        expand_runs(minimal)
