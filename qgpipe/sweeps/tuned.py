"""The parameters of a study: keys of the configuration, and their possible values."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qgpipe.config.key_path import Path, format_key, parse_key, replace_at
from qgpipe.config.metric_mode import LOSSES, OWN, better, is_mean_loss, require_column
from qgpipe.config.resolve import resolve_config
from qgpipe.config.types import Config, TunedKey
from qgpipe.errors import ConfigError
from qgpipe.stages.registry import stage_section
from qgpipe.sweeps.run_names import value_name

_GOLDEN = 0.618  # a share of a range that yields no round number
_SCALARS = (str, bool, int, float, type(None))


@dataclass(frozen=True)
class Parameter:
    """A key with its possible values: from ``low`` to ``high``, or ``choices``.

    ``paths``: of the key and of the keys with the same value. ``along``: keys with a value for each
    choice. ``step``: None for real numbers without steps.
    """

    key: str
    paths: tuple[Path, ...]
    low: float | None
    high: float | None
    log: bool
    step: float | None
    choices: tuple[Any, ...]
    along: Mapping[Path, Sequence[Any]]

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are integers."""
        return all(isinstance(n, int) for n in (self.low, self.high, self.step or 0))

    @property
    def labels(self) -> list[Any]:
        """The choices, with lists and mappings as short names, for tables."""
        return [c if isinstance(c, _SCALARS) else value_name(c) for c in self.choices]

    @property
    def examples(self) -> list[Any]:
        """The labels of all choices, or the ends of the range and a number between them."""
        if self.choices:
            return self.labels
        assert self.low is not None and self.high is not None
        between = (
            [] if self.is_whole or self.step else [self.low + _GOLDEN * (self.high - self.low)]
        )
        return [self.low, self.high, *between]

    def settings(self, value: Any) -> dict[Path, Any]:
        """The value of each key if the parameter has ``value``, a number or a label."""
        if not self.choices:
            return dict.fromkeys(self.paths, value)
        place = self.labels.index(value)
        along = {path: values[place] for path, values in self.along.items()}
        return dict.fromkeys(self.paths, self.choices[place]) | along

    def __str__(self) -> str:
        if self.choices:
            text = ", ".join(value_name(choice) for choice in self.choices)
        else:
            text = f"{self.low:g} to {self.high:g}"
            text += f" in steps of {self.step:g}" if self.step else ""
            text += ", by order of magnitude" if self.log else ""
        others = [format_key(path) for path in (*self.paths[1:], *self.along)]
        return f"{self.key}: {text}" + (f" (with {', '.join(others)})" if others else "")


def parameters_of(config: Config) -> list[Parameter]:
    """The parameters in ``tune`` of a resolved configuration.

    Raises ``ConfigError`` for an empty range, and for a key that is given twice.
    """
    given = config["tune"]["parameters"]
    parameters = [_parameter(text, values) for text, values in given.items()]
    seen: dict[Path, str] = {}
    for parameter in parameters:
        for path in (*parameter.paths, *parameter.along):
            for other, owner in seen.items():
                shorter = min(len(path), len(other))
                if path[:shorter] == other[:shorter]:
                    raise ConfigError(
                        f"'{format_key(path)}' is given a value by '{owner}' too",
                        key=_key(parameter.key),
                        remedy="name each key once",
                    )
            seen[path] = parameter.key
    return parameters


def with_values(
    raw: Mapping[str, Any], parameters: Sequence[Parameter], values: Mapping[str, Any]
) -> Any:
    """``raw``, an unresolved configuration, with ``values`` of parameters, by key.

    ``tune`` is removed; tags and references are kept. Raises ``ConfigError`` if there is no such
    key.
    """
    config = {key: value for key, value in raw.items() if key != "tune"}
    for parameter in parameters:
        if parameter.key not in values:
            continue
        for path, value in parameter.settings(values[parameter.key]).items():
            try:
                config = replace_at(config, path, value)
            except KeyError:
                raise ConfigError(
                    f"there is no place '{format_key(path)}'",
                    key=_key(parameter.key),
                    remedy="write a whole path, model.encoder_kwargs.layers[0][1][1] for instance",
                ) from None
    return config


def trial_config(
    raw: Mapping[str, Any], parameters: Sequence[Parameter], values: Mapping[str, Any]
) -> Config:
    """The resolved configuration of a trial. Raises ``ConfigError`` if a value does not fit."""
    return resolve_config(with_values(raw, parameters, values))


