"""What a file from elsewhere may name."""

import contextlib
import importlib
import inspect
import itertools
import sys

import pytest
import torch

from qgpipe.config.objects import import_object
from qgpipe.config.trust import (
    _ROWS,
    UntrustedName,
    imports_for,
    is_known,
    unknown_names,
)

OWNERS = [
    "torch", "torch.nn", "torch.nn.functional", *["torch_geometric.nn"] * 6,
    "torch_geometric.transforms", "qgpipe.models", "qgpipe.compat.quantumgrav",
    "qgpipe.compat.quantumgrav.models", "qgpipe",
]  # fmt: skip
KNOWN = [
    f"{owner}.{name}"
    for owner, (_, names) in zip(OWNERS, _ROWS, strict=True)
    for name in names.split()
]
EVIL = "x: __import__('os').mkdir('trap')"


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_name_is_there_and_evaluates_no_text(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert is_known(name)
    found = import_object(name)
    if isinstance(found, torch.dtype):
        return
    assert callable(found)
    try:
        parameters = list(inspect.signature(found).parameters.values())
    except ValueError:  # written in C
        parameters = []
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    needed = {p.name: 4 for p in named if p.default is p.empty}
    for given in [*({**needed, p.name: EVIL} for p in named), dict.fromkeys(needed, EVIL)]:
        with_text(lambda given=given: found(**given))
    for args in itertools.product((4, EVIL), repeat=2):
        with_text(lambda args=args: found(*args))
    assert not (tmp_path / "trap").exists()


def with_text(call):
    with contextlib.suppress(Exception):  # refusing the text is right, too
        call()


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.getattr",
        "builtins.eval",
        "torch.load",
        "torch.hub.load",
        "torch.nn.functional.os.system",
        "torch.nn.Module",
        "torch.nn.modules.linear.math.ReLU",
        "torch_geometric.nn.Sequential",
        "torch_geometric.nn.sequential.Sequential",
        "torch_geometric.nn.conv.cheatsheet.importlib.import_module",
        "torch_geometric.nn.GPSE",
        "torchx.nn.ReLU",
        "mymodule.ReLU",
        "ReLU",
        "",
    ],
)
def test_other_names_are_not_known(name):
    assert not is_known(name)


@pytest.mark.parametrize(
    "name",
    [
        "!pyobject torch.nn.ReLU",
        "torch.nn.modules.activation.ReLU",
        "torch_geometric.nn.conv.sage_conv.SAGEConv",
        "QuantumGrav.models.Sequential",
        "qgpipe.models.gnn_model.GNNModel",
    ],
)
def test_a_known_name_may_be_spelt_in_several_ways(name):
    assert is_known(name)


def test_unknown_names_are_found_wherever_they_stand():
    section = {
        "reader": "plain",
        "pre_transform": ["listed", [], {}],
        "kwargs": {"a": ["!pyobject tagged.name", "looks.like_one", "text", 3]},
        "encoder_type": {"!partial": {"type": "inner"}},
        "files": ["a.zarr", "b.zarr"],
        "transform": "!pyobject torch_geometric.transforms.ToUndirected",
    }

    assert unknown_names(section) == ["plain", "listed", "tagged.name", "looks.like_one", "inner"]


@pytest.fixture
def planted(user_folder):
    """What the module ``planted_here`` makes when it is imported."""
    sys.modules.pop("planted_here", None)
    importlib.invalidate_caches()
    (user_folder / "planted_here.py").write_text(
        f"import os\nos.mkdir({str(user_folder / 'trap')!r})\ndef f(): pass\n"
    )
    return user_folder / "trap"


def test_an_unknown_name_is_refused_before_it_is_imported(planted):
    refused = pytest.raises(UntrustedName, match=r"^m\.pt was not made here, and would import plan")
    with refused, imports_for("m.pt", {"type": "planted_here.f"}):
        import_object("planted_here.f")
    assert not planted.exists()


def test_a_name_that_nobody_has_seen_coming_is_refused_too(planted):
    with pytest.raises(UntrustedName), imports_for("m.pt", {}):
        import_object("planted_here")
    assert not planted.exists()


def test_with_trust_names_are_printed_before_they_are_imported(planted, caplog):
    with imports_for("m.pt", {"type": "planted_here.f"}, trust=True):
        assert caplog.messages == ["m.pt imports planted_here.f"]
        assert not planted.exists()
        import_object("planted_here.f")
    assert planted.exists()


def test_what_was_made_here_is_imported_without_a_word(planted, caplog):
    with imports_for("m.pt", {"type": "planted_here.f"}, made_here=lambda: True):
        import_object("planted_here.f")
    assert planted.exists()
    assert caplog.messages == []


def test_the_outermost_block_decides(planted):
    with pytest.raises(UntrustedName), imports_for("run", {}), imports_for("m.pt", {}, trust=True):
        import_object("planted_here.f")
    assert not planted.exists()


def test_after_the_block_everything_may_be_imported_again(planted):
    with imports_for("m.pt", {}):
        pass
    assert callable(import_object("planted_here.f"))
