from pathlib import Path

from qgpipe.config import load_config, resolve_config
from qgpipe.config.reference import reference
from qgpipe.config.schema import schema

ROOT = Path(__file__).parents[2]


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
