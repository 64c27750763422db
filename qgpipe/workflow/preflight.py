"""``qgpipe check``: checks a configuration before a run, and describes what the run will do."""

import copy
import json
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qgpipe import paths
from qgpipe.baselines.features import require_known_features
from qgpipe.calibration.calibrate import OUTLIER_SCORE, require_fit
from qgpipe.causets.generators.classes import resolve_classes
from qgpipe.causets.writers.generate import generate_store
from qgpipe.config.dump import to_plain
from qgpipe.config.key_path import leaves
from qgpipe.config.objects import import_object, is_tagged
from qgpipe.config.resolve import data_source, data_sources
from qgpipe.config.types import Config
from qgpipe.data.layouts.registry import open_store
from qgpipe.data.loading.dataset import PackedDataset
from qgpipe.data.loading.loader import GraphLoader
from qgpipe.data.loading.samplers import build_sampler
from qgpipe.data.preprocessing.part import preprocess_part, write_dataset
from qgpipe.data.preprocessing.plan import PartPlan, plan_parts
from qgpipe.data.preprocessing.set_preflight import check_sets, class_counts
from qgpipe.data.splits.split import no_strata
from qgpipe.data.splits.split_file import check_kept
from qgpipe.errors import ConfigError, QgpipeError, TrainingError
from qgpipe.evaluation.plan import plan_evaluations
from qgpipe.evaluation.set_store import set_store
from qgpipe.models.build import call_model
from qgpipe.models.construct.ablation import INPUTS, ablate
from qgpipe.models.message_direction import passes_forward_only
from qgpipe.models.summary import summarise
from qgpipe.prediction.features import check_metadata
from qgpipe.prediction.outputs import collect_outputs
from qgpipe.prediction.plan import KEY, plan_predictions, reader_for
from qgpipe.stages.module_code import find_code
from qgpipe.stages.registry import stage_section
from qgpipe.stages.session_code import live_folders
from qgpipe.sweeps.expansion import Run
from qgpipe.system.files import scratch_folder
from qgpipe.training.evaluation.evaluator import Evaluator, replaced_text
from qgpipe.training.evaluation.metrics import lacks_classes
from qgpipe.training.loaders import data_names, transform_of
from qgpipe.training.model_sizes import with_sizes
from qgpipe.training.optimizer import rehearse
from qgpipe.training.preflight import check_fit
from qgpipe.training.standardize import require_varying, training_moments
from qgpipe.training.steps.criterion import batch_loss, require_gradient
from qgpipe.training.trainer import Trainer
from qgpipe.tuning.check import check_study

SAMPLE = 16


def check_runs(runs: Sequence[Run], raw: Mapping[str, Any] | None = None) -> str:
    """A summary of the first of some runs, and a list of all, each of which is checked.

    With ``raw``, the unresolved configuration, trials of its study are also checked. Of runs that
    differ only in the split, one is checked. Raises the ``QgpipeError`` that a run would end with,
    with the name of the run if there are several.
    """
    texts: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        samples = _Samples(Path(folder))
        for run in runs:
            which = _identity(run.config)
            try:
                texts[which] = texts.get(which) or _check(run.config, samples)
            except QgpipeError as error:
                if len(runs) > 1:
                    error.problem += f" (in run {run.config['name']})"
                raise
        study = []
        if raw is not None and "tune" in runs[0].config:
            study = check_study(raw, runs[0].config, lambda config: _check(config, samples))
    names = [run.config["name"] for run in runs]
    lines = [f"runs      {len(runs)}: {names[0]}", *(f"          {name}" for name in names[1:])]
    return "\n".join([next(iter(texts.values())), *study, *(lines if len(runs) > 1 else [])])


def check(config: Config) -> str:
    """A summary of the run of a resolved configuration, as text.

    Imports every object that it names, plans the parts, reads a few samples, builds model,
    loss, optimizer and evaluators, and passes the samples through. Nothing is left on disk.
    Raises the ``QgpipeError`` that the run would end with.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _check(config, _Samples(Path(folder)))


class _Samples:
    """Caches a few samples of the data of each run, in ``folder``."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._known: dict[Path, PackedDataset] = {}

    def of(self, config: Config, part: PartPlan) -> PackedDataset:
        """Samples of the first ``part`` of the data of ``config``."""
        data = paths.dataset(config)
        if data not in self._known:
            folder = self.folder / f"data{len(self._known)}"
            self._known[data] = _read_sample(config, part, folder)
        return self._known[data]


