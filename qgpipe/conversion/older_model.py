"""The section ``model`` of QuantumGravPy's older formats in the present one.

There, parts are mappings or lists of them (``encoder``, ``classifier``, ``downstream_tasks``), and
types are short names.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qgpipe.config.key_path import Path
from qgpipe.config.objects import TAG, is_tagged
from qgpipe.config.schema import definition
from qgpipe.conversion.findings import Findings

GRAPH_LAYERS = {
    "gcn": "torch_geometric.nn.GCNConv",
    "gat": "torch_geometric.nn.GATConv",
    "sage": "torch_geometric.nn.SAGEConv",
    "gco": "torch_geometric.nn.GraphConv",
}
NORMALIZERS = {
    "identity": "torch.nn.Identity",
    "batch_norm": "torch.nn.BatchNorm1d",
    "layer_norm": "torch.nn.LayerNorm",
}
ACTIVATIONS = {
    "relu": "torch.nn.ReLU",
    "leaky_relu": "torch.nn.LeakyReLU",
    "sigmoid": "torch.nn.Sigmoid",
    "tanh": "torch.nn.Tanh",
    "identity": "torch.nn.Identity",
}
POOLINGS = {
    "mean": "torch_geometric.nn.global_mean_pool",
    "max": "torch_geometric.nn.global_max_pool",
    "sum": "torch_geometric.nn.global_add_pool",
}
JOINS = {"cat1": "torch.cat"}  # of features, by default
HEADS = {"LinearSequential": "qgpipe.models.LinearSequential"}
_BLOCK = f"{TAG}qgpipe.models.GNNBlock"
_LINEAR = f"{TAG}qgpipe.models.LinearSequential"
_SEQUENTIAL = f"{TAG}qgpipe.models.Sequential"
_BLOCK_NAMES = {
    "gnn_layer_type": ("gnn_layer_type", GRAPH_LAYERS),
    "normalizer": ("normalizer_type", NORMALIZERS),
    "activation": ("activation_type", ACTIVATIONS),
}


def convert_model(model: Mapping[str, Any], found: Findings) -> dict[str, Any]:
    """The present section for an older one; keys that are up to date stay as they are."""
    result: dict[str, Any] = {}
    for key, value in model.items():
        if key in _PARTS and value is not None:
            result |= _PARTS[key](value, ("model", key), found)
        elif key != "name":  # of the run, at the top level here
            result[key] = value
    if "classifier" in model:
        _share_trunk(result, found)
    return result


def _encoder(given: Any, path: Path, found: Findings) -> dict[str, Any]:
    """``encoder`` or ``gcn_net``: blocks one after the other, or a spec."""
    if isinstance(given, Mapping) and "type" in given:
        spec = _spec(given, path, {"GNNBlock": _BLOCK.removeprefix(TAG)}, found)
        return {f"encoder_{name}": value for name, value in spec.items()}
    if not isinstance(given, list) or not given:
        found.refuse(path, "neither a list of blocks nor {type, args, kwargs}")
        return {}
    layers = []
    for i, block in enumerate(given):
        kwargs = _block(block, (*path, i), ("model", "encoder_kwargs", "layers", i, 2), found)
        layers.append([_BLOCK, [], kwargs, "x, edge_index"])
    return {"encoder_type": _SEQUENTIAL, "encoder_kwargs": {"layers": layers}}


def _block(given: Any, path: Path, to: Path, found: Findings) -> dict[str, Any]:
    """The keyword arguments of a GNNBlock, which stand at ``to`` afterwards."""
    known = definition("gnn_block")["properties"]
    result: dict[str, Any] = {}
    for key, value in given.items() if isinstance(given, Mapping) else ():
        here = (*path, key)
        name, table = _BLOCK_NAMES.get(key, (key, None))
        if key in ("projection_args", "projection_kwargs"):
            result |= _projection(key, value, given, here, found)
        elif name not in known:
            found.refuse(here, "no key of a block")
        else:
            result[name] = named(value, table, here, found) if table else value
            found.moves[here] = (*to, name)
    if not isinstance(given, Mapping):
        found.refuse(path, "a block is a mapping, with in_dim and out_dim")
    return result


def _projection(
    key: str, value: Any, block: Mapping[str, Any], path: Path, found: Findings
) -> dict[str, Any]:
    """What the projection of the skip connection needs here, where its sizes are the block's."""
    sizes = [block.get("in_dim"), block.get("out_dim")]
    if value is None or sizes[0] == sizes[1]:
        return {}
    if key == "projection_args":
        if list(value) != sizes:
            found.refuse(path, f"the skip connection is from in_dim to out_dim, {sizes}")
        return {}
    if set(value) - {"bias"}:
        found.refuse(path, "a skip connection takes only a bias")
    if value.get("bias", True):
        found.note(path, "the bias of the skip connection begins at zero here")
        return {"skip_kwargs": {"bias_initializer": "zeros"}}
    return {}


