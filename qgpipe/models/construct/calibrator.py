"""Temperature and outlier score, as parts of the model that they were fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from qgpipe.errors import ConfigError

NAME = "calibrator"  # of the submodule, and so of its buffers in a model file
_MAHALANOBIS = ("outlier_means", "outlier_whitening")


class Calibrator(nn.Module):
    """Divides logits by a temperature T, and says how unlike the training set a graph is.

    Once attached to a model, the outputs z of each of its T tasks become z / ``temperature``;
    it is 1 for values. The score of a graph is (``mahalanobis``) its least squared distance

        d² = min_c |W (e - μ_c)|²

    from the means μ_c of the embeddings e of a class, ``outlier_means`` [C, F], where WᵀW is the
    inverse of their covariance within classes, ``outlier_whitening`` W [F, F] (Lee, Lee, Lee, Shin,
    arXiv:1807.03888); or (``energy``) -log Σ_c exp(z_c / T) of the first task (Liu, Wang, Owens,
    Li, arXiv:2010.03759). A graph whose score is above ``outlier_threshold`` [] is an outlier.
    """

    def __init__(self, buffers: Mapping[str, Tensor]):
        """``buffers``: by the names above, any of which but ``temperature`` may be missing."""
        super().__init__()
        for name, value in buffers.items():
            self.register_buffer(name, value)
        self.scores_outliers = "outlier_threshold" in buffers
        self.needs_embeddings = _MAHALANOBIS[0] in buffers

    def attach(self, model: nn.Module) -> None:
        """Make this a part of ``model``; its parameters and their names stay as they are."""
        if hasattr(model, NAME):
            raise ConfigError(
                f"the model has an attribute '{NAME}' of its own",
                key="testing.calibrate",
                remedy="rename it, or leave testing.calibrate and testing.outlier_score out",
            )
        model.add_module(NAME, self)
        if bool((self.get_buffer("temperature") != 1).any()):
            model.register_forward_hook(self._divide)

    @classmethod
    def of_weights(cls, weights: Mapping[str, Any]) -> Calibrator | None:
        """The one whose buffers are among the ``weights`` of a model; None if there is none."""
        start = f"{NAME}."
        found = {
            name.removeprefix(start): value.clone()
            for name, value in weights.items()
            if name.startswith(start) and isinstance(value, Tensor)
        }
        return cls(found) if "temperature" in found else None

    def outlier_score(self, logits: Tensor, embeddings: Tensor | None) -> Tensor:
        """The score of each graph, float64 [B].

        ``logits``: [B, C], of the first task as the model gives them; ``embeddings``: [B, F].
        """
        if not self.needs_embeddings:
            return -logits.double().logsumexp(dim=1)
        assert embeddings is not None
        means, whitening = (self.get_buffer(name).double() for name in _MAHALANOBIS)
        white = (embeddings.double().to(means.device) @ whitening.T)[:, None]
        return (white - (means @ whitening.T)[None]).square().sum(dim=2).amin(dim=1)

    def _divide(self, model: nn.Module, args: tuple[Any, ...], outputs: Any) -> Any:
        temperature = self.get_buffer("temperature")
        if isinstance(outputs, Tensor):
            return outputs / temperature[0].to(outputs.dtype)
        items = dict(outputs.items() if isinstance(outputs, Mapping) else enumerate(outputs))
        for place, (task, output) in enumerate(items.items()):
            number = task if isinstance(task, int) else place
            if isinstance(output, Tensor):
                items[task] = output / temperature[number].to(output.dtype)
        return items if isinstance(outputs, Mapping) else type(outputs)(items.values())


def calibrator_of(model: nn.Module) -> Calibrator | None:
    """The one that is attached to ``model``, if any."""
    found = getattr(model, NAME, None)
    return found if isinstance(found, Calibrator) else None


def with_calibrator(weights: Mapping[str, Any], calibrator: Calibrator) -> dict[str, Any]:
    """The ``weights`` of a model with those of ``calibrator``, as if it were attached to it."""
    own = {f"{NAME}.{name}": value for name, value in calibrator.state_dict().items()}
    return {**weights, **own}
