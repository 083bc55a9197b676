"""Model soups: the average of the weights of trained models of one architecture.

M. Wortsman et al., Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
inference time, ICML 2022, arXiv 2203.05482.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from trainables.data.dataset import Part, SearchData
from trainables.errors import SetupError
from trainables.inference import trained
from trainables.models import _lora
from trainables.trainable import Trainable, TransferModel
from trainables.training import epochs

BATCH_SIZE = 256
"""The images that pass through the model at once while statistics are computed."""
State = Mapping[str, Tensor]


def model_of(trainable: Trainable) -> TransferModel:
    """Return the model of a trainable, with adapters merged into its weights. Do not train it any more.

    Raises SetupError if it has no TransferModel, or more than one.
    """
    models = trained.models(trainable)
    if len(models) != 1 or not isinstance(models[0], TransferModel):
        raise SetupError("its trainable has not one model of named stages, so its weights cannot be averaged")
    _lora.merge(models[0])
    return models[0]


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the weights and running statistics of a model, on the CPU."""
    return {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}


def layers_of(trainable: Trainable) -> list[dict[str, tuple[int, ...]]]:
    """Return the shapes of the weights of each model of a trainable, by their names.

    A trainable that has other ones after a state is loaded has replaced layers. Its weights fit into no new model.
    """
    models = trained.models(trainable)
    return [{key: tuple(value.shape) for key, value in model.state_dict().items()} for model in models]


def are_alike(one: State, other: State) -> bool:
    """Whether two states are those of one architecture: they have the same keys and shapes."""
    return one.keys() == other.keys() and all(one[key].shape == other[key].shape for key in one)


def average(states: Sequence[State]) -> dict[str, Tensor]:
    """Return the mean of states of one architecture. Whole numbers, such as counters, are those of the first."""
    found = dict(states[0])
    for key, first in states[0].items():
        if first.is_floating_point():
            total = first.double()
            for state in states[1:]:
                total = total + state[key].double()
            found[key] = (total / len(states)).to(first.dtype)
    return found


def moving_statistics(model: nn.Module, states: Sequence[State]) -> list[str]:
    """Return the names of the BatchNorm layers whose running statistics differ between the states."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for key in (f"{name}.running_mean",)
        if key in states[0] and any(not torch.equal(state[key], states[0][key]) for state in states[1:])
    ]


@torch.no_grad()
def compute_statistics(model: nn.Module, part: Part, names: Collection[str]) -> None:
    """Compute the running statistics of these BatchNorm layers anew: the mean over all batches of a part.

    The images are not augmented. The other layers are in evaluation mode, and so is the model afterwards. With a single
    image, the statistics stay as they are.
    """
    model.eval()
    layers = [model.get_submodule(name) for name in names]
    if not layers or len(part) < 2:
        return
    device = next(model.parameters()).device
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()  # type: ignore[operator]
        layer.momentum = None  # type: ignore[assignment]  # a mean over all batches, each counted alike
        layer.train()
    for rows in epochs.batches(torch.arange(len(part)), BATCH_SIZE):
        model(part.batch(rows.to(part.labels.device)).to(device))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.eval()


def metrics(model: nn.Module, part: Part, data: SearchData) -> dict[str, float]:
    """Return `loss` and all metrics of a model on a part. `data` holds the metric of the user, if there is one."""
    return epochs.compute_metrics(trained.logits(model, part), part.labels.cpu(), own_metric=data.own_metric)
