"""Types of a resolved configuration, as ``resolve_config`` returns it.

Defaults and descriptions are only in ``schema.json``; a test compares keys and kinds. A key is
``NotRequired`` if it has no default. A configuration that is not resolved has no type, because
sweeps and references may be anywhere in it.
"""

from typing import Any, Literal, NotRequired, TypedDict, final

Importable = Any  # a type or function: its name (tagged or not), a partial, or the object itself
AnySpec = Any  # what to construct, in any form that qgpipe.config.spec.as_spec reads


@final
class Constructor(TypedDict):
    """A user's class with arguments."""

    type: Importable
    args: list[Any]
    kwargs: dict[str, Any]


@final
class GeneratorEntry(TypedDict):
    """A generator with arguments."""

    type: Importable
    name: NotRequired[str]
    kwargs: dict[str, Any]


class SetGenerateSection(TypedDict):
    """The ``generate`` of a set of ``evaluate``."""

    seed: int
    num_samples: int
    size: list[int]
    classes: list[str | GeneratorEntry]


class GenerateSection(SetGenerateSection):
    """The section ``generate``."""

    layout: Literal["stacked", "groups"]
    stores: list[str]


class SourceSection(TypedDict):
    """The ``data`` of a stage."""

    files: list[str]
    reader: NotRequired[AnySpec]
    pre_transform: NotRequired[AnySpec]
    pre_filter: NotRequired[AnySpec]
    transform: NotRequired[AnySpec]
    validate_data: NotRequired[bool]
    validate_order: NotRequired[bool]
    on_bad_sample: NotRequired[Literal["error", "skip"]]
    subset: float | None
    chunksize: NotRequired[int]
    output: NotRequired[str]
    n_processes: NotRequired[int]
    shuffle: NotRequired[bool]
    split: NotRequired[list[float]]


class Variant(TypedDict):
    """Folders of what the runs of a sweep do not share."""

    raw: str | None
    parts: str | None
    split: str | None


class DataSection(TypedDict):
    """The section ``data``."""

    files: list[str]
    output: str
    reader: AnySpec
    pre_transform: AnySpec
    pre_filter: AnySpec
    transform: AnySpec
    validate_data: bool
    validate_order: bool
    on_bad_sample: Literal["error", "skip"]
    n_processes: int
    chunksize: int
    split: list[float]
    split_method: Literal["random", "stratified", "group", "hash"]
    group_by: str | None
    stratify_by: str | None
    folds: int | None
    fold: int | None
    variant: Variant | None
    seed: int | None
    shuffle: bool
    subset: float | None
    standardize: list[Literal["node_features", "graph_features", "target"]]
    float_type: Importable
    int_type: Importable
    compress: bool
    residency: Literal["auto", "memory", "mmap", "device"]


class LoaderSection(TypedDict):
    """The common keys of sections with a loader."""

    batch_size: int
    num_workers: int
    pin_memory: bool
    drop_last: bool
    prefetch_factor: int | None
    persistent_workers: bool
    shuffle: bool
    data: NotRequired[SourceSection]


class TrainingSection(LoaderSection):
    """The section ``training``."""

    seed: int
    device: str
    path: str
    num_epochs: int
    optimizer_type: Importable
    optimizer_args: list[Any]
    optimizer_kwargs: dict[str, Any]
    lr_scheduler_type: Importable
    lr_scheduler_args: list[Any]
    lr_scheduler_kwargs: dict[str, Any]
    sampler: AnySpec
    accumulate_steps: int
    gradient_clip: float | None
    precision: Literal["fp32", "bf16", "fp16"]
    ema_decay: float | None
    ablation: Literal["no_edges", "no_node_features", "no_graph_features", "reversed_edges"] | None
    compile: bool
    message_passing: Literal["auto", "edges", "csr", "dense"]
    bucket_by_size: bool
    deterministic: bool
    checkpoint_at: int | None
    keep_checkpoints: int | None
    checkpoint_every_steps: int | None
    loggers: list[AnySpec]


class MonitorTask(TypedDict):
    """A monitor: one column of the results."""

    name: str
    monitor: Importable
    args: list[Any]
    kwargs: dict[str, Any]
    task: int


@final
class NativeEvaluator(TypedDict):
    """Arguments of the validator or tester of this package."""

    device: str | None
    criterion: AnySpec
    apply_model: Importable
    evaluator_tasks: list[MonitorTask]


