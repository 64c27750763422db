"""The runs of a configuration: one, or one for each point of its sweeps and folds.

Each run is the same as that of a configuration with only its values. Runs share raw stores, parts
and split if these do not depend on the swept values. Otherwise they are in separate folders, named
by the swept keys that they depend on.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from qgpipe import paths
from qgpipe.config.dump import to_plain
from qgpipe.config.key_path import Path, format_key
from qgpipe.config.resolve import data_sources, evaluated_sets, generated_stores, resolve_config
from qgpipe.config.sweep_values import MOST_RUNS
from qgpipe.config.sweeps import Dimension, dimensions, points, substitute
from qgpipe.config.types import Config, Variant
from qgpipe.errors import ConfigError
from qgpipe.stages.registry import STAGES, stage_section
from qgpipe.sweeps.derived import derived_configs, require_short
from qgpipe.sweeps.run_names import point_name, short_keys
from qgpipe.sweeps.tuned import check_tuning

FOLD: Path = ("data", "fold")


@dataclass(frozen=True)
class Run:
    """A run: its resolved ``config``, whose ``name`` is that of the run, and its place in a sweep.

    ``base``: the name given by the user. ``point``: values of the swept keys, by dotted key;
    ``along``: values of the keys coupled to them; ``fold``: the fold that is the test set.
    ``label``: name of the point without the fold. ``derived``: runs that this one is made from, or
    is compared with, by kind: the ``member`` runs of an ensemble, one for each seed, and those of
    each ``ablation``.
    """

    config: Config
    base: str
    point: dict[str, Any]
    along: dict[str, Any]
    fold: int | None
    label: str
    derived: Mapping[str, tuple["Run", ...]] = field(default_factory=dict)

    @property
    def place(self) -> dict[str, Any]:
        """The place of the run in its sweep.

        ``sets``: its evaluation sets, if it has any, with the files of the baselines or None.
        """
        names = ("base", "point", "along", "fold", "label")
        sets = {
            name: str(paths.baseline_scores(self.config, name)) if self.config["baseline"] else None
            for name in evaluated_sets(self.config)
        }
        return {name: getattr(self, name) for name in names} | ({"sets": sets} if sets else {})


def expand_runs(raw: Mapping[str, Any], file: str | None = None) -> list[Run]:
    """The runs of a configuration as ``load_config`` returns it; one if nothing is swept.

    Raises ``ConfigError`` with ``file`` and the key: for each run as ``resolve_config`` does, for
    an invalid sweep, for two runs with the same name, and for an invalid study.
    """
    try:
        swept = dimensions(raw)
        swept += _folds(raw, swept)
        _refuse_many(swept)
        places = list(points(swept))
        values = [_values(swept, place) for place in places]
        configs = [resolve_config(_with_values(raw, some)) for some in values]
        _refuse_tuning(raw, swept)
        if not swept:
            config = configs[0]
            if "tune" in config:
                check_tuning(raw, config, _shared)
            return [_with_derived(Run(config, config["name"], {}, {}, config["data"]["fold"], ""))]
        return [_with_derived(run) for run in _named(configs, swept, places, values)]
    except ConfigError as error:
        error.file = error.file or file
        raise


def with_derived(runs: Iterable[Run]) -> list[Run]:
    """``runs``, each followed by those that are derived from it, and from these."""
    found = []
    for run in runs:
        found += [run, *with_derived(itertools.chain(*run.derived.values()))]
    return found


def _with_derived(run: Run) -> Run:
    """``run`` with the runs that are derived from it; all use the same data and split."""
    derived = {
        kind: tuple(_with_derived(replace(run, config=config)) for config in configs)
        for kind, configs in derived_configs(run.config).items()
    }
    return replace(run, derived=derived)


def comparison_section(runs: Iterable[Run], stage: str) -> dict[str, Any]:
    """The section of the tables over ``runs``, which ``stage`` makes: the place of each run."""
    places = {run.config["name"]: to_plain(run.place) for run in runs}
    return {"format": STAGES[stage].format, "runs": places}


def _folds(raw: Mapping[str, Any], swept: Sequence[Dimension]) -> list[Dimension]:
    """The folds as a further dimension, if there are folds and none is selected."""
    data = raw.get("data")
    if not isinstance(data, Mapping) or any(dimension.path == FOLD for dimension in swept):
        return []
    folds = data.get("folds")
    if not isinstance(folds, int) or isinstance(folds, bool) or data.get("fold") is not None:
        return []
    return [Dimension(FOLD, list(range(1, folds + 1)))] if 1 < folds <= MOST_RUNS else []


def _refuse_many(swept: Sequence[Dimension]) -> None:
    counts = [len(dimension.values) for dimension in swept]
    if (runs := math.prod(counts)) > MOST_RUNS:
        keys = ", ".join(format_key(dimension.path) for dimension in swept)
        raise ConfigError(
            f"{' x '.join(map(str, counts))} values are {runs:,} runs; {MOST_RUNS:,} are the most",
            key=keys,
            remedy="take fewer values, or search with 'tune'",
        )


def _refuse_tuning(raw: Mapping[str, Any], swept: Sequence[Dimension]) -> None:
    if swept and raw.get("tune") is not None:
        raise ConfigError(
            f"a study tunes one run, and {format_key(swept[0].path)} makes several",
            key="tune",
            remedy="leave out one of the two",
        )


def _refuse_several_baselines(configs: Sequence[Config]) -> None:
    """Runs that share data and split share the answers of the baselines."""
    first = configs[0]
    if any(config["baseline"] != first["baseline"] for config in configs):
        raise ConfigError(
            "the runs of a sweep share their baselines",
            key="baseline",
            remedy="write values out instead of referring to what is swept",
        )
    if first["baseline"] and any(c.get("evaluate") != first.get("evaluate") for c in configs):
        raise ConfigError(
            "the runs of a sweep share what their baselines answer on further sets",
            key="evaluate",
            remedy="give each value a set of its own, or set baseline: false",
        )


def _values(swept: Sequence[Dimension], place: tuple[int, ...]) -> dict[Path, Any]:
    values: dict[Path, Any] = {}
    for dimension, k in zip(swept, place, strict=True):
        values |= dimension.at(k)
    return values


def _with_values(raw: Mapping[str, Any], values: Mapping[Path, Any]) -> dict[str, Any]:
    """``raw`` with the values of a point; only the fold may be a key that ``raw`` does not have."""
    if FOLD in values:
        raw = {**raw, "data": {**raw["data"], "fold": values[FOLD]}}
    return substitute(raw, values)


def _named(
    configs: list[Config],
    swept: Sequence[Dimension],
    places: Sequence[tuple[int, ...]],
    values: Sequence[Mapping[Path, Any]],
) -> list[Run]:
    _refuse_several_baselines(configs)
    keys, base = short_keys([dimension.path for dimension in swept]), configs[0]["name"]

    def names(chosen: Sequence[int]) -> list[str]:
        """A name for each run, from its values of the ``chosen`` dimensions."""
        return [
            point_name([keys[d] for d in chosen], [swept[d].values[place[d]] for d in chosen])
            for place in places
        ]

    every = range(len(swept))
    full, labels = names(every), names([d for d in every if swept[d].path != FOLD])
    _refuse_equal(full, swept, places)
    variants = {
        kind: names(_that_shape(section, configs, places)) for kind, section in _SHARED.items()
    }
    runs = []
    for i, config in enumerate(configs):
        variant = {kind: of_runs[i] or None for kind, of_runs in variants.items()}
        config["name"] = f"{base}-{full[i]}"
        require_short(config["name"])
        config["data"]["variant"] = cast(Variant, variant) if any(variant.values()) else None
        point = {d.path: d.values[k] for d, k in zip(swept, places[i], strict=True)}
        along = {format_key(path): v for path, v in values[i].items() if path not in point}
        named = {format_key(path): v for path, v in point.items() if path != FOLD}
        runs.append(Run(config, base, named, along, config["data"]["fold"], labels[i]))
    return runs


def _refuse_equal(
    names: Sequence[str], swept: Sequence[Dimension], places: Sequence[tuple[int, ...]]
) -> None:
    seen: dict[str, tuple[int, ...]] = {}
    for name, place in zip(names, places, strict=True):
        other = seen.setdefault(name, place)
        if other is not place:
            which = next(d for d in range(len(swept)) if other[d] != place[d])
            raise ConfigError(
                f"two runs get the name '{name}'",
                key=format_key(swept[which].path),
                remedy="give each value once; objects are named by the last part of their names",
            )


def _that_shape(
    section: Callable[[Config], Any], configs: Sequence[Config], places: Sequence[tuple[int, ...]]
) -> list[int]:
    """The dimensions on which ``section`` of the configurations depends."""
    content = [json.dumps(section(config), sort_keys=True) for config in configs]
    chosen = []
    for d in range(len(places[0])):
        found: dict[tuple[int, ...], str] = {}
        alike = (
            found.setdefault((*place[:d], *place[d + 1 :]), text) == text
            for place, text in zip(places, content, strict=True)
        )
        if not all(alike):
            chosen.append(d)
    return chosen


def _parts(config: Config) -> Any:
    """The settings that the parts and their list depend on."""
    sources = [
        [
            role,
            source["files"],
            source["chunksize"],
            stage_section(config, "preprocess", source=source),
        ]
        for role, source in data_sources(config)
    ]
    return stage_section(config, "generate"), generated_stores(config), sources


_SHARED: dict[str, Callable[[Config], Any]] = {
    "raw": lambda config: stage_section(config, "generate"),
    "parts": _parts,
    "split": lambda config: stage_section(config, "split"),
}


def _shared(config: Config) -> Any:
    """The settings that raw stores, parts and split depend on."""
    return [section(config) for section in _SHARED.values()]
