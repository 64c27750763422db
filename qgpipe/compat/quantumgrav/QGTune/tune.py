"""A configuration as a search space of Optuna, and a study as QuantumGravPy stores it."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import yaml

from qgpipe.compat.quantumgrav.base import ConfigurationError
from qgpipe.compat.quantumgrav.config_utils import convert_to_pyobject_tags, get_loader
from qgpipe.compat.quantumgrav.utils import assign_at_path

_MAPPING = "coupled-sweep-mapping"
_DATABASES = ("sqlite://", "mysql://")


def is_flat_list(value: Any) -> bool:
    """Whether ``value`` is a list without lists and mappings in it."""
    return isinstance(value, list) and not any(isinstance(v, list | dict) for v in value)


def is_categorical_suggestion(value: Any) -> bool:
    """Whether ``value`` is a list of plain values to choose from."""
    plain = (bool, str, float, int)
    return is_flat_list(value) and bool(value) and all(isinstance(v, plain) for v in value)


def is_float_suggestion(value: Any) -> bool:
    """Whether ``value`` is ``(low, high, step)`` or ``(low, high, log)`` of floats."""
    return _has_types(value, (float,), (float, bool))


def is_int_suggestion(value: Any) -> bool:
    """Whether ``value`` is ``(low, high, step)`` of integers."""
    return _has_types(value, (int,), (int,))


def _has_types(value: Any, limits: tuple, last: tuple) -> bool:
    if not isinstance(value, tuple) or len(value) != 3:
        return False
    return all(isinstance(v, limits) for v in value[:2]) and isinstance(value[2], last)


def get_value_of_ref(config: Any, ref_path: Sequence[Any]) -> Any:
    """The value at ``ref_path``. Raises ``ValueError`` if there is none."""
    for step in ref_path:
        try:
            config = config[step]
        except (LookupError, TypeError):
            raise ConfigurationError(f"there is no key {list(ref_path)}") from None
    return config


def convert_to_suggestion(param_name: str, node: Any, trial: Any, config: Mapping[str, Any]) -> Any:
    """What ``trial`` suggests for a swept ``node``; any other is returned unchanged.

    For a coupled sweep ``{type, target, mapping}``, with the value for each value of its target.
    Raises ``ValueError`` if the target is not swept, or has another number of values.
    """
    kind = node.get("type") if isinstance(node, Mapping) else None
    if kind == "coupled-sweep":
        target = get_value_of_ref(config, node["target"])
        if target.get("type") != "sweep" or len(target["values"]) != len(node["values"]):
            raise ConfigurationError(
                f"{node['target']} is no sweep of {len(node['values'])} values", key=param_name
            )
        mapping = dict(zip(target["values"], node["values"], strict=True))
        return {"type": _MAPPING, "target": node["target"], "mapping": mapping}
    if kind == "sweep" and is_categorical_suggestion(node["values"]):
        return trial.suggest_categorical(param_name, node["values"])
    limits = node.get("tune_values") if kind in ("range", "random_uniform") else None
    if limits is not None and is_float_suggestion(limits):
        last = {"log" if isinstance(limits[2], bool) else "step": limits[2]}
        return trial.suggest_float(param_name, *limits[:2], **last)
    if limits is not None and is_int_suggestion(limits):
        return trial.suggest_int(param_name, *limits[:2], step=limits[2])
    return node


def get_suggestion(
    config: Mapping[str, Any], current_node: Any, trial: Any, traced_param: Sequence[str] = ()
) -> tuple[Any, dict[str, Any]]:
    """``current_node`` with suggestions in place of swept nodes, and the values of coupled ones.

    ``traced_param``: the keys that lead to the node. The second result is, by dotted key of a
    coupled sweep, its value for each value of the target.
    """
    coupled: dict[str, Any] = {}

    def suggested(node: Any, path: tuple[str, ...]) -> Any:
        found = convert_to_suggestion(".".join(path), node, trial, config) if path else node
        if isinstance(found, Mapping) and found.get("type") == _MAPPING:
            coupled[".".join(path)] = found["mapping"]
            return {"type": _MAPPING, "target": found["target"]}
        if isinstance(found, Mapping):
            return {k: suggested(v, (*path, str(k))) for k, v in found.items()}
        if isinstance(found, list):
            return [suggested(v, (*path, str(i))) for i, v in enumerate(found)]
        return found

    if not traced_param and isinstance(current_node, Mapping):
        return {k: suggested(v, (str(k),)) for k, v in current_node.items()}, coupled
    return suggested(current_node, tuple(traced_param)), coupled


def resolve_references(
    config: Any, node: Any, walked_path: Sequence[Any], coupled_sweep_mapping: Mapping[str, Any]
) -> None:
    """Put values in place of the references and coupled sweeps of ``node``, in ``config``.

    ``walked_path``: the keys that lead to ``node``. Raises ``ValueError`` for a target that is
    missing, or has a value that is not coupled to any.
    """
    kind = node.get("type") if isinstance(node, Mapping) else None
    if kind in ("reference", _MAPPING):
        value = get_value_of_ref(config, node["target"])
        if kind == _MAPPING:
            key = ".".join(map(str, walked_path))
            try:
                value = coupled_sweep_mapping[key][value]
            except KeyError:
                raise ConfigurationError(f"nothing is coupled to {value!r}", key=key) from None
        assign_at_path(config, walked_path, value)
    elif isinstance(node, Mapping | list):
        items = node.items() if isinstance(node, Mapping) else enumerate(node)
        for key, inner in list(items):
            resolve_references(config, inner, [*walked_path, key], coupled_sweep_mapping)


def load_yaml(file: Any) -> dict[str, Any]:
    """The configuration in ``file``. Raises ``FileNotFoundError``."""
    if not file or not Path(str(file)).exists():
        raise FileNotFoundError(f"no such file: {file}")
    return yaml.load(Path(file).read_text(encoding="utf-8"), Loader=get_loader())


def build_search_space(config_file: str | Path, trial: Any) -> dict[str, Any]:
    """The configuration in ``config_file`` with the values that ``trial`` suggests."""
    config = load_yaml(config_file)
    space, coupled = get_suggestion(config, config, trial)
    resolve_references(space, space, [], coupled)
    return space


def create_study(tuning_config: Mapping[str, Any]) -> optuna.study.Study:
    """The study ``{study_name, direction, storage}``, which goes on if it is stored already.

    ``storage``: None, a journal ``….log`` or a URL ``sqlite://…`` or ``mysql://…``. Raises
    ``ConfigurationError``, a ``ValueError``, for anything else.
    """
    name, direction = tuning_config.get("study_name"), tuning_config.get("direction")
    if not isinstance(name, str) or direction not in ("minimize", "maximize"):
        raise ConfigurationError(
            f"a study needs a name and a direction, got {name!r} and {direction!r}",
            remedy="give study_name, and minimize or maximize as direction",
        )
    return optuna.create_study(
        study_name=name,
        storage=_storage(tuning_config.get("storage")),
        load_if_exists=True,
        direction=direction,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=5, interval_steps=5),
    )


def _storage(given: Any) -> Any:
    if given is None:
        return None
    if str(given).endswith(".log"):
        backend = optuna.storages.journal.JournalFileBackend(str(given))
        return optuna.storages.JournalStorage(backend)
    if str(given).startswith(_DATABASES):
        return str(given)
    raise ConfigurationError(
        f"no study can be stored in '{given}'", remedy="name a file .log, or a URL sqlite:///file"
    )


def save_best_config(config_file: str | Path, best_trial: Any, output_file: str | Path) -> None:
    """Write the configuration with the values of ``best_trial`` to ``output_file``."""
    config = load_yaml(config_file)
    best, coupled = get_suggestion(config, config, best_trial)
    best = copy.deepcopy(best)
    resolve_references(best, best, [], coupled)
    text = yaml.safe_dump(convert_to_pyobject_tags(best))
    Path(output_file).write_text(text, encoding="utf-8")
