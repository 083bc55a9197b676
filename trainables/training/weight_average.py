"""The exponential moving average of the weights of a model in training.

An average over the last steps is often better than the weights of the last step (B. Polyak, A. Juditsky, Acceleration
of Stochastic Approximation by Averaging, SIAM J. Control Optim. 30, 1992; as in timm's ModelEmaV3 without its warm-up).
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from trainables.hyperparameters import ABOVE_0_BELOW_1, Config, read_optional_float
from trainables.trainable import HEAD, TransferModel

HYPERPARAMETERS = {
    "ema": "decay of a moving average of the weights: each step makes it `ema` of itself and 1 - `ema` of the new "
    "weights, and it is validated and kept instead of the weights; above 0 and below 1; default none, no average",
}
RANGES = {"ema": "0 < float < 1"}


def build(config: Config, model: TransferModel) -> WeightAverage | None:
    """Return the average of what trains in `model`, with the decay `ema` of `config`. None if `config` has none.

    Call it after freezing. Raises ValueError if `ema` is not above 0 and below 1.
    """
    decay = read_optional_float(config, "ema", ABOVE_0_BELOW_1)
    return None if decay is None else WeightAverage(model, decay)


class WeightAverage:
    """The moving average of the weights and running statistics of what trains in a model.

    It begins with the values that the model has when this is built.
    """

    def __init__(self, trained: TransferModel, decay: float) -> None:
        """`decay` is the share of the average that stays in each update."""
        self.decay = decay
        self._trained = trained
        self.model = deepcopy(trained, {id(part): part for part in _parts(trained).values()})
        """The model with the averaged weights. It shares the frozen stages with the model that trains."""
        self.follow_freezing()

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the current weights. Call it after each step of the optimizer."""
        torch._foreach_lerp_(self._averages, self._weights, 1 - self.decay)
        for average, value in self._counts:
            average.copy_(value)

    def follow_freezing(self) -> None:
        """Average what trains now, and share what is frozen. Call it after each change of what is frozen.

        The average of a stage that was frozen before begins with its current weights.
        """
        own = _parts(self.model)
        for name, part in _parts(self._trained).items():
            if name in self._trained.frozen:
                self._set_part(name, part)
            elif own[name] is part:
                self._set_part(name, deepcopy(part))
        self.model.freeze(self._trained.frozen, weights=self._trained.frozen_weights)
        self._pair_up()

    @torch.no_grad()
    def adopt(self) -> None:
        """Replace the weights of the model that trains by their average."""
        for average, value in [*zip(self._averages, self._weights, strict=True), *self._counts]:
            value.copy_(average)

    def in_model(self, other: TransferModel) -> TransferModel:
        """Return a copy of a model with the stages of the trained model, which has the averaged stages instead.

        Its head is that of `other`, and is shared with it.
        """
        averaged = {id(stage): self.model.stages[name] for name, stage in self._trained.stages.items()}
        return deepcopy(other, {**averaged, id(other.head): other.head})

    def _set_part(self, name: str, part: nn.Module) -> None:
        if name == HEAD:
            self.model.head = part
        else:
            self.model.stages[name] = part

    def _pair_up(self) -> None:
        """Find the tensors of the average, and those of the trained model that they follow."""
        self._averages: list[Tensor] = []
        self._weights: list[Tensor] = []
        self._counts: list[tuple[Tensor, Tensor]] = []
        """Tensors of whole numbers, such as a count of batches, which cannot be averaged, and are copied."""
        for name, part in _parts(self._trained).items():
            if name in self._trained.frozen:
                continue
            averages = _tensors(_parts(self.model)[name])
            for key, value in _tensors(part).items():
                if f"stages.{name}.{key}" in self._trained.frozen_weights:
                    continue
                if value.is_floating_point():
                    self._averages.append(averages[key])
                    self._weights.append(value)
                else:
                    self._counts.append((averages[key], value))


def _parts(model: TransferModel) -> dict[str, nn.Module]:
    return {**dict(model.stages.items()), HEAD: model.head}


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers that belong to the state of a module.

    Those of its `state_dict` would be other tensors, which do not follow when the memory of a parameter is replaced.
    """
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensors[name] for name in module.state_dict() if name in tensors}
