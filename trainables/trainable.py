"""The Trainable, which a search trains epoch by epoch, and the TransferModel, the network inside it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from trainables.errors import SetupError

if TYPE_CHECKING:
    from trainables.data.dataset import Part


class Trainable(Protocol):
    """One model in training.

    The `build` function of a regime returns it. A search calls `step` once for each epoch, and saves `state_dict` so
    that a trial can be paused and resumed.

    One attribute is optional: `validation_logits` are the logits of the last step's validation, (n_images, n_classes),
    on any device, in the order of the validation part. A search keeps those of each trial's best epoch. It is None
    before the first step, and from the beginning of a step until its validation, so that the memory is free again. With
    folds, each trainable offers those of its own fold. `validation_results` (`SampleResults`) may offer the loss and
    the predicted class of each image, which are computed from the logits otherwise. A method `release_logits`, which
    frees their memory, is optional too: a search calls it after each epoch.
    """

    def step(self) -> Mapping[str, float]:
        """Train one epoch, validate once, and return the metrics of the epoch.

        The metrics are not smoothed. They include at least `val_loss`, `val_accuracy`, `train_loss` and
        `train_accuracy`. A loss is the mean over samples, in nats. An accuracy lies in 0..1. If the training has
        diverged, the values are NaN or inf; no error is raised.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to resume the training exactly where it is.

        This is the trained weights, and the states of the optimizer, the schedule, the random generators and the epoch
        counter. Frozen weights are left out. The state holds only tensors and plain Python values, so that
        `torch.load(weights_only=True)` can read it. The tensors may share memory with the training: save or copy them
        before the next step.
        """
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a state that a trainable of the same configuration returned. `state` is not modified."""
        ...

    def evaluate(self, part: Part) -> Mapping[str, float]:
        """Return `loss`, `accuracy` and any other metrics on `part`, in evaluation mode.

        The state of the training does not change.
        """
        ...


HEAD = "head"
"""The name of the head in `freeze`, `frozen` and `state_of`. No stage may have it."""


