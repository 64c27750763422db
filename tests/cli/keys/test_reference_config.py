import re
from pathlib import Path

import pytest

from qgpipe.cli import main
from qgpipe.cli.keys.reference_config import reference
from qgpipe.cli.keys.reference_page import reference_page
from qgpipe.config import load_config, resolve_config
from qgpipe.config.schema import schema

ROOT = Path(__file__).parents[3]


def default_run() -> dict:
    return resolve_config(load_config(ROOT / "config" / "run.yaml"))


def test_the_reference_is_up_to_date():
    assert (ROOT / "config" / "reference.yaml").read_text() == reference(default_run())


def test_the_reference_is_the_default_run():
    assert resolve_config(load_config(ROOT / "config" / "reference.yaml")) == default_run()


def test_every_key_is_explained():
    text = reference(default_run())
    for name in ("training", "data", "gnn_model", "generate", "stopping_task", "monitor"):
        for key, part in schema()["$defs"][name]["properties"].items():
            assert f"{key}:" in text
            assert part.get("description") or "$ref" in part, f"{name}.{key}"


def test_the_page_of_keys_is_up_to_date():
    assert (ROOT / "docs" / "configuration.md").read_text() == reference_page()


def test_the_page_has_a_row_with_a_meaning_for_every_key():
    page = reference_page()
    forms = {"spec", "optional_spec", "constructor", "loader"}
    for name, part in {**schema()["$defs"], "": schema()}.items():
        for key in part.get("properties", {}) if name not in forms else ():
            row = re.search(rf"^\| `{key}` \| .*[^|]+ \| [^|]*\| .+ \|$", page, re.M)
            assert row, f"{name}.{key}"


def test_the_command_takes_a_configuration_or_makes_the_page(capsys):
    assert main(["reference", "--markdown"]) == 0
    assert capsys.readouterr().out == reference_page()
    for arguments in ([], ["run.yaml", "--markdown"]):
        with pytest.raises(SystemExit, match="2"):
            main(["reference", *arguments])