def _classifier(given: Any, path: Path, found: Findings) -> dict[str, Any]:
    """Layers that all tasks share, and a linear layer for each."""
    return {"downstream_tasks": _heads(given, path, found)}


def _heads(given: Any, path: Path, found: Findings) -> list[Any]:
    outputs = given.get("output_dims") if isinstance(given, Mapping) else None
    if not isinstance(outputs, list) or not outputs:
        found.refuse((*path, "output_dims"), "a list with the outputs of each task is needed")
        return []
    options = given.get("output_kwargs") or [{}] * len(outputs)
    shared = {k: v for k, v in given.items() if k not in ("output_dims", "output_kwargs")}
    return [
        _linear_head({**shared, "output_dim": size, "output_kwargs": one}, path, found)
        for size, one in zip(outputs, _each(options, len(outputs)), strict=False)
    ]


def _share_trunk(model: dict[str, Any], found: Findings) -> None:
    """Put the hidden layers of several heads of a classifier into a latent model of pooling."""
    heads = model.get("downstream_tasks", [])
    if len(heads) < 2 or len(heads[0]["kwargs"]["dims"]) < 2:
        return
    pooling = model.get("pooling_layers")
    if not isinstance(pooling, list) or len(pooling) != 1 or "graph_features_net_type" in model:
        found.refuse(
            ("model", "classifier", "hidden_dims"),
            "several tasks share them, which is converted for one pooling without graph features",
        )
        return
    trunk = {key: values[:-1] for key, values in heads[0]["kwargs"].items()}
    layers = [[pooling[0], [], {}, "x, batch"], [_LINEAR, [], trunk, "x"]]
    model["downstream_tasks"] = [
        {"type": _LINEAR, "kwargs": {key: values[-1:] for key, values in head["kwargs"].items()}}
        for head in heads
    ]
    for key in ("pooling_layers", "aggregate_pooling_type"):
        model.pop(key, None)
    model["latent_model_type"] = _SEQUENTIAL
    model["latent_model_kwargs"] = {"layers": layers, "forward_signature": "x, batch"}


def _linear_head(given: Mapping[str, Any], path: Path, found: Findings) -> dict[str, Any]:
    """A LinearSequential for ``input_dim``, ``hidden_dims`` and ``output_dim``."""
    known = {
        "type", "input_dim", "output_dim", "hidden_dims", "activation", "backbone_kwargs",
        "layer_kwargs", "output_kwargs", "activation_kwargs", "active",
    }  # fmt: skip
    for key in set(given) - known:
        found.refuse((*path, key), "no key of linear layers")
    hidden = given.get("hidden_dims") or []
    sizes = [given.get("input_dim"), *(hidden if isinstance(hidden, list) else [hidden])]
    sizes.append(given.get("output_dim"))
    if not all(isinstance(size, int) for size in sizes):
        found.refuse(path, f"sizes {sizes} have to be integers, because each stands twice here")
        return {"type": _LINEAR, "kwargs": {"dims": [], "activations": []}}
    count = len(sizes) - 2
    activation = named(given.get("activation", "relu"), ACTIVATIONS, (*path, "activation"), found)
    options = list(given.get("layer_kwargs") or [])  # of all layers, in older graph features
    last = given.get("output_kwargs") or (options[-1] if options else {})
    linear = [*_each(given.get("backbone_kwargs") or options[:-1], count), last]
    active = [*_each(given.get("activation_kwargs"), count), {}]
    if len(linear) != count + 1 or len(active) != count + 1:
        found.refuse(path, f"keyword arguments are needed for {count} hidden layers, or one")
    kwargs = {
        "dims": [list(pair) for pair in itertools.pairwise(sizes)],
        "activations": [*[activation] * count, f"{TAG}torch.nn.Identity"],
    }
    kwargs |= {"linear_kwargs": linear} if any(linear) else {}
    kwargs |= {"activation_kwargs": active} if any(active) else {}
    return {"type": _LINEAR, "kwargs": kwargs}