def _check(config: Config, samples: _Samples) -> str:
    for key, value in leaves(config):
        if is_tagged(value):
            import_object(value, key)
    if config.get("generate"):
        resolve_classes(config["generate"]["classes"])
    require_known_features(config)
    parts = plan_parts(config)
    check_sets(config, parts)
    dataset = samples.of(config, parts[0])
    check_kept(config, dataset.description["attributes"])
    data, has_classes = config["data"], dataset.description["class_counts"] is not None
    by_class = data["split_method"] == "stratified" and data["stratify_by"] is None
    if "all" in dict(data_sources(config)) and by_class and not has_classes:
        raise no_strata()
    dataset.transform = transform_of(config, parts[0].role)
    known_classes = _known_classes(config, parts)
    trainer = Trainer(with_sizes(config, dataset, known_classes), samples.folder)
    lines = [*_data_lines(config, parts, dataset), *_prediction_lines(config, dataset)]
    lines += _evaluation_lines(config, dataset, samples.folder)
    lines += _standardize_lines(config, parts, dataset, samples)
    lines += _model_lines(trainer, dataset, known_classes)
    build_sampler(config["training"]["sampler"], dataset, "training.sampler")
    lines += _monitor_lines(trainer, dataset)
    _check_ablations(trainer, dataset)
    _check_calibration(trainer, dataset)
    lines += [*_run_lines(config, trainer), *_code_lines(config)]
    outputs = [f"outputs   {paths.dataset(config)}", f"          {paths.run_folder(config)}/"]
    return "\n".join([*lines, *outputs])


def _identity(config: Config) -> str:
    """The checked settings of a run as text, without those that only affect the split."""
    shaped_by = [stage_section(config, stage) for stage in ("generate", "train", "test")]
    reading = [
        [source["files"], stage_section(config, "preprocess", source=source)]
        for _, source in data_sources(config)
    ]
    return json.dumps(to_plain([shaped_by, reading]), sort_keys=True)


def _read_sample(
    config: Config, part: PartPlan, folder: Path, whole: bool = False
) -> PackedDataset:
    store, stop = part.path, part.stop if whole else min(part.stop, part.start + SAMPLE)
    if part.generated:
        store = folder / "sample.zarr"
        stop = max(SAMPLE, len(config["generate"]["classes"]))  # one of each
        generate_store({**config["generate"], "num_samples": stop}, part.store, store)
    output = folder / "sample.safetensors"
    kept = preprocess_part(config, store, part.store, part.start, stop, output, role=part.role)
    if kept["num_graphs"] == 0 and not part.generated:  # the filter may keep later samples
        stop = part.stop
        preprocess_part(config, store, part.store, part.start, stop, output, role=part.role)
    description = {**part.describe_store(), "path": str(store)}
    write_dataset([output], [description], folder / "dataset.json")
    return PackedDataset(folder / "dataset.json")


def _data_lines(config: Config, parts: list[PartPlan], dataset: PackedDataset) -> Iterator[str]:
    stores = {part.store: part for part in parts}
    for role, source in data_sources(config):
        chosen = [part for part in stores.values() if part.role == role]
        samples = sum(part.num_samples for part in chosen)
        name = "data" if role == "all" else f"{role} data"
        made = ", generated" if any(part.generated for part in chosen) else ""
        yield (
            f"{name:<10}{samples:,} samples{made}; stores: "
            f"{', '.join(part.store for part in chosen)}; parts: "
            f"{sum(part.role == role for part in parts)} of up to {source['chunksize']}"
        )
    sizes = dataset.description["sizes"]
    yield f"sample    {len(dataset)} graphs with {sizes['min']} to {sizes['max']} elements"
    for name, names in (("x", dataset.node_features), ("graph_features", dataset.graph_features)):
        if name in dataset.description["attributes"]:
            width = (dataset.description["attributes"][name]["shape"] or [1])[-1]
            listed = f": {', '.join(names)}" if names else ""
            yield f"          {name}: {width} features{listed}"
    known = ("x", "graph_features", "y", "edge_index")
    for name, entry in dataset.description["attributes"].items():
        if entry["kind"] == "edge" and name not in known:
            width = (entry["shape"] or [1])[-1]
            yield f"          {name}: {width} of each edge, {entry['dtype']}"
    if _runs_backwards(dataset):
        yield "          relations run from higher to lower elements: if an adjacency is kept as"
        yield "          [source, target] instead of [target, source], transpose it"
    classes = dataset.class_names
    target = dataset.description["target"] or "as the reader gives it"
    yield (
        f"          y: {target if isinstance(target, str) else ', '.join(target)}"
        f"{', classes ' + ', '.join(classes) if classes else ''}"
    )
    stored = dataset.description.get("classes")
    if stored:
        values = ", ".join(map(str, stored))
        yield f"          classes 0 to {len(stored) - 1} are stored as {values}"
    if "curvature" in ([target] if isinstance(target, str) else target):
        yield "          'curvature' depends on the scale of the metric, which no order tells;"
        yield "          'scaled_curvature', in generated stores, does not"


