"""``qgpipe new``: a configuration for raw stores, from what is found in them."""

import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from qgpipe.config.dump import ConfigDumper
from qgpipe.config.load import load_config
from qgpipe.config.objects import is_tagged
from qgpipe.config.schema import EDITOR_SCHEMA
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.raw import naming
from qgpipe.data.raw.arrays import count_samples
from qgpipe.data.raw.stores import StoreInfo
from qgpipe.errors import ConfigError
from qgpipe.workflow.store_facts import Facts, Kind, look_at
from qgpipe.workflow_folder import workflow_folder

_PART = 1000  # causal sets in a part file, about
_LOSSES: dict[Kind, str] = {
    "classes": "cross_entropy",
    "binary": "binary_cross_entropy",
    "values": "mean_squared_error",
}
_MONITORS: dict[Kind, dict[str, tuple[str, dict[str, Any]]]] = {
    "classes": {
        "accuracy": ("accuracy_score", {}),
        "f1_weighted": ("f1_score", {"average": "weighted"}),
    },
    "binary": {"roc_auc": ("roc_auc_score", {})},
    "values": {"mae": ("mean_absolute_error", {}), "r2": ("r2_score", {})},
}


def new_configuration(
    stores: Sequence[Path], output: Path | None, preset: str, target: str | None = None
) -> str:
    """YAML text of a configuration for ``stores``, with comments.

    ``output``: the file that the text is for, as the text calls it; ``preset``: the model, a file
    in ``config/models``; ``target``: the array to predict. Only metadata and a few samples of the
    first store are read. Raises ``DataError`` and ``ConfigError``.
    """
    opened = [open_store(path, "the command") for path in stores]
    default = load_config(workflow_folder() / "config" / "run.yaml")["data"]["reader"]["kwargs"]
    facts = look_at(opened[0], target, default["node_features"], default["graph_features"])
    for other in opened[1:]:
        other.array(facts.target)
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", stores[0].stem).lstrip("._-") or "run"
    stratified = facts.kind == "classes" and not facts.of_elements
    with_graph_features = uses_graph_features(facts)
    kinds = ["node_features", *(["graph_features"] if with_graph_features else [])]
    model = load_config(workflow_folder() / "config" / "models" / f"{preset}.yaml")
    template = Path(__file__).with_name("new_run.yaml.jinja").read_text(encoding="utf-8")
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["yaml"] = _flow
    is_real = facts.kind == "values" and facts.found.dtype.kind == "f"
    return (
        environment.from_string(template)
        .render(
            facts=facts if with_graph_features else replace(facts, graph_features=[]),
            num_samples=f"{sum(map(count_samples, opened)):,}",
            says=_says(facts),
            schema=_schema_for(output),
            file=output or "run.yaml",
            name=name,
            files=[str(path) for path in stores],
            output=f"results/{name}",
            others=_wrapped(facts.others),
            usual_adjacency=facts.adjacency in naming.ADJACENCY,
            chunksize=_chunksize(opened[0], facts.adjacency),
            split=_split(sum(map(count_samples, opened))),
            stratified=stratified,
            standardize=[*kinds, *(["target"] if is_real else [])],
            preset=preset,
            model=textwrap.indent(
                _yaml(model_section(model["model"], facts, preset)).rstrip(), "  "
            ),
            loss=_LOSSES[facts.kind],
            lr=model.get("training", {}).get("optimizer_kwargs", {}).get("lr", 0.003),
            monitors=_monitors(facts.kind),
        )
        .lstrip()
    )


def model_section(preset: Mapping[str, Any], facts: Facts, name: str) -> dict[str, Any]:
    """The ``model`` section of a preset for a store: its heads, poolings and nets.

    Raises ``ConfigError`` if the preset called ``name`` has no output for each element, but the
    target has.
    """
    section = dict(preset)
    if not uses_graph_features(facts):
        section = {k: v for k, v in section.items() if "graph_features" not in k}
    if facts.of_elements:
        if section.get("pooling_layers") is None:
            raise ConfigError(
                f"the preset '{name}' gives one answer for each causal set, and "
                f"'{facts.target}' has a value for each element",
                remedy="choose another with --preset, or another target with --target",
            )
        section = {k: v for k, v in section.items() if "pooling" not in k}
    if facts.kind == "values" and facts.found.dtype.kind != "f":
        head = section["downstream_tasks"][0]
        *before, last = head["kwargs"]["dims"]
        dims = [*before, [last[0], 1]]  # a value, although integers are classes
        section["downstream_tasks"] = [{**head, "kwargs": {**head["kwargs"], "dims": dims}}]
    return {key: value for key, value in section.items() if value is not None}


def uses_graph_features(facts: Facts) -> bool:
    """Whether the model gets graph features: there are some, and an answer for each graph."""
    return bool(facts.graph_features) and not facts.of_elements


def _schema_for(output: Path | None) -> str:
    """The path of the schema for editors: within a clone relative to the folder of the file."""
    clone, folder = workflow_folder(), (output or Path("run.yaml")).resolve().parent
    if folder.is_relative_to(clone) and EDITOR_SCHEMA.is_relative_to(clone):
        return Path(os.path.relpath(EDITOR_SCHEMA, folder)).as_posix()
    return str(EDITOR_SCHEMA)


def _says(facts: Facts) -> str:
    of = "of each element" if facts.of_elements else "of each causal set"
    if facts.class_names:
        return f"a class {of}: {', '.join(facts.class_names)}"
    seen = f"{facts.found.min():g} to {facts.found.max():g} in the samples looked at"
    if facts.kind == "classes":
        return f"a class {of}: {seen}"
    return f"0 or 1 {of}, one logit" if facts.kind == "binary" else f"a value {of}: {seen}"


def _split(samples: int) -> list[float]:
    """Shares of which none is empty."""
    return [0.8, 0.1, 0.1] if samples >= 30 else [0.5, 0.25, 0.25]


def _chunksize(store: StoreInfo, adjacency: str) -> int:
    """A multiple of the samples in a chunk, so that each is decoded once."""
    if adjacency not in store.sample_arrays:
        return _PART
    chunk = store.array(adjacency).chunks[0]
    return max(1, round(_PART / chunk)) * chunk


def _monitors(kind: Kind) -> str:
    tasks = [
        {
            "name": name,
            "monitor": f"!pyobject sklearn.metrics.{function}",
            **({"kwargs": kwargs} if kwargs else {}),
        }
        for name, (function, kwargs) in _MONITORS[kind].items()
    ]
    return textwrap.indent(_yaml(tasks).rstrip(), "    ")


class _Dumper(ConfigDumper):
    """Indents lists, and puts each layer on one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Never without indentation."""
        super().increase_indent(flow, False)


def _list(dumper: _Dumper, value: list) -> yaml.Node:
    layers = [item for item in value if isinstance(item, list) and item and is_tagged(item[0])]
    on_one_line = not layers and not any(
        isinstance(item, Mapping) and {"type", "monitor"} & {*item} for item in value
    )
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, on_one_line)


_Dumper.add_representer(list, _list)


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=110)


def _flow(value: Any) -> str:
    text = yaml.dump(value, Dumper=ConfigDumper, default_flow_style=True, width=10**6)
    return text.removesuffix("\n").removesuffix("...").strip()


def _wrapped(names: Sequence[str]) -> str:
    return textwrap.fill(
        ", ".join(names), 96, initial_indent=" " * 6 + "# ", subsequent_indent=" " * 6 + "# "
    )
