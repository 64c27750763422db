"""The registry of stages, and that nothing else lists them."""

import ast
import re
from pathlib import Path

import pytest

from qgpipe.stages.registry import BY_RULE, STAGES, TARGETS, stage_section

ROOT = Path(__file__).parents[2]
CODE = [
    *(ROOT / "qgpipe").rglob("*.py"),
    *(ROOT / "snakemake_logger_plugin_qgpipe").glob("*.py"),
]
MANY = 4  # names of stages that nothing but a list of them has
CONFIG = {
    "name": "run",
    "data": {"output": "data", "variant": None},
    "training": {"path": "runs"},
}


def rules_of(target):
    text = (ROOT / "rules" / f"{target}.smk").read_text()
    return dict(re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", text, re.M | re.S))


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_a_stage_has_one_name_in_rule_script_log_benchmark_and_section(stage):
    if stage.rule is None:
        assert (ROOT / "qgpipe/cli" / f"{stage.name}.py").exists()
        return
    assert stage.rule.startswith(f"{stage.name}_")
    text = rules_of(stage.target)[stage.rule]
    assert f'"../scripts/{stage.rule}.py"' in text
    script = (ROOT / "scripts" / f"{stage.rule}.py").read_text()
    assert re.findall(r'job\(snakemake, "(\w+)"', script) == [stage.name]
    for kind in ("log", "benchmark"):
        (name,) = re.findall(rf'_{kind}\(settings, (?:"{{\w+}}", )?"(\w+)[/"]', text)
        assert name == stage.name
    for name in re.findall(r'plan\.(?:section|comparison)\("(\w+)"\)', text):
        assert name == stage.name
    assert ("gpu=" in text) == stage.uses_device


def test_every_rule_belongs_to_a_stage_or_is_a_target():
    found = {rule for target in TARGETS for rule in rules_of(target)}
    assert found == {*BY_RULE, *TARGETS}
    assert {file.stem for file in (ROOT / "rules").glob("*.smk")} == {*TARGETS}
    assert {file.stem for file in (ROOT / "scripts").glob("*.py")} == {*BY_RULE}


@pytest.mark.parametrize("stage", [s for s in STAGES.values() if s.artifact], ids=lambda s: s.name)
def test_artifacts_of_the_data_are_named_as_the_pattern_says(stage):
    for variant in (None, "seed=1"):
        kinds = dict.fromkeys(("raw", "parts", "split"), variant)
        config = {**CONFIG, "data": {"output": "data", "variant": kinds}}
        where = stage.artifact(config, "a-000000005").relative_to("data").as_posix()
        assert re.fullmatch(stage.pattern, where)


def test_a_stage_whose_settings_are_given_has_a_section():
    with pytest.raises(KeyError):
        stage_section(CONFIG, "x")


def collections_of(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            yield node.keys
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            yield node.elts


@pytest.mark.parametrize("file", CODE, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_other_module_lists_stages(file):
    if file.name == "registry.py" and file.parent.name == "stages":
        return
    for elements in collections_of(ast.parse(file.read_text())):
        names = {e.value for e in elements if isinstance(e, ast.Constant)}
        assert len(names & {*STAGES}) < MANY, f"{file}: {sorted(names, key=str)}"
