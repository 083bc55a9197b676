"""What trains: the Trainable that hpo drives, and the TransferModel inside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from trainables.errors import SetupError

if TYPE_CHECKING:
    from trainables.data.dataset import Part


class Trainable(Protocol):
    """One model in training. `regimes` build it; a search steps it and keeps its state."""

    def step(self) -> Mapping[str, float]:
        """Train one epoch, then validate once.

        The raw values of the epoch: val_loss, val_accuracy, train_loss and train_accuracy at least;
        losses are means over samples in nats, accuracies lie in 0..1. A training that diverged
        gives NaN or inf and no error.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Enough to go on exactly: weights that train, optimizer, schedule, random state, epoch.

        Only tensors and plain Python values, so that `torch.load(weights_only=True)` reads it. The
        tensors may be the live ones: save or copy them before the next step.
        """
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of a trainable that was built alike; `state` itself stays as it is."""
        ...

    def evaluate(self, part: Part) -> Mapping[str, float]:
        """The loss and accuracy on any part, in evaluation mode; the state stays as it is."""
        ...


HEAD = "head"
"""The name of the head, beside those of the stages."""


class TransferModel(nn.Module):
    """An image classifier as named stages in order, and a head that gives one logit a class.

    Images (n, channels, height, width), uint8 of 0..255 or float of 0..1, are normalised and go
    through each stage, then the head: (n, n_classes).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, stages: Mapping[str, nn.Module], head: nn.Module, *, classifier: Iterable[str] = ()) -> None:
        """`classifier` names the stages at the end that are no feature extractor: fully connected layers."""
        super().__init__()
        if HEAD in stages:
            raise ValueError(f"no stage may have the name {HEAD!r}")
        self.stages = nn.ModuleDict(dict(stages))
        self.head = head
        self.classifier = tuple(classifier)
        if list(stages)[len(stages) - len(self.classifier) :] != list(self.classifier):
            raise ValueError(f"the classifier must be the last of the stages, but is {', '.join(self.classifier)}")
        self._frozen: frozenset[str] = frozenset()
        self._pretrained: frozenset[str] = frozenset()
        # Not in the state: they follow from the data set or the model, never from training.
        self.register_buffer("mean", torch.zeros(1, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.ones(1, 1, 1, 1), persistent=False)

    def normalize(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """From now on subtract `mean` from an image of 0..1 and divide it by `std`; one value each a channel.

        A channel that never varies, of deviation 0, is not divided.
        """
        self.mean = torch.tensor(list(mean), device=self.mean.device).reshape(1, -1, 1, 1)
        self.std = torch.tensor([each or 1.0 for each in std], device=self.std.device).reshape(1, -1, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """What the head sees of images."""
        return self.run_stages(self.preprocess(images), 0, len(self.stages))

    def preprocess(self, images: Tensor) -> Tensor:
        """What the first stage sees of images: float32, normalised, the channels of a pixel together in memory."""
        if images.dtype == torch.uint8:
            images = images.float().div_(255)
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def run_stages(self, features: Tensor, first: int, last: int) -> Tensor:
        """Features that enter stage number `first`, as they leave the stage before number `last`."""
        for stage in list(self.stages.values())[first:last]:
            features = stage(features)
        return features

    @property
    def frozen(self) -> frozenset[str]:
        """The names of the stages (and `head`) that do not train."""
        return self._frozen

    @property
    def n_frozen_first(self) -> int:
        """How many of the first stages are frozen, up to the first that trains."""
        names = list(self.stages)
        return next((i for i, name in enumerate(names) if name not in self._frozen), len(names))

    @property
    def pretrained(self) -> frozenset[str]:
        """The names of the stages whose weights are alike in every trial: of a file, and never trained since."""
        return self._pretrained

    def mark_pretrained(self) -> None:
        """Say that the weights of all stages, as they are now, are those of a file."""
        self._pretrained = frozenset(self.stages)

    def freeze(self, names: Iterable[str]) -> None:
        """Freeze exactly the named stages (`head` is one of the names): all others train.

        A ValueError names an unknown one; a SetupError says that nothing is left to train. A frozen stage has no
        gradients and stays in evaluation mode, so neither its weights nor its running statistics
        move, and it drops nothing out. Build the optimizer after freezing.
        """
        frozen = frozenset(names)
        parts = self._parts()
        if unknown := sorted(frozen - set(parts)):
            raise ValueError(f"unknown stage {unknown[0]!r} (allowed: {', '.join(parts)})")
        if not any(list(part.parameters()) for name, part in parts.items() if name not in frozen):
            named = ", ".join(name for name in parts if name in frozen)
            raise SetupError(f"nothing is left to train: {named} would be frozen, and the rest has no weights")
        self._frozen = frozen
        self._pretrained &= frozen
        for name, part in parts.items():
            part.requires_grad_(name not in frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> TransferModel:
        """Set training or evaluation mode; frozen stages stay in evaluation mode."""
        self.training = self.stages.training = mode
        for name, part in self._parts().items():
            # To go through all modules of a large frozen network may take longer than an epoch of its head.
            if name not in self._frozen or part.training:
                part.train(mode and name not in self._frozen)
        return self

    def state_of(self, names: Iterable[str]) -> dict[str, Tensor]:
        """The weights and running statistics of the named stages (and `head`), live."""
        state: dict[str, Tensor] = {}
        named = frozenset(names)
        for name, part in self._parts().items():
            if name in named:  # others are not asked, which takes long where a large network is frozen
                part.state_dict(destination=state, prefix=f"{HEAD}." if name == HEAD else f"stages.{name}.")
        return state

    def trained_state(self) -> dict[str, Tensor]:
        """The weights and running statistics of all that is not frozen, live."""
        return self.state_of(name for name in self._parts() if name not in self._frozen)

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Take in a `trained_state`; a ValueError where it is that of another model or freezing."""
        own = self.trained_state()
        if differing := sorted(own.keys() ^ state.keys()):
            raise ValueError(f"the state does not belong to this model: only one of them has {differing[0]!r}")
        self.load_state_dict(dict(state), strict=False)

    def _parts(self) -> dict[str, nn.Module]:
        return {**dict(self.stages.items()), HEAD: self.head}