EvaluatorSection = Constructor | NativeEvaluator


class ValidationSection(LoaderSection):
    """The section ``validation``."""

    validator: EvaluatorSection


class TestingSection(LoaderSection):
    """The section ``testing``."""

    tester: EvaluatorSection
    calibrate: Literal["temperature"] | None
    outlier_score: Literal["mahalanobis", "energy"] | None
    outlier_share: float


class BaselineSection(TypedDict):
    """The section ``baseline``."""

    methods: list[Literal["constant", "myrheim_meyer", "linear", "boosting", "two_order"]]
    features: list[str]
    max_graphs: int


class PredictSection(TypedDict):
    """The section ``predict``."""

    files: list[str]
    embeddings: bool
    format: Literal["csv", "parquet"]


class EvaluationSetSection(TypedDict):
    """A set of ``evaluate.sets``."""

    file: str | None
    generate: SetGenerateSection | None


class EvaluateSection(TypedDict):
    """The section ``evaluate``."""

    sets: dict[str, EvaluationSetSection]


class ReportSection(TypedDict):
    """The section ``report``."""

    explain: bool
    ablations: list[Literal["no_edges", "no_node_features", "no_graph_features", "reversed_edges"]]
    sensitivity: list[str]


class StoppingTaskSection(TypedDict):
    """A value that early stopping watches."""

    metric: str
    delta: float
    grace_period: int
    init_best_score: float | None
    mode: Literal["min", "max"]


@final
class NativeEarlyStopping(TypedDict):
    """Arguments of the early stopping of this package."""

    tasks: dict[str, StoppingTaskSection]
    mode: Literal["any", "all"]
    patience: int


EarlyStoppingSection = Constructor | NativeEarlyStopping


class ParallelSection(TypedDict):
    """The section ``parallel``."""

    world_size: int
    nodes: int
    backend: Literal["nccl", "gloo"] | None
    master_addr: str | None
    master_port: int | str | None
    find_unused_parameters: bool
    rank: int | None
    local_rank: int | None
    output_device: int | None


class TunedKey(TypedDict):
    """The values of a tuned key."""

    low: float | None
    high: float | None
    log: bool
    step: float | None
    choices: list[Any] | None
    also: list[str]
    along: dict[str, list[Any]]


class TuneSection(TypedDict):
    """The section ``tune``."""

    trials: int
    jobs: int
    sampler: Importable
    sampler_kwargs: dict[str, Any]
    seed: int
    metric: str | None
    mode: Literal["min", "max"] | None
    pruner: Importable
    pruner_kwargs: dict[str, Any]
    parameters: dict[str, TunedKey]


@final
class GNNModelSection(TypedDict):
    """Arguments of ``qgpipe.GNNModel``."""

    encoder_type: Importable
    encoder_args: list[Any]
    encoder_kwargs: dict[str, Any]
    pooling_layers: list[AnySpec] | None
    aggregate_pooling_type: Importable
    aggregate_pooling_args: list[Any]
    aggregate_pooling_kwargs: dict[str, Any]
    latent_model_type: Importable
    latent_model_args: list[Any]
    latent_model_kwargs: dict[str, Any]
    graph_features_net_type: Importable
    graph_features_net_args: list[Any]
    graph_features_net_kwargs: dict[str, Any]
    aggregate_graph_features_type: Importable
    aggregate_graph_features_args: list[Any]
    aggregate_graph_features_kwargs: dict[str, Any]
    downstream_tasks: list[AnySpec]
    active_tasks: dict[str, Any] | list[Any] | None


ModelSection = Constructor | GNNModelSection


class Config(TypedDict):
    """A resolved configuration."""

    name: str
    log_level: str | int
    python_path: list[str]
    generate: NotRequired[GenerateSection]
    data: DataSection
    model: ModelSection
    criterion: AnySpec
    apply_model: Importable
    training: TrainingSection
    validation: NotRequired[ValidationSection]
    testing: TestingSection
    evaluate: NotRequired[EvaluateSection]
    ensemble: int | None
    baseline: BaselineSection | bool
    report: ReportSection
    predict: NotRequired[PredictSection]
    early_stopping: NotRequired[EarlyStoppingSection]
    parallel: NotRequired[ParallelSection]
    tune: NotRequired[TuneSection]