class TransferModel(nn.Module):
    """An image classifier that consists of named stages, in order, and a head that returns one logit for each class.

    The input is images of shape (n, channels, height, width), uint8 in 0..255 or float in 0..1. They are normalized, go
    through all stages and then through the head. The output is (n, n_classes).

    A regime calls `freeze` to say which stages train, or `train_only` to say which weights of the stages do.
    """

    mean: Tensor
    """(1, channels, 1, 1): subtracted from images in 0..1."""
    std: Tensor
    """(1, channels, 1, 1): divides the difference."""

    def __init__(
        self,
        stages: Mapping[str, nn.Module],
        head: nn.Module,
        *,
        classifier: Iterable[str] = (),
        layers: Mapping[str, int] | None = None,
        undecayed: Collection[str] = (),
    ) -> None:
        """`stages` maps names to modules, in order.

        `classifier` names the last stages, those of fully connected layers that are not part of the feature extractor.
        `layers` gives the layer number of parameters of the stages by their names, and that of the head as "head". See
        `layer_numbers` for the default. `undecayed` names parameters that the network's authors train without weight
        decay, such as position embeddings.

        Raises ValueError if a stage has the name "head", or if `classifier` does not name the last stages.
        """
        super().__init__()
        if HEAD in stages:
            raise ValueError(f"no stage may have the name {HEAD!r}")
        self.stages = nn.ModuleDict(dict(stages))
        self.head = head
        self.classifier = tuple(classifier)
        if list(stages)[len(stages) - len(self.classifier) :] != list(self.classifier):
            raise ValueError(f"the classifier must be the last of the stages, but is {', '.join(self.classifier)}")
        self.layers = layers
        """The argument `layers`."""
        self.undecayed = frozenset(undecayed)
        """The argument `undecayed`."""
        self._frozen: frozenset[str] = frozenset()
        self._pretrained: frozenset[str] = frozenset()
        self._frozen_weights: frozenset[str] = frozenset()
        """The names of the weights that are frozen in stages of which other weights train."""
        # Not saved with the state, because the data set or the model determines them, never the training.
        self.register_buffer("mean", torch.zeros(1, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.ones(1, 1, 1, 1), persistent=False)

    def normalize(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set the normalization of images in 0..1: subtract `mean`, then divide by `std` (a value per channel).

        A channel with a standard deviation of 0 is not divided.
        """
        self.mean = torch.tensor(list(mean), device=self.mean.device).reshape(1, -1, 1, 1)
        self.std = torch.tensor([value or 1.0 for value in std], device=self.std.device).reshape(1, -1, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """Return the features that the head receives for images."""
        return self.run_stages(self.preprocess(images), 0, len(self.stages))

    def preprocess(self, images: Tensor) -> Tensor:
        """Return the input of the first stage for images: float32, normalized, in the memory format channels_last."""
        if images.dtype == torch.uint8:
            images = images.float().div_(255)
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def run_stages(self, features: Tensor, first: int, last: int) -> Tensor:
        """Run the stages with the indices `first` up to, but not including, `last`.

        `features` is the input of stage `first`. Returns the output of stage `last` - 1.
        """
        for stage in list(self.stages.values())[first:last]:
            features = stage(features)
        return features

    def layer_numbers(self) -> dict[str, int]:
        """Return the layer number of each parameter by its name. The first layer is 0, and the head is the last layer.

        By default, each stage with weights is one layer. If `layers` does not name a parameter, it belongs to the last
        layer that `layers` names in its stage, or to the head's if it names none there.
        """
        with_weights = [name for name, stage in self.stages.items() if list(stage.parameters())]
        if self.layers is None:
            layers, last = {name: i for i, name in enumerate(with_weights)}, len(with_weights)
        else:
            layers, last = {}, self.layers[HEAD]
            for name, number in self.layers.items():
                stage = name.split(".")[1] if "." in name else name
                layers[stage] = max(layers.get(stage, 0), number)
        numbers = {}
        for name, _ in self.named_parameters():
            stage = name.split(".")[1] if name.startswith("stages.") else HEAD
            numbers[name] = (self.layers or {}).get(name, layers.get(stage, last))
        return numbers

    @property
    def frozen(self) -> frozenset[str]:
        """The names of the frozen stages, including `head` if it is frozen."""
        return self._frozen

    @property
    def n_frozen_first(self) -> int:
        """The number of frozen stages before the first stage that trains."""
        names = list(self.stages)
        return next((i for i, name in enumerate(names) if name not in self._frozen), len(names))

    @property
    def pretrained(self) -> frozenset[str]:
        """The names of the stages whose weights come from a file and have not been trained since.

        They are the same in every trial, so their features can be cached on disk. A stage counts as trained as soon as
        `train` is called while it is not frozen, or other weights are loaded into the model.
        """
        return self._pretrained

    def mark_pretrained(self) -> None:
        """Declare that the current weights of all stages come from a file."""
        self._pretrained = frozenset(self.stages)

    @property
    def frozen_weights(self) -> frozenset[str]:
        """The names of the weights that are frozen in stages of which other weights may train."""
        return self._frozen_weights

    def freeze(self, names: Iterable[str], *, weights: Collection[str] = ()) -> None:
        """Freeze the stages in `names`, which may include `head`, and unfreeze all others.

        `weights` are parameters of the stages that are frozen as well; see `train_only`.

        A frozen stage has no gradients and stays in evaluation mode. So its weights and running statistics do not
        change, and its dropout is off. Build the optimizer after freezing.

        Raises ValueError if a name is unknown, and SetupError if nothing with weights is left to train.
        """
        frozen = frozenset(names)
        modules = self._stages_and_head()
        if unknown := sorted(frozen - set(modules)):
            raise ValueError(f"unknown stage {unknown[0]!r} (allowed: {', '.join(modules)})")
        if not any(list(module.parameters()) for name, module in modules.items() if name not in frozen):
            named = ", ".join(name for name in modules if name in frozen)
            raise SetupError(f"nothing is left to train: {named} would be frozen, and the rest has no weights")
        self._frozen = frozen
        for name, module in modules.items():
            module.requires_grad_(name not in frozen)
        self._frozen_weights = frozenset(weights)
        for weight in self._frozen_weights:
            self.get_parameter(weight).requires_grad_(False)
        self._set_mode(self.training)

    def train_only(self, weights: Collection[str]) -> None:
        """Freeze all weights of the stages but those in `weights`, which have the names of `named_parameters`.

        The head trains. A stage without any of `weights` is frozen, as by `freeze`. In the other stages, only these
        weights have gradients. Such a stage is in training mode as a whole, so its dropout is on and its running
        statistics change. Build the optimizer after this call.

        Raises ValueError if a stage has no such weight.
        """
        chosen = frozenset(weights)
        known = {f"stages.{name}" for name, _ in self.stages.named_parameters()}
        if unknown := sorted(chosen - known):
            raise ValueError(f"no stage has the weight {unknown[0]!r}")
        trained_stages = {name.split(".")[1] for name in chosen}
        self.freeze([name for name in self.stages if name not in trained_stages], weights=known - chosen)

    def train(self, mode: bool = True) -> TransferModel:
        """Set training mode, or evaluation mode if `mode` is false. Frozen stages stay in evaluation mode."""
        if mode:
            self._pretrained &= self._frozen
        self._set_mode(mode)
        return self

    @contextmanager
    def in_evaluation(self) -> Iterator[None]:
        """Inside this context, the model is in evaluation mode. Afterwards, it is in its mode of before."""
        mode = self.training
        self._set_mode(False)
        try:
            yield
        finally:
            self._set_mode(mode)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights, as `torch.nn.Module` does. The stages that they belong to are not `pretrained` any more."""
        self._pretrained -= {key.split(".")[1] for key in state_dict if key.startswith("stages.")}
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def _set_mode(self, mode: bool) -> None:
        self.training = self.stages.training = mode
        for name, module in self._stages_and_head().items():
            # Frozen stages are skipped: visiting all modules of a large network can take longer than an epoch of the
            # head.
            if name not in self._frozen or module.training:
                module.train(mode and name not in self._frozen)

    def state_of(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Return the weights and running statistics of the stages in `names`, which may include `head`.

        The tensors are those of the model, not copies.
        """
        state: dict[str, Tensor] = {}
        chosen = frozenset(names)
        for name, module in self._stages_and_head().items():
            if name in chosen:  # the state_dict of a large frozen network would take long
                module.state_dict(destination=state, prefix=f"{HEAD}." if name == HEAD else f"stages.{name}.")
        return state

    def trained_state(self) -> dict[str, Tensor]:
        """Return the weights and running statistics of everything that trains. The tensors are not copies."""
        state = self.state_of(name for name in self._stages_and_head() if name not in self._frozen)
        return {key: value for key, value in state.items() if key not in self._frozen_weights}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Load a `trained_state`. A ValueError if it belongs to another model, or if other stages were frozen in it."""
        own = self.trained_state()
        if differing := sorted(own.keys() ^ state.keys()):
            raise ValueError(f"the state does not belong to this model: only one of them has {differing[0]!r}")
        self.load_state_dict(dict(state), strict=False)

    def _stages_and_head(self) -> dict[str, nn.Module]:
        return {**dict(self.stages.items()), HEAD: self.head}