def _each(options: Any, count: int) -> list[Any]:
    """Keyword arguments for ``count`` layers; one mapping is for all of them."""
    if not options:
        return [{}] * count
    options = [options] if isinstance(options, Mapping) else list(options)
    return options * count if len(options) == 1 else options


def _head(given: Any, path: Path, found: Findings) -> Any:
    """One of ``downstream_tasks``, in any of the older forms, or one that is up to date."""
    if isinstance(given, Mapping) and "input_dim" in given:
        return _linear_head(given, path, found)
    if isinstance(given, Mapping) and "dims" in given:
        kwargs = {k: given[k] for k in ("dims", "linear_kwargs", "activation_kwargs") if k in given}
        for key in set(given) - {*kwargs, "type", "activations", "backbone_kwargs", "active"}:
            found.refuse((*path, key), "no key of a head")
        if any(given.get("backbone_kwargs") or ()):
            found.note((*path, "backbone_kwargs"), "left out, since it had no effect there")
        where = (*path, "activations")
        names = [named(n, ACTIVATIONS, where, found) for n in given.get("activations", ())]
        kind = named(given.get("type", "LinearSequential"), HEADS, (*path, "type"), found)
        return {"type": kind, "kwargs": {**kwargs, "activations": names}}
    return _spec(given, path, HEADS, found)


def _tasks(given: Any, path: Path, found: Findings) -> dict[str, Any]:
    if not isinstance(given, list):
        found.refuse(path, "a list of heads is needed")
        return {}
    switched = {
        i: bool(head["active"])
        for i, head in enumerate(given)
        if isinstance(head, Mapping) and not head.get("active", True)
    }
    heads = [_head(head, (*path, i), found) for i, head in enumerate(given)]
    return {"downstream_tasks": heads, **({"active_tasks": switched} if switched else {})}


def _poolings(given: Any, path: Path, found: Findings) -> dict[str, Any]:
    """``pooling_layer``, one name, or ``pooling_layers``."""
    layers = given if isinstance(given, list) else [given]
    return {"pooling_layers": [_spec(layer, path, POOLINGS, found) for layer in layers]}


def _join(prefix: str) -> Callable[[Any, Path, Findings], dict[str, Any]]:
    def convert(given: Any, path: Path, found: Findings) -> dict[str, Any]:
        spec = _spec(given, path, JOINS, found)
        spec = spec if isinstance(spec, Mapping) else {"type": spec}
        return {f"{prefix}_{key}": value for key, value in spec.items()}

    return convert


def _graph_features(given: Any, path: Path, found: Findings) -> dict[str, Any]:
    head = _head(given, path, found)
    if not isinstance(head, Mapping):
        found.refuse(path, "neither linear layers nor {type, args, kwargs}")
        return {}
    return {f"graph_features_net_{key}": value for key, value in head.items()}


def _spec(given: Any, path: Path, table: Mapping[str, str], found: Findings) -> Any:
    """A spec with the dotted name of its type; empty arguments are left out."""
    if isinstance(given, Mapping) and "type" in given:
        spec = {key: value for key, value in given.items() if value or key == "type"}
        return spec | {"type": named(given["type"], table, (*path, "type"), found)}
    if isinstance(given, Sequence) and not isinstance(given, str) and given:
        return [named(given[0], table, path, found), *given[1:]]
    return named(given, table, path, found)


def named(value: Any, table: Mapping[str, str], path: Path, found: Findings) -> Any:
    """The tagged name for a short one of ``table``, or for each that a sweep gives."""
    if isinstance(value, Mapping) and len(value) == 1:
        tag, given = next(iter(value.items()))
        if isinstance(given, Mapping) and isinstance(given.get("values"), list):
            names = [named(one, table, path, found) for one in given["values"]]
            return {tag: {**given, "values": names}}
        return value
    if is_tagged(value) or (isinstance(value, str) and "." in value):
        return value
    if value in table:
        return f"{TAG}{table[value]}"
    found.refuse(path, f"'{value}' is none of {', '.join(table)}", "give !pyobject and its name")
    return value


_PARTS: dict[str, Callable[[Any, Path, Findings], dict[str, Any]]] = {
    "encoder": _encoder,
    "gcn_net": _encoder,
    "classifier": _classifier,
    "downstream_tasks": _tasks,
    "pooling_layer": _poolings,
    "pooling_layers": _poolings,
    "aggregate_pooling": _join("aggregate_pooling"),
    "graph_features_net": _graph_features,
    "aggregate_graph_features": _join("aggregate_graph_features"),
}