def _standardize_lines(
    config: Config, parts: Sequence[PartPlan], dataset: PackedDataset, samples: _Samples
) -> Iterator[str]:
    """A line about a feature that may be constant, which cannot be standardised.

    Raises ``ConfigError`` if it is constant in all of the data, as far as that is one part.
    """
    kinds = config["data"]["standardize"]
    if not kinds:
        return
    moments = training_moments(GraphLoader(dataset, batch_size=SAMPLE), kinds)
    try:
        require_varying(moments, dataset, f"all {len(dataset)} samples looked at")
    except ConfigError as error:
        if len(parts) == 1 and not parts[0].generated:
            whole = _read_sample(config, parts[0], samples.folder / "whole", whole=True)
            whole.transform = dataset.transform
            moments = training_moments(GraphLoader(whole, batch_size=SAMPLE), kinds)
            require_varying(moments, whole, f"all {len(whole)} samples")
        else:
            yield f"standardize {error.problem}; if that is so"
            yield "          in the whole training set, it cannot be standardised"


def _runs_backwards(dataset: PackedDataset) -> bool:
    """Whether all edges go from a higher to a lower index.

    Elements are usually numbered from past to future.
    """
    source, target = dataset.batch(np.arange(len(dataset))).edge_index
    return len(source) > 0 and bool((source > target).all())


def _evaluation_lines(config: Config, dataset: PackedDataset, folder: Path) -> Iterator[str]:
    """Lines of the evaluation sets, after checking that they have the features of the data."""
    label = "evaluate"
    for name, planned in plan_evaluations(config).items():
        own, key = config["evaluate"]["sets"][name], f"evaluate.sets.{name}"
        with scratch_folder(folder / f"{name}.json") as scratch:
            try:
                path = set_store(own, name, scratch, 1, samples=SAMPLE)
            except ConfigError as error:
                error.key = (error.key or "generate").replace("generate", f"{key}.generate", 1)
                raise
            store = open_store(path, f"{key}.file")
            reader = reader_for(config, store, dataset.target_name)
            check_metadata(data_source(config, "test"), reader, path, dataset.description)
        made = ", generated" if planned.generated else ""
        yield f"{label:<10}{name}: {planned.num_samples:,} samples{made}"
        label = ""


def _prediction_lines(config: Config, dataset: PackedDataset) -> Iterator[str]:
    """Lines of the stores to predict, after checking that they have the features of the data."""
    label = "predict"
    for name, store in plan_predictions(config, live_folders()).items():
        if not store.generated:
            reader = reader_for(config, open_store(store.path, KEY), dataset.target_name)
            check_metadata(data_source(config, "test"), reader, store.path, dataset.description)
        yield f"{label:<10}{name}: {store.num_samples:,} samples"
        label = ""


def _known_classes(config: Config, parts: Sequence[PartPlan]) -> Iterable[int]:
    """The classes of all samples; empty if graphs may have other targets than the stores."""
    data = config["data"]
    changes = data["pre_filter"], data["pre_transform"], data["transform"]
    if any(change is not None for change in changes) or data["on_bad_sample"] == "skip":
        return ()
    return class_counts(config, parts) or ()


