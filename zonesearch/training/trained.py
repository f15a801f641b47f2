"""A trained network for use: from raw examples to labels or values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from zonesearch.errors import ObjectiveError
from zonesearch.training.data.preprocessing import Preprocessing
from zonesearch.training.ensembles import Ensemble
from zonesearch.training.epoch import evaluate
from zonesearch.training.metrics import measure_of
from zonesearch.training.numerics import arithmetic, dtype_of
from zonesearch.training.raw_inputs import Source, prepared
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import NetworkSettings
from zonesearch.training.step import scores_of

__all__ = ["Normalised", "TrainedNetwork", "taken_home", "together"]

_BATCH = 4096  # the batch size of evaluation, so that the same examples give the same scores


class Normalised(nn.Module):
    """A network preceded by the normalisation that it was trained with; for a regression, with outputs in the units of
    the target.

    Args:
        network: gives scores of classes, (n, n_classes), or standardised values, (n,) or (n, 1).
        preprocessing: of its inputs.
        precision: of its numbers.

    Its inputs have shape (n, *shape) with pixels in 0..1; its outputs are class scores, or values, (n,).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, precision: str) -> None:
        super().__init__()
        self.network = network
        self._numbers = preprocessing.kind == "numbers"
        self._classes = bool(preprocessing.classes)
        self._dtype = dtype_of(precision)
        self._scale = preprocessing.scale
        along = (1, -1, *(1,) * (len(preprocessing.shape) - 1))
        for name in ("mean", "deviation"):
            values = torch.tensor(getattr(preprocessing, name), dtype=torch.float32)
            self.register_buffer(name, values.reshape(along) if len(values) else values)
        self.eval()

    def forward(self, *inputs: Tensor) -> Tensor:
        """Class scores, or values; several inputs are passed on unchanged."""
        if self._numbers:
            x = inputs[0]
            if len(self.mean):
                x = (x - self.mean) / self.deviation
            inputs = (x.to(self._dtype),)
        outputs: Tensor = self.network(*inputs)
        if self._classes:
            return outputs
        return outputs.flatten() * self._scale[1] + self._scale[0]


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network with everything needed to use it.

    Args:
        module: the network with its normalisation, a ``torch.nn.Module`` in eval mode; for several seeds, the ensemble.
        preprocessing: of examples; ``.classes`` holds the labels in the order of the scores.
        setting: the params that it was trained with, by name.
        verdict: the search's verdict, as plain data; None if there was none yet.
        about: further facts: study, seeds, epochs, validation and test values, versions.
        source: the form of new examples.
        precision: of products.
        settings: of each network.
    """

    module: Normalised
    preprocessing: Preprocessing
    setting: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    source: Source = Source()
    precision: str = "float32"
    settings: NetworkSettings = NetworkSettings()

    @property
    def classes(self) -> tuple[Any, ...]:
        """The labels, in the order of the columns of :meth:`predict_proba`; empty for a regression."""
        return self.preprocessing.classes

    @property
    def members(self) -> tuple[nn.Module, ...]:
        """The networks, one per seed, without normalisation."""
        network = self.module.network
        several = len(self.about.get("seeds", ())) > 1 and isinstance(network, Ensemble)
        return tuple(network.members) if several else (network,)  # type: ignore[arg-type]

    def predict(self, inputs: Any) -> npt.NDArray[Any]:
        """The label of each example; for a regression, the value in the units of the target.

        Args:
            inputs: raw examples: numbers of shape (n, *shape) as in the data source, or a pandas frame with the same
                columns. Images may be files (a list of paths), PIL images, bytes or values in 0..1, with channels first
                or last.

        Returns:
            An array of shape (n,).

        Raises:
            ObjectiveError: the inputs do not match the network's training data.
        """
        outputs = self._outputs(inputs)
        if not self.classes:
            return outputs.double().numpy() if outputs.dtype == torch.float64 else outputs.numpy()
        labels: npt.NDArray[Any] = _labels(self.classes)[outputs.argmax(1).numpy()]
        return labels

    def predict_proba(self, inputs: Any) -> npt.NDArray[np.floating[Any]]:
        """The probability of each class, of shape (n, n_classes); for several seeds, their mean.

        Raises:
            ObjectiveError: it is a regression, or as :meth:`predict`.
        """
        if not self.classes:
            raise ObjectiveError("a regression has no probabilities: predict gives its values")
        return torch.softmax(self._outputs(inputs), 1).numpy()

    def prepare(self, inputs: Any) -> Tensor:
        """Raw examples as :attr:`module` takes them.

        Raises:
            ObjectiveError: as :meth:`predict`.
        """
        return torch.from_numpy(prepared(inputs, self.source, self.preprocessing))

    def _outputs(self, inputs: Any) -> Tensor:
        """Outputs of the module, on the CPU."""
        x = self.prepare(inputs)
        place = next((tensor.device for tensor in self.module.parameters()), torch.device("cpu"))
        was_training = self.module.training
        self.module.eval()
        with arithmetic(self.precision, place):
            parts = [scores_of(self.module, part.to(place), self.precision).cpu() for part in torch.split(x, _BATCH)]
        self.module.train(was_training)
        if not parts:
            raise ObjectiveError("there are no examples to predict")
        return torch.cat(parts)


def taken_home(
    networks: Sequence[nn.Module],
    recipe: Recipe,
    params: Mapping[str, Any],
    verdict: Mapping[str, Any] | None,
    about: Mapping[str, Any],
) -> TrainedNetwork:
    """Networks that ``recipe`` trained with ``params``, one per seed, with everything needed to use them."""
    settings, _ = recipe.computed(params)
    data = recipe.split().seen_by(settings.network.is_factory)
    preprocessing, precision = data.preprocessing, settings.training.precision
    network = together(networks, bool(preprocessing.classes))
    if len(networks) > 1:
        measure = measure_of(settings, data.scale, data.train[1], data.n_classes)
        with arithmetic(precision, data.train[0].device):
            together_on_test = evaluate(network, *data.test, measure, precision)[1]
        about = {**about, "together_on_test": together_on_test}
    network.cpu().eval()
    return TrainedNetwork(
        module=Normalised(network, preprocessing, precision),
        preprocessing=preprocessing,
        setting=dict(params),
        verdict=verdict,
        about=about,
        source=Source.of(settings.data),
        precision=precision,
        settings=settings.network,
    )


def together(networks: Sequence[nn.Module], classes: bool) -> nn.Module:
    """One network, or the ensemble of several."""
    return networks[0] if len(networks) == 1 else Ensemble(networks, classes)


def _labels(classes: Sequence[Any]) -> npt.NDArray[Any]:
    """The labels as an array; labels of mixed types stay as they are."""
    if len({type(label) for label in classes}) == 1 and isinstance(classes[0], str | bool | int | float):
        return np.array(classes)
    found = np.empty(len(classes), dtype=object)
    found[:] = list(classes)
    return found
