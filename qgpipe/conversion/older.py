"""A configuration of QuantumGravPy's older formats in the present one."""

from collections.abc import Mapping
from typing import Any

from qgpipe.config.key_path import format_key, parse_key
from qgpipe.config.objects import TAG
from qgpipe.config.resolve import ROLES, older_key
from qgpipe.config.sweeps import COUPLED, REFERENCE
from qgpipe.conversion.findings import Findings
from qgpipe.conversion.older_model import convert_model
from qgpipe.errors import ConfigError
from qgpipe.sweeps.expansion import expand_runs

_SHARES = {"training": 0.8, "validation": 0.1, "testing": 0.1}  # the defaults there
_ADAM = {"learning_rate": ("lr", 0.001), "weight_decay": ("weight_decay", 0.0001)}
_LOSSES = ("loss", "avg_loss", "loss_avg")
# Columns that the validator in QuantumGravPy's older manual writes, by the average of f1_score.
_F1 = {"f1_weighted": "weighted", "f1_unweighted": "macro"}
_STOPPING = "early_stopping_"
_SCRIPT = "given in the script there"


def convert(raw: Mapping[str, Any]) -> tuple[dict[str, Any], Findings]:
    """The present configuration for ``raw``, and what is to be said about it.

    The keys keep their order. If there are problems, the result is not valid.
    """
    found = Findings()
    if older_key(raw) is None:
        return dict(raw), found
    config: dict[str, Any] = {}
    for key, value in raw.items():
        if key == "model" and isinstance(value, Mapping):
            config |= _name(value, raw, found)
            config[key] = convert_model(value, found)
        elif key == "training" and isinstance(value, Mapping):
            config[key] = _training(value, raw, found)
            config |= _early_stopping(value, raw, found)
        elif key == "data" and isinstance(value, Mapping) and "input" in value:
            config[key] = {"files" if k == "input" else k: v for k, v in value.items()}
        elif key in ROLES and isinstance(value, Mapping):
            config[key] = {k: v for k, v in value.items() if k != "split"}
        else:
            config[key] = value
    _split(raw, config, found)
    _f1_task(config, found)
    _require_what_scripts_give(config, found)
    config = _follow(config, found)
    if not found.problems:
        try:
            expand_runs(config)
        except ConfigError as error:
            found.problems.append(error)
    return config, found


def _name(model: Mapping[str, Any], raw: Mapping[str, Any], found: Findings) -> dict[str, Any]:
    if (name := model.get("name")) is None:
        return {}
    if raw.get("name") is not None:
        found.note(("model", "name"), "left out, since there is a name at the top level")
        return {}
    return {"name": name}


def _training(given: Mapping[str, Any], raw: Mapping[str, Any], found: Findings) -> dict[str, Any]:
    """``training`` with an optimizer; what belongs to other sections is left out."""
    result: dict[str, Any] = {}
    optimizer: dict[str, Any] = {}
    older = set(_ADAM) & set(given) or str(older_key(raw)).startswith("model.")
    if older and given.get("optimizer_type") is None:
        kwargs = dict(given.get("optimizer_kwargs") or {})
        for key, (name, default) in _ADAM.items():
            kwargs.setdefault(name, given.get(key, default))
            found.moves["training", key] = ("training", "optimizer_kwargs", name)
        optimizer = {"optimizer_type": f"{TAG}torch.optim.Adam", "optimizer_kwargs": kwargs}
    for key, value in given.items():
        if key in _ADAM:
            if not optimizer:
                found.refuse(("training", key), "there is an optimizer_type", "give its kwargs")
            result |= optimizer
        elif key == "checkpoint_path":
            if "path" in given:
                found.note(("training", key), "left out, since checkpoints lie below 'path'")
            else:
                result["path"] = value
        elif key != "split" and not key.startswith(_STOPPING):
            result[key] = value
    return {**result, **optimizer}


