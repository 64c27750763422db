"""The names that an untrusted file may import: parts of models that are known to be harmless.

A model file, an exported model and the configuration in the folder of a run name types and
functions, which are imported and called with the given arguments. For the user's own configuration
this is intended, but a file from someone else could name ``os.system`` instead of
``torch.nn.ReLU``. So only the names below are imported from such a file. They take numbers, texts
from a fixed choice, tensors and other parts of this list; none evaluates text, imports modules, or
opens files or connections. ``torch_geometric.nn.Sequential`` is left out because it evaluates the
annotations in its signature, ``torch_geometric.nn.GPSE`` and others because they fetch files.
"""

import functools
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from qgpipe.config.objects import checked_imports, dotted_name, imports_are_checked, is_tagged
from qgpipe.errors import DataError

logger = logging.getLogger(__name__)

_TORCH = """
    float16 bfloat16 float32 float64 half float double int8 int16 int32 int64 uint8 bool
    cat concat concatenate stack sum mean prod amax amin max min add sub mul div square sqrt abs exp
    log relu sigmoid tanh softmax log_softmax flatten squeeze unsqueeze
"""
_TORCH_NN = """
    Identity Linear LazyLinear Bilinear Sequential Embedding Flatten Unflatten
    Dropout Dropout1d AlphaDropout FeatureAlphaDropout
    ReLU ReLU6 LeakyReLU PReLU RReLU ELU CELU SELU GELU GLU SiLU Mish Sigmoid LogSigmoid Hardsigmoid
    Hardswish Hardshrink Hardtanh Softplus Softshrink Softsign Softmax Softmin LogSoftmax Tanh
    Tanhshrink Threshold BatchNorm1d LazyBatchNorm1d InstanceNorm1d LayerNorm GroupNorm RMSNorm
    SyncBatchNorm Conv1d ConvTranspose1d AvgPool1d MaxPool1d LPPool1d AdaptiveAvgPool1d
    AdaptiveMaxPool1d RNN GRU LSTM RNNCell GRUCell LSTMCell MultiheadAttention CosineSimilarity
    PairwiseDistance Transformer TransformerEncoder TransformerEncoderLayer TransformerDecoder
    TransformerDecoderLayer
"""
_TORCH_NN_FUNCTIONAL = """
    relu relu6 leaky_relu elu celu selu gelu glu silu mish sigmoid logsigmoid hardsigmoid hardswish
    hardtanh softplus softsign softmax log_softmax softmin tanh tanhshrink dropout alpha_dropout
    normalize layer_norm group_norm rms_norm
"""
_PYG_CONV = """
    SimpleConv GCNConv ChebConv SAGEConv GraphConv GatedGraphConv ResGatedGraphConv GATConv
    GATv2Conv TransformerConv AGNNConv TAGConv GINConv GINEConv ARMAConv SGConv SSGConv APPNP MFConv
    RGCNConv FastRGCNConv RGATConv SignedConv DNAConv GMMConv NNConv CGConv EdgeConv FeaStConv
    HypergraphConv LEConv PNAConv ClusterGCNConv GENConv GCN2Conv PANConv FiLMConv SuperGATConv
    FAConv EGConv PDNConv GeneralConv LGConv GPSConv AntiSymmetricConv DirGNNConv MixHopConv
"""
_PYG_POOL = """
    global_add_pool global_mean_pool global_max_pool TopKPooling SAGPooling EdgePooling ASAPooling
    PANPooling MemPooling
"""
_PYG_NORM = """
    BatchNorm InstanceNorm LayerNorm GraphNorm GraphSizeNorm PairNorm MeanSubtractionNorm
    MessageNorm DiffGroupNorm
"""
_PYG_AGGR = """
    MultiAggregation SumAggregation MeanAggregation MaxAggregation MinAggregation MulAggregation
    VarAggregation StdAggregation SoftmaxAggregation PowerMeanAggregation MedianAggregation
    QuantileAggregation LSTMAggregation GRUAggregation Set2Set DegreeScalerAggregation
    SortAggregation GraphMultisetTransformer AttentionalAggregation EquilibriumAggregation
    MLPAggregation DeepSetsAggregation SetTransformerAggregation LCMAggregation
    VariancePreservingAggregation
"""
_PYG_MODELS = """
    MLP GCN GraphSAGE GIN GAT PNA EdgeCNN JumpingKnowledge DeepGCNLayer GraphUNet AttentiveFP PMLP
"""
_PYG_NN = "Linear Reshape PositionalEncoding TemporalEncoding"
_PYG_TRANSFORMS = """
    Constant NormalizeFeatures OneHotDegree TargetIndegree LocalDegreeProfile ToUndirected
    AddSelfLoops AddRemainingSelfLoops RemoveSelfLoops RemoveDuplicatedEdges TwoHop VirtualNode
    AddLaplacianEigenvectorPE AddRandomWalkPE
"""
_QGPIPE_LAYERS = "GNNBlock Sequential LinearSequential SkipConnection GPSTransformer"

