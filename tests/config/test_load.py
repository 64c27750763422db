from pathlib import Path

import pytest
import yaml

from qgpipe.config import load_config, resolve_config
from qgpipe.config.dump import to_yaml
from qgpipe.config.load import user_folders
from qgpipe.errors import ConfigError


def write(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return path


def test_a_pyobject_tag_becomes_a_string_that_survives(tmp_path):
    path = write(tmp_path, "a: !pyobject torch.nn.ReLU\nb: [!pyobject x.y, 1]\n")
    assert load_config(path) == {"a": "!pyobject torch.nn.ReLU", "b": ["!pyobject x.y", 1]}


def test_sweep_tags_are_kept_as_mappings(tmp_path):
    path = write(tmp_path, "lr: !sweep {values: [1, 2]}\nb: !range {start: 0, stop: 2}\n")
    assert load_config(path) == {
        "lr": {"!sweep": {"values": [1, 2]}},
        "b": {"!range": {"start": 0, "stop": 2}},
    }


SWEEPS = [
    "!sweep {values: [1, 2]}",
    "!coupled-sweep {target: training.seed, values: [3, 4]}",
    "!range {start: 0, stop: 1, step: 0.5}",
    "!random_uniform {start: 1.0e-4, stop: 0.1, log: true, size: 3}",
    "!reference {target: training.batch_size}",
]


@pytest.mark.parametrize("text", SWEEPS)
def test_every_sweep_tag_is_parsed_and_written_back(tmp_path, text):
    loaded = load_config(write(tmp_path, f"training:\n  lr: {text}\n"))
    ((tag, keys),) = loaded["training"]["lr"].items()
    assert (tag, keys) == (text.split()[0], yaml.safe_load(text.partition(" ")[2]))
    assert load_config(write(tmp_path, to_yaml(loaded))) == loaded


@pytest.mark.parametrize("text", [t for t in SWEEPS if "target" not in t])
def test_a_sweep_is_no_configuration_of_one_run(tmp_path, minimal, text):
    minimal["training"]["optimizer_kwargs"] = {
        "betas": [0.9, load_config(write(tmp_path, f"beta: {text}"))["beta"]]
    }
    key = r"training\.optimizer_kwargs\.betas\[1\]"
    with pytest.raises(ConfigError, match=f"^{key}: a sweep stands for several runs; take them"):
        resolve_config(minimal)


def test_what_is_dumped_loads_as_it_was(tmp_path):
    config = {
        "a": "!pyobject torch.nn.ReLU",
        "b": [1, 2.5, None, True, "text: with colon", {"c": "1e-4"}],
        "lr": {"!sweep": {"values": [0.1, "!pyobject x.y"]}},
    }
    assert load_config(write(tmp_path, to_yaml(config))) == config


@pytest.mark.parametrize(
    ("text", "line", "problem", "remedy"),
    [
        (
            "tasks:\n  - name: f1\n      monitor: a.b\n",
            3,
            "'monitor:' is indented deeper than 'name:' in line 2",
            "move it left to column 5",
        ),
        (
            'tasks:\n  - name: "f1"\n\n      kwargs:\n        a: 1\n',
            4,
            "'kwargs:' is indented deeper than 'name:' in line 2",
            "move it left to column 5",
        ),
        ("a:\n\tb: 1\n", 2, "a tab is used for indentation", "use spaces"),
        ("a: b: c\n", 1, "mapping values are not allowed", "quote a value"),
        ("a: !pyobjet torch.nn.ReLU\n", 1, "!pyobjet", "the tags are !pyobject"),
        ("a: !pyobject\n", 1, "takes a dotted name", ""),
        ("a: !sweep 3\n", 1, "!sweep takes a mapping", ""),
        ("a: 1\nb: 2\na: 3\n", 3, "key 'a' is given twice", ""),
        ("a: [1, 2\nb: 3\n", 2, "expected ',' or ']'", ""),
    ],
)
def test_yaml_errors_name_line_and_remedy(tmp_path, text, line, problem, remedy):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    message = str(caught.value)
    assert f"run.yaml, line {line}: " in message
    assert problem in message
    assert remedy in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "problem"), [("", "no keys"), ("- 1\n", "no keys"), ("just text", "no keys")]
)
def test_a_file_without_keys_is_refused(tmp_path, text, problem):
    with pytest.raises(ConfigError, match=problem):
        load_config(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file"):
        load_config(tmp_path / "nowhere.yaml")


def test_files_are_laid_over_as_snakemake_does(tmp_path):
    from snakemake.utils import update_config

    texts = [
        "model: {kind: !pyobject a.b, layers: [1, 2], deep: {x: 1, y: 2}}\nname: one\nold: 1\n",
        "model: {layers: [3], deep: {y: null, z: {w: 1}}, name: {a: 1}}\nname: two\n",
        "name: {now: a mapping}\nmodel: {deep: 5}\nold: null\n",
    ]
    files = []
    for i, text in enumerate(texts):
        files.append(tmp_path / f"{i}.yaml")
        files[-1].write_text(text)
    for count in (1, 2, 3):
        expected = {}
        for file in files[:count]:
            update_config(expected, load_config(file))
        assert load_config(*files[:count]) == expected
    assert load_config(files[0])["model"]["deep"] == {"x": 1, "y": 2}


def test_modules_are_found_beside_each_of_several_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.yaml").write_text("name: x\npython_path: [more]\n")
    files = [tmp_path / "a/a.yaml", tmp_path / "b/b.yaml"]
    found = user_folders(load_config(*files), *files)
    assert found == (tmp_path / "a", tmp_path / "b", tmp_path / "a/more", Path.cwd())
