"""Builds the Optimization of a training from its configuration: the optimizer, its schedule, and the batches."""

from __future__ import annotations

import torch

from trainables.errors import WrongValue
from trainables.hyperparameters import Config, read_choice, read_int
from trainables.trainable import TransferModel
from trainables.training import gradual_unfreezing, optimizers, parameter_groups, schedules, weight_average
from trainables.training.epochs import InParts, Objective, Optimization, Sampler

HYPERPARAMETERS = {
    "batch_size": "images a step of the optimizer, a whole number of at least 1; default 64",
    "micro_batches": "parts that each batch is computed in, one after another, with the gradients added up, to save "
    "memory; a whole number of at least 1; default 1",
    "precision": ["fp32", "bf16", "auto"],
}
MEANINGS = {"precision": "numbers of the forward pass; auto: bf16 on a GPU that has it, else fp32"}
RANGES = {"batch_size": "int >= 1", "micro_batches": "int >= 1"}
READS_ALSO = (
    "trainables.training.optimizers",
    "trainables.training.parameter_groups",
    "trainables.training.weight_average",
    "trainables.training.gradual_unfreezing",
)


def build_optimization(
    config: Config,
    model: TransferModel,
    objective: Objective,
    device: str,
    *,
    lr: str = "lr",
    sampler: Sampler | None = None,
) -> Optimization:
    """Return how to optimize all parts of `model` that are not frozen. The model is moved to `device`.

    `lr` is the key of the learning rate in `config`. Without `sampler`, an epoch trains on each image once. Raises
    ValueError for a wrong value in `config`; the message names the key.
    """
    # On CPUs and GPUs, convolutions are at least as fast in channels_last as in the default memory format.
    model.to(device=torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    unfreezing = gradual_unfreezing.build(config, model)
    parts = () if unfreezing is None else unfreezing.parts
    parameters = parameter_groups.build(config, model, optimizers.learning_rate(config, lr), apart=parts)
    optimizer = optimizers.build(parameters, config, lr=lr)
    schedule = schedules.build(optimizer, config)
    batch_size, clip_norm = read_batch_size(config), optimizers.clip(config)
    bf16, micro_batches = is_bf16(config, device), read_int(config, "micro_batches", 1)
    if micro_batches > 1 and not isinstance(objective, InParts):
        raise WrongValue(
            f"`micro_batches` must be 1 for this regime, but is {micro_batches}: its loss needs all images of a batch"
        )
    return Optimization(
        optimizer,
        schedule,
        objective,
        batch_size,
        clip_norm,
        bf16,
        sampler,
        micro_batches,
        average=weight_average.build(config, model),
        unfreezing=unfreezing,
    )


def read_batch_size(config: Config, *, least: int = 1) -> int:
    """Return the number of images in a batch. A WrongValue if it is not a whole number, or is less than `least`."""
    return read_int(config, "batch_size", 64, least=least)


def is_bf16(config: Config, device: str) -> bool:
    """Return whether the training uses bfloat16.

    `precision: auto` uses float32 on the CPU, and bfloat16 on a GPU that supports it. Raises ValueError for a wrong
    `precision`.
    """
    precision = read_choice(config, "precision", "fp32", ("fp32", "bf16", "auto"))
    on_gpu = torch.device(device).type == "cuda"
    return precision == "bf16" or (precision == "auto" and on_gpu and torch.cuda.is_bf16_supported())
