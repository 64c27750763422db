import sys

import numpy
import pytest
import sklearn.metrics
import torch
import torch_geometric.nn

from qgpipe.config import objects
from qgpipe.config.objects import import_object, import_objects, object_name
from qgpipe.errors import ConfigError


@pytest.mark.parametrize(
    "value",
    [
        torch.nn.ReLU,
        torch.cat,
        torch.float32,
        torch.optim.Adam,
        torch.nn.functional.relu,
        torch_geometric.nn.SAGEConv,
        torch_geometric.nn.global_mean_pool,
        sklearn.metrics.f1_score,
        numpy.mean,
    ],
)
def test_a_name_leads_back_to_the_object(value):
    name = object_name(value)
    assert name.startswith("!pyobject ")
    assert import_object(name) is value
    assert import_object(name.removeprefix("!pyobject ")) is value


def test_names_are_the_public_ones():
    assert object_name(torch.nn.ReLU) == "!pyobject torch.nn.ReLU"
    assert object_name(torch_geometric.nn.SAGEConv) == "!pyobject torch_geometric.nn.SAGEConv"


def test_objects_themselves_pass_through():
    assert import_object(torch.nn.ReLU) is torch.nn.ReLU


def test_old_package_names_mean_this_one():
    assert import_object("!pyobject QuantumGrav.errors.ConfigError") is ConfigError


def test_only_tagged_strings_in_free_arguments_are_imported():
    given = {"a": "!pyobject torch.nn.ReLU", "b": ["mean", ("!pyobject torch.cat",)]}
    assert import_objects(given) == {"a": torch.nn.ReLU, "b": ["mean", (torch.cat,)]}


def test_a_module_beside_the_config_is_found(user_folder):
    (user_folder / "beside_config.py").write_text("def reader():\n    return 7\n")
    assert import_object("beside_config.reader")() == 7


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nosuchmodule.f", "k: no module named 'nosuchmodule'; put it beside the config file"),
        ("torch.nn.ReLu", "k: 'torch.nn' has no 'ReLu'; did you mean 'ReLU'?"),
        ("torch nn", "k: 'torch nn' is not a dotted Python name"),
        ("broken_module.f", "k: importing 'broken_module' failed: ZeroDivisionError"),
        ("needs_more.f", "k: module 'needs_more' needs 'nosuchthing', which is not installed"),
    ],
)
def test_what_cannot_be_imported_is_explained(user_folder, name, message):
    (user_folder / "broken_module.py").write_text("1 / 0\n")
    (user_folder / "needs_more.py").write_text("import nosuchthing\n")
    with pytest.raises(ConfigError) as caught:
        import_object(name, "k")
    assert message in str(caught.value)


def test_a_lambda_has_no_name():
    with pytest.raises(ConfigError, match="has no importable name; define it at the top level"):
        object_name(lambda: None, "criterion")


def test_an_instance_has_no_name():
    with pytest.raises(ConfigError, match="has no importable name"):
        object_name(torch.nn.ReLU())


def test_a_file_with_the_name_of_something_installed_is_not_imported(user_folder, caplog):
    (user_folder / "rocrate.py").write_text("raise RuntimeError('imported')\ndef f(): pass\n")

    with pytest.raises(ConfigError) as error:
        import_object("rocrate.f", "k")
    assert str(error.value) == (
        f"k: 'rocrate' has no 'f'; 'rocrate' is what is installed, not your "
        f"{user_folder / 'rocrate.py'}, which you may rename"
    )
    assert caplog.messages == [
        f"{user_folder / 'rocrate.py'} is not used: 'rocrate' is what is installed; rename the file"
    ]


def test_folders_of_a_configuration_read_later_come_instead_of_those_before(
    user_folder, tmp_path_factory, monkeypatch
):
    (user_folder / "same_name.py").write_text("value = 1\n")
    assert import_object("same_name.value") == 1
    other = tmp_path_factory.mktemp("other")
    (other / "same_name.py").write_text("value = 2\n")
    monkeypatch.setenv(objects.SEARCH_PATH_VARIABLE, "")
    objects.add_search_path(other)
    monkeypatch.delitem(sys.modules, "same_name")
    assert import_object("same_name.value") == 2
    assert str(user_folder) not in sys.path
