"""What trains (ground floor of training): the Trainable that hpo drives, and the TransferModel inside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from trainables.splits import Part


class Trainable(Protocol):
    """One model in training. `regimes` build it, `hpo/worker.py` steps it and keeps its state."""

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


class TransferModel(nn.Module):
    """An image classifier as named stages in order, and a head that gives one logit a class.

    Images (n, channels, height, width) go through each stage, then the head: (n, n_classes).
    """

    def __init__(self, stages: Mapping[str, nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleDict(dict(stages))
        self.head = head
        self._frozen: frozenset[str] = frozenset()

    def forward(self, images: Tensor) -> Tensor:
        features = images
        for stage in self.stages.values():
            features = stage(features)
        logits: Tensor = self.head(features)
        return logits

    @property
    def frozen(self) -> frozenset[str]:
        """The names of the stages that do not train."""
        return self._frozen

    def freeze(self, names: Iterable[str]) -> None:
        """Freeze exactly the named stages: all others, and the head, train. A ValueError names an unknown one.

        A frozen stage has no gradients and stays in evaluation mode, so neither its weights nor its
        running statistics move, and it drops nothing out. Build the optimizer after freezing.
        """
        frozen = frozenset(names)
        if unknown := sorted(frozen - set(self.stages)):
            raise ValueError(f"unknown stage {unknown[0]!r} (allowed: {', '.join(self.stages)})")
        self._frozen = frozen
        for name, stage in self.stages.items():
            stage.requires_grad_(name not in frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> TransferModel:
        """Set training or evaluation mode; frozen stages stay in evaluation mode."""
        super().train(mode)
        for name in self._frozen:
            self.stages[name].eval()
        return self

    def trained_state(self) -> dict[str, Tensor]:
        """The weights and running statistics of the head and of each stage that is not frozen, live."""
        prefixes = tuple(f"stages.{name}." for name in self._frozen)
        return {key: value for key, value in self.state_dict().items() if not key.startswith(prefixes)}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Take in a `trained_state`; a ValueError where it is that of another model or freezing."""
        own = self.trained_state()
        if differing := sorted(own.keys() ^ state.keys()):
            raise ValueError(f"the state does not belong to this model: only one of them has {differing[0]!r}")
        self.load_state_dict(dict(state), strict=False)