def _early_stopping(
    training: Mapping[str, Any], raw: Mapping[str, Any], found: Findings
) -> dict[str, Any]:
    """The section for the keys ``early_stopping_*`` of ``training``."""
    given = {k.removeprefix(_STOPPING): v for k, v in training.items() if k.startswith(_STOPPING)}
    if not given:
        return {}
    for key in sorted(set(given) - {"patience", "tol", "window", "metric"}):
        found.refuse(("training", _STOPPING + key), "no key of early stopping")
    if "early_stopping" in raw or "patience" not in given:
        why = "there is a section early_stopping, too" if "early_stopping" in raw else "missing"
        found.refuse(("training", f"{_STOPPING}patience"), why)
        return {}
    metric = given.get("metric", "loss")
    if metric in _LOSSES:
        task = {"metric": "loss_avg", "mode": "min"}
    else:
        task = {"metric": metric, "mode": "max"}
        if metric not in _F1:
            found.refuse(
                ("training", f"{_STOPPING}metric"),
                f"'{metric}' is computed in the script",
                "give sections early_stopping, and validation with a validator, instead",
            )
    if given.get("window", 1) != 1:
        found.note(
            ("training", f"{_STOPPING}window"),
            "left out: the last value decides here, not a mean over epochs",
        )
    task["delta"] = given.get("tol", 1e-4)
    for key, name in (("patience", "patience"), ("tol", "tasks.0.delta")):
        found.moves["training", _STOPPING + key] = ("early_stopping", *parse_key(name))
    return {"early_stopping": {"tasks": {0: task}, "patience": given["patience"]}}


def _f1_task(config: dict[str, Any], found: Findings) -> None:
    """Let the validation compute the F1 score that early stopping watches."""
    stopping = config.get("early_stopping")
    tasks = stopping.get("tasks") if isinstance(stopping, Mapping) else None
    metric = tasks[0].get("metric") if isinstance(tasks, Mapping) and 0 in tasks else None
    validation = config.get("validation")
    if metric not in _F1 or not isinstance(validation, Mapping) or "validator" in validation:
        return
    task = {
        "name": metric,
        "monitor": f"{TAG}sklearn.metrics.f1_score",
        "kwargs": {"average": _F1[metric]},
    }
    config["validation"] = {**validation, "validator": {"evaluator_tasks": [task]}}
    found.note(
        ("validation", "validator"),
        f"'{metric}' is scikit-learn's f1_score, average {_F1[metric]}; see that the script "
        "meant the same",
    )


def _split(raw: Mapping[str, Any], config: dict[str, Any], found: Findings) -> None:
    """Put the shares of the three stages into ``data.split``."""
    given: dict[str, Any] = {
        stage: section["split"]
        for stage in ROLES
        if isinstance(section := raw.get(stage), Mapping) and "split" in section
    }
    data = config.get("data")
    if not given or not isinstance(data, Mapping):
        return
    if data.get("split") is not None:
        found.refuse((next(iter(given)), "split"), "there is data.split, too")
        return
    config["data"] = {**data, "split": [given.get(s, share) for s, share in _SHARES.items()]}
    for i, stage in enumerate(_SHARES):
        found.moves[stage, "split"] = ("data", "split", i)


def _require_what_scripts_give(config: Mapping[str, Any], found: Findings) -> None:
    own = all(isinstance(s := config.get(stage), Mapping) and "data" in s for stage in ROLES)
    if config.get("data") is None and config.get("generate") is None and not own:
        found.refuse(("data",), _SCRIPT, "add it to the file: {files: […], reader: !pyobject …}")
    if config.get("criterion") is None:
        found.refuse(("criterion",), _SCRIPT, "add it to the file: !pyobject mymodule.loss")


def _follow(value: Any, found: Findings) -> Any:
    """``value`` with the targets of tags where they are now."""
    if isinstance(value, Mapping):
        inner = {key: _follow(one, found) for key, one in value.items()}
        for tag in (COUPLED, REFERENCE):
            given = inner.get(tag)
            if isinstance(given, Mapping) and "target" in given:
                target = found.moves.get(parse_key(str(given["target"])))
                if target is not None:
                    inner[tag] = {**given, "target": format_key(target)}
        return inner
    return [_follow(one, found) for one in value] if isinstance(value, list) else value