def _model_lines(trainer: Trainer, dataset: PackedDataset, classes: Iterable[int]) -> Iterator[str]:
    loader = GraphLoader(dataset, batch_size=SAMPLE)
    check_fit(trainer.model, loader, trainer.apply_model, trainer.device, classes)
    rehearse(trainer.optimizer, trainer.config["training"])
    batch = next(iter(loader)).to(trainer.device)
    loss = batch_loss(
        trainer.criterion, call_model(trainer.model, batch, trainer.apply_model), batch
    )
    require_gradient(loss)
    if not loss.isfinite():
        raise TrainingError(
            f"the loss of the first {batch.num_graphs} samples is {loss.item()}",
            remedy="look at their features, and at the criterion",
        )
    rows = summarise(trainer.model)
    total = sum(row.parameters for row in rows)
    yield f"model     {type(trainer.model).__name__}, {total:,} parameters"
    names = max(len(row.name) for row in rows)
    types = max(len(row.type) for row in rows)
    for row in rows:
        yield f"          {row.name:<{names}}  {row.type:<{types}}  {row.parameters:>9,}"
    if passes_forward_only(trainer.model, batch.edge_index):
        yield "          messages run from past to future only, no element hears of its future;"
        yield "          config/models/two_way.yaml lets them run both ways"


def _monitor_lines(trainer: Trainer, dataset: PackedDataset) -> Iterator[str]:
    """Lines of monitors that cannot be tried on the samples, because a class is missing there.

    Raises ``TrainingError`` with the key of a monitor that fails.
    """
    model = copy.deepcopy(trainer.model).eval()
    loader = GraphLoader(dataset, batch_size=SAMPLE)
    for evaluator in (trainer.validator, trainer.tester):
        if not isinstance(evaluator, Evaluator) or not evaluator.monitors:
            continue
        collected = evaluator.collect(model, loader)
        for monitor in evaluator.monitors:
            try:
                with warnings.catch_warnings(action="ignore"):
                    monitor(collected)
            except TrainingError:
                if monitor.sees_losses or not lacks_classes(collected, monitor.task):
                    raise
                yield f"          {monitor.key}: not tried, the samples lack a class"


def _check_ablations(trainer: Trainer, dataset: PackedDataset) -> None:
    """Raise ``ConfigError`` if the model gets nothing of what an ablation would withhold."""
    config = trainer.config
    asked = {f"report.ablations[{k}]": kind for k, kind in enumerate(config["report"]["ablations"])}
    if config["training"]["ablation"] is not None:
        asked["training.ablation"] = config["training"]["ablation"]
    batch = next(iter(GraphLoader(dataset, batch_size=SAMPLE))).to(trainer.device)
    for key, kind in asked.items():
        if INPUTS[kind] == "edge_index" and not dataset.density.edges:
            raise ConfigError("the graphs have no edges", key=key, remedy=f"leave out '{kind}'")
        model = copy.deepcopy(trainer.model)
        try:
            ablate(model, kind)
            call_model(model, batch, trainer.apply_model)
        except ConfigError as error:
            error.key, error.problem = key, f"the model is {error.problem}"
            raise


def _check_calibration(trainer: Trainer, dataset: PackedDataset) -> None:
    """Raise ``ConfigError`` if the model cannot be given what ``testing`` asks for."""
    testing = trainer.config["testing"]
    if testing["calibrate"] is None and testing["outlier_score"] is None:
        return
    seen = collect_outputs(
        trainer.model.eval(),
        GraphLoader(dataset, batch_size=SAMPLE),
        trainer.device,
        trainer.apply_model,
        embeddings_for=OUTLIER_SCORE if testing["outlier_score"] == "mahalanobis" else None,
    )
    require_fit(trainer.config, data_names(dataset), seen.collected)


def _run_lines(config: Config, trainer: Trainer) -> Iterator[str]:
    training = config["training"]
    arguments = ", ".join(f"{k}={v}" for k, v in (training["optimizer_kwargs"] or {}).items())
    yield (
        f"training  {training['num_epochs']} epochs at most, batches of "
        f"{training['batch_size']}, {type(trainer.optimizer).__name__}({arguments}) "
        f"on {trainer.device}"
    )
    for evaluator in (trainer.validator, trainer.tester):
        for monitor in getattr(evaluator, "replacing", ()):
            yield f"          {monitor.key}: {replaced_text(monitor)}"


def _code_lines(config: Config) -> Iterator[str]:
    """Lines of the user's files whose changes make stages run again, and of those that do not."""
    try:
        named = to_plain({k: v for k, v in config.items() if k not in ("name", "python_path")})
    except ConfigError:  # written in Python, with objects that have no name to follow
        return
    code = find_code(named, live_folders())
    label = "code"
    for module, files in code.modules.items():
        yield f"{label:<10}{module}: {', '.join(file.name for file in files) or 'not followed'}"
        label = ""
    for file, why in code.not_followed.items():
        yield f"          {file} is {why}: changes in it are not noticed, use --forcerun"