def objective(config: Config) -> tuple[str, str]:
    """The column of the validation results to improve, and ``min`` or ``max``.

    Raises ``ConfigError`` if there is no such column, or if its mode is not known.
    """
    tune, tasks = config["tune"], _stopping_tasks(config)
    if "validation" not in config:
        raise ConfigError(
            "there is no validation to judge trials by",
            key="tune",
            remedy="give a 'validation' section",
        )
    validator = config["validation"]["validator"]
    monitors = [] if "type" in validator else validator["evaluator_tasks"]
    given = {task["name"]: task for task in monitors}
    replacing = [name for name in LOSSES if name in given and not is_mean_loss(given[name])]
    loss = f"{OWN}{LOSSES[0]}" if LOSSES[0] in replacing else LOSSES[0]
    metric = tune["metric"] or next(iter(tasks), loss)
    losses = [*LOSSES, *(f"{OWN}{name}" for name in replacing)]
    if "type" not in validator:
        require_column(metric, [*losses, *given], "tune.metric")
    known = better(given[metric]["monitor"]) if metric in given else None
    if metric in losses and metric not in replacing:
        known = "min"
    mode = tune["mode"] or tasks.get(metric) or known
    if known not in (mode, None):
        raise ConfigError(
            f"{'more' if known == 'max' else 'less'} of '{metric}' is better, not '{mode}'",
            key="tune.mode" if tune["mode"] else "early_stopping.tasks",
            remedy=f"write {known}",
        )
    if mode is None:
        raise ConfigError(
            f"nothing says whether a lower or a higher '{metric}' is better",
            key="tune.mode",
            remedy="write min or max",
        )
    return metric, mode


def check_tuning(raw: Mapping[str, Any], config: Config, shared: Callable[[Config], Any]) -> None:
    """Raise ``ConfigError`` if the study of ``raw``, resolved to ``config``, is invalid.

    Some values of each parameter are tried: they have to be valid, to affect the training, and not
    to change ``shared(config)``, the settings of the data and its split.
    """
    objective(config)
    parameters = parameters_of(config)
    base = shared(trial_config(raw, [], {}))
    for parameter in parameters:
        found = []
        for value in parameter.examples:
            changed = with_values(raw, [parameter], {parameter.key: value})
            try:
                found.append(resolve_config(changed))
            except ConfigError as error:
                error.problem += f" (a value of tune.parameters.{parameter.key})"
                raise
        if any(shared(one) != base for one in found):
            raise ConfigError(
                "it shapes the data or its split, which all trials share",
                key=_key(parameter.key),
                remedy="tune settings of model and training; !sweep makes runs on other data",
            )
        trained = [stage_section(one, "train") for one in found]
        if all(section == trained[0] for section in trained):
            raise ConfigError(
                "it has no effect on the trained model",
                key=_key(parameter.key),
                remedy="tune settings of model and training",
            )


def _stopping_tasks(config: Config) -> dict[str, str]:
    """The columns that early stopping monitors, with their modes."""
    stopping = config.get("early_stopping")
    modes: dict[str, str] = {}
    if stopping is None or "type" in stopping:
        return modes
    for task in stopping["tasks"].values():
        modes.setdefault(task["metric"], task["mode"])
    return modes


def _parameter(text: str, given: TunedKey) -> Parameter:
    path = parse_key(text)
    key = format_key(path)
    also = tuple(parse_key(other) for other in given["also"])
    along = {parse_key(other): values for other, values in given["along"].items()}
    low, high, log, step = given["low"], given["high"], given["log"], given["step"]
    choices = tuple(given["choices"] or ())
    parameter = Parameter(key, (path, *also), low, high, log, step, choices, along)
    for problem, remedy in _problems(parameter):
        raise ConfigError(problem, key=_key(key), remedy=remedy)
    return parameter


def _problems(parameter: Parameter) -> Iterator[tuple[str, str]]:
    """Problems with the values of a parameter, with remedies."""
    low, high, choices = parameter.low, parameter.high, parameter.choices
    if bool(choices) == (low is not None or high is not None):
        yield "it needs either low and high, or choices", "write {low: 1e-4, high: 1e-2}"
    elif choices:
        labels = [repr(label) for label in parameter.labels]
        if len(set(labels)) < len(labels):
            yield "a choice is given twice", "give each once"
        if parameter.log or parameter.step is not None:
            yield "choices have no order, so no log and no step", "leave these out"
        for path, values in parameter.along.items():
            if len(values) != len(choices):
                yield (
                    f"{format_key(path)} has {len(values)} values for {len(choices)} choices",
                    "give one for each",
                )
    elif low is None or high is None:
        yield f"'{'low' if low is None else 'high'}' is missing", "give both ends of the range"
    elif low >= high:
        yield f"there is nothing between {low:g} and {high:g}", "low is below high"
    elif parameter.log and low <= 0:
        yield f"low is {low:g}, which has no order of magnitude", "low is above 0 with log: true"
    elif parameter.log and parameter.step is not None:
        yield "log and step do not go together", "leave one of them out"
    elif parameter.step is not None and parameter.step > high - low:
        yield f"no step of {parameter.step:g} fits in", "make it smaller"
    elif parameter.along:
        yield "along is for choices", "use also for keys that take the same number"


def _key(key: str) -> str:
    return f"tune.parameters.{key}"
