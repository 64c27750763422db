import functools
import json
import math

import pytest
import yaml

from qgpipe.config import load_config, resolve_config
from qgpipe.config.dump import to_plain, to_yaml
from qgpipe.config.objects import import_object, import_objects
from qgpipe.config.spec import as_spec, build_object
from qgpipe.config.tags import register
from qgpipe.errors import ConfigError
from qgpipe.stages.fingerprint import trajectory

PARTIAL = functools.partial(math.isclose, 1.0, rel_tol=0.5)
PLAIN = {"!partial": {"type": "!pyobject math.isclose", "args": [1.0], "kwargs": {"rel_tol": 0.5}}}


def same(one: functools.partial, other: functools.partial) -> bool:
    return (one.func, one.args, one.keywords) == (other.func, other.args, other.keywords)


def test_a_partial_becomes_plain_values_and_comes_back():
    plain = to_plain(PARTIAL)
    assert plain == PLAIN
    assert same(import_object(json.loads(json.dumps(plain))), PARTIAL)


def test_its_yaml_has_a_tag_that_every_loader_knows(tmp_path):
    text = to_yaml({"criterion": PARTIAL})
    assert "criterion: !partial" in text
    (tmp_path / "run.yaml").write_text(text)
    register()
    for loaded in (load_config(tmp_path / "run.yaml"), yaml.load(text, Loader=yaml.FullLoader)):
        assert loaded == {"criterion": PLAIN}


def test_a_written_partial_resolves_to_itself(tmp_path, minimal):
    resolved = resolve_config({**minimal, "criterion": PARTIAL})
    (tmp_path / "run.yaml").write_text(to_yaml(resolved))
    written = load_config(tmp_path / "run.yaml")
    assert written["criterion"] == PLAIN
    assert resolve_config(written) == written


def test_objects_in_its_arguments_are_named_and_imported():
    partial = functools.partial(sorted, key=abs)
    plain = to_plain({"a": [partial]})
    assert plain["a"][0]["!partial"]["kwargs"] == {"key": "!pyobject builtins.abs"}
    assert same(import_objects(plain)["a"][0], partial)


def test_a_partial_of_what_has_no_name_is_an_error_with_its_key():
    with pytest.raises(ConfigError, match=r"^criterion\.type: .* has no importable name"):
        to_plain({"criterion": functools.partial(lambda x: x)})
    with pytest.raises(ConfigError, match=r"^criterion\.kwargs\.key: .* has no importable name"):
        to_plain({"criterion": functools.partial(sorted, key=lambda x: x)})


def test_a_partial_may_lack_arguments():
    assert same(import_object({"!partial": {"type": "math.gcd"}}), functools.partial(math.gcd))


@pytest.mark.parametrize("text", ["!partial math.gcd", "!partial {args: [1]}", "!partial {typ: a}"])
def test_a_partial_without_a_function_is_an_error_with_the_line(tmp_path, text):
    (tmp_path / "run.yaml").write_text(f"a: 1\nb: {text}\n")
    with pytest.raises(ConfigError, match=r"run\.yaml, line 2: !partial takes a mapping"):
        load_config(tmp_path / "run.yaml")


def test_numbers_in_its_arguments_are_read_as_numbers(minimal):
    minimal["criterion"] = {"!partial": {"type": "a.b", "kwargs": {"weight": "1e-3"}}}
    assert resolve_config(minimal)["criterion"]["!partial"]["kwargs"] == {"weight": 1e-3}


def test_it_may_not_stand_where_a_number_is_expected(minimal):
    minimal["training"]["batch_size"] = PARTIAL
    with pytest.raises(ConfigError, match=r"^training\.batch_size: expected an integer"):
        resolve_config(minimal)


def test_a_partial_of_a_class_is_the_spec_of_the_class():
    spec = as_spec([functools.partial(dict, a=1), None, {"b": 2}])
    assert (spec.type, spec.kwargs) == (dict, {"a": 1, "b": 2})
    assert build_object(functools.partial(dict, a=1), "k") == {"a": 1}


def test_a_function_keeps_its_kwargs_and_refuses_args():
    assert build_object(["math.isclose", None, {"abs_tol": 3}], "k")(1, 3)
    with pytest.raises(ConfigError, match=r"^k: the first arguments of the function 'isclose'"):
        build_object(["math.isclose", [1]], "k")


def test_partials_of_local_functions_differ_by_their_arguments(minimal):
    def run(weight):
        criterion = functools.partial(lambda outputs, data, weight: weight, weight=weight)
        return trajectory(resolve_config({**minimal, "criterion": criterion}), "data", "split")

    assert run(1) == run(1) != run(2)