# The modules (regular expressions, matched as a whole) in which the names of a row may be.
_ROWS = (
    (r"torch", _TORCH),
    (r"torch\.nn(\.modules\.\w+)?", _TORCH_NN),
    (r"torch\.nn\.functional", _TORCH_NN_FUNCTIONAL),
    (r"torch_geometric\.nn(\.conv(\.\w+)?)?", _PYG_CONV),
    (r"torch_geometric\.nn(\.pool(\.\w+)?)?", _PYG_POOL),
    (r"torch_geometric\.nn(\.norm(\.\w+)?)?", _PYG_NORM),
    (r"torch_geometric\.nn(\.aggr(\.\w+)?)?", _PYG_AGGR),
    (r"torch_geometric\.nn(\.models(\.\w+)?)?", _PYG_MODELS),
    (r"torch_geometric\.nn(\.dense\.linear)?", _PYG_NN),
    (r"torch_geometric\.transforms", _PYG_TRANSFORMS),
    (r"qgpipe(\.models(\.layers)?(\.\w+)?)?", f"GNNModel {_QGPIPE_LAYERS}"),
    (r"qgpipe\.compat\.quantumgrav(\.gnn_model)?", "GNNModel"),
    (r"qgpipe\.compat\.quantumgrav\.models(\.\w+)?", _QGPIPE_LAYERS),
    (r"qgpipe(\.data\.reader(s\.reader)?)?", "CausalSetReader"),
)
_KNOWN = [(re.compile(owner), frozenset(names.split())) for owner, names in _ROWS]

# Keys of a configuration whose value is a name, or a spec that begins with a name.
_POSITIONS = {
    "reader", "pre_filter", "pre_transform", "transform", "apply_model", "float_type", "int_type",
}  # fmt: skip
_FILES = {"files", "output", "path", "python_path"}
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+\Z")
_SHOWN = 5


class UntrustedName(DataError):
    """An untrusted file names an object that is not known to be harmless."""


def is_known(name: str) -> bool:
    """Whether ``name``, dotted and with or without its tag, is in the list of this module."""
    owner, _, last = dotted_name(name).rpartition(".")
    return any(pattern.fullmatch(owner) and last in names for pattern, names in _KNOWN)


def unknown_names(value: Any) -> list[str]:
    """The names in a part of a configuration that are not in the list, each once, in order.

    These are tagged strings, plain strings where a type or function is expected, and all other
    strings that look like a dotted name.
    """
    return [name for name in dict.fromkeys(_names(value, named=False)) if not is_known(name)]


@contextmanager
def imports_for(
    file: str, section: Any, *, trust: bool = False, made_here: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """A block in which names in ``section``, read from ``file``, can be imported.

    Names that are not in the list of this module are imported with ``trust``, after a warning that
    lists them, or if ``made_here()``, which is called for the first of them. Otherwise the block
    raises ``UntrustedName`` before the import. Within another such block, the outer one decides.
    """
    if imports_are_checked():
        yield
        return
    unknown = unknown_names(section)
    if trust and unknown:
        logger.warning("%s imports %s", file, ", ".join(unknown))
    was_made_here = functools.cache(made_here)

    def check(name: str) -> None:
        if is_known(name):
            return
        if trust and name not in unknown:
            logger.warning("%s imports %s", file, name)
        elif not trust and not was_made_here():
            raise untrusted(file, list(dict.fromkeys([*unknown, name])))

    with checked_imports(check):
        yield


def untrusted(file: str, names: list[str]) -> UntrustedName:
    """The error for ``names`` in ``file``."""
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return UntrustedName(
        f"{file} was not made here, and would import {shown}",
        remedy="if you trust where it comes from, give --trust, or trust=True in Python",
    )


def _names(value: Any, named: bool) -> Iterator[str]:
    """Names in ``value``; ``named``: whether a name or a spec is expected there."""
    if isinstance(value, str):
        if named or is_tagged(value) or _DOTTED.match(value):
            yield dotted_name(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _FILES:
                yield from _names(inner, key in _POSITIONS or str(key).endswith("type"))
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _names(inner, named and i == 0)
