"""Data-parallel training on the CPU, beside the same training in one process."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from tests.trainables import toys
from tests.trainables.training.ranks import train_in_ranks
from trainables.regimes import bitfit, fine_tune
from trainables.seeding import seed_everything
from trainables.trainable import TransferModel
from trainables.training import data_parallel

pytestmark = pytest.mark.slow

N_EPOCHS = 3
CONFIGS: dict[str, dict[str, Any]] = {
    "an uneven last batch": {"momentum": 0.9, "batch_size": 16},
    "a batch of all": {"batch_size": 1000},
    "adamw, with an L2 penalty": {"optimizer": "adamw", "l2": 0.01, "batch_size": 16, "norm": False},
    "batches of one": {"batch_size": 1, "norm": False},
    "augmentation and mixing": {"augmentation": "few_shot", "mixing": "mixup", "batch_size": 10},
    "random operations, erasing and CutMix": {
        "augmentation": "rand_augment",
        "random_erasing": 0.5,
        "mixing": "mixup_cutmix",
        "batch_size": 10,
    },
    "class weights and focal loss": {"class_weights": "balanced", "loss_function": "focal", "batch_size": 10},
    "micro-batches": {"micro_batches": 3, "batch_size": 16, "norm": False, "class_weights": "balanced", "l2": 0.05},
    "penalty and clipping": {"l2": 0.05, "l2_on": "all", "clip_norm": 0.1, "batch_size": 24},
    "only some weights of each stage": {"regime": "bitfit", "batch_size": 16},
    "an average, and rates by layer": {"ema": 0.8, "layer_decay": 0.5, "decay_norms": False, "weight_decay": 0.1},
    "gradual unfreezing": {"unfreeze_every": 1, "ema": 0.5, "batch_size": 16},
    "balanced sampling and a schedule": {"sampler": "balanced", "schedule": "cosine", "period": 3, "batch_size": 16},
}


def network(*, norm: bool, dropout: float = 0.0) -> TransferModel:
    """A small network, maybe with BatchNorm of maps and of vectors."""
    maps: nn.Module = nn.BatchNorm2d(4) if norm else nn.Identity()
    vectors: nn.Module = nn.BatchNorm1d(12, momentum=None) if norm else nn.Identity()
    first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), maps, nn.ReLU(), nn.MaxPool2d(4), nn.Flatten())
    second = nn.Sequential(nn.Linear(16, 12), vectors, nn.Tanh(), nn.Dropout(dropout))
    return TransferModel({"first": first, "second": second}, nn.Linear(12, len(toys.CLASSES)))


def train(config: Mapping[str, Any]) -> Any:
    """The metrics of some epochs, and the state at the end."""
    seed_everything(0)
    settings = dict(config)
    model = network(norm=settings.pop("norm", True), dropout=settings.pop("dropout", 0.0))
    regime = {"bitfit": bitfit, "fine_tune": fine_tune}[settings.pop("regime", "fine_tune")]
    trainable = regime.build({"optimizer": "sgd", "lr": 0.02, **settings}, model, toys.data(), "cpu")
    return [dict(trainable.step()) for _ in range(N_EPOCHS)], _plain(trainable.state_dict())


def draws() -> list[list[float]]:
    """Random numbers from torch's global generator, inside an epoch of a rank and after it."""
    seed_everything(0)
    model = network(norm=False)
    with data_parallel.ForwardOverRanks().training(model, model, "cpu"):
        inside = torch.rand(3).tolist()
    return [inside, torch.rand(3).tolist()]


def resumed(config: Mapping[str, Any]) -> Any:
    """What `train` returns, if the training goes on from its state after the first epoch."""
    seed_everything(0)
    trainable = fine_tune.build(
        {"lr": 0.02, "optimizer": "sgd", "batch_size": 16}, network(**config), toys.data(), "cpu"
    )
    first = dict(trainable.step())
    state = deepcopy(trainable.state_dict())
    seed_everything(1)
    trainable = fine_tune.build(
        {"lr": 0.02, "optimizer": "sgd", "batch_size": 16}, network(**config), toys.data(), "cpu"
    )
    trainable.load_state_dict(state)
    return [first, *(dict(trainable.step()) for _ in range(N_EPOCHS - 1))], _plain(trainable.state_dict())


def train_all(configs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    found = {name: train(config) for name, config in configs.items()}
    found["dropout"] = train({"dropout": 0.5, "batch_size": 16})
    return {**found, "resumed": resumed({"norm": True, "dropout": 0.5}), "draws": draws()}


def _plain(value: Any) -> Any:
    """The same state with lists of numbers for tensors, which need no torch to be sent."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.fixture(scope="module")
def of_ranks() -> list[dict[str, Any]]:
    """What each of two ranks reports for each configuration."""
    return train_in_ranks(train_all, 2, CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_two_ranks_report_the_losses_of_one_process(name: str, of_ranks: list[dict[str, Any]]) -> None:
    expected, state = train(CONFIGS[name])
    for found, found_state in (rank[name] for rank in of_ranks):
        for epoch, expected_epoch in zip(found, expected, strict=True):
            assert epoch.keys() == expected_epoch.keys()
            for key in ("train_loss", "val_loss"):
                assert epoch[key] == pytest.approx(expected_epoch[key], rel=1e-5), key
        for key, values in state["weights"].items():
            torch.testing.assert_close(
                torch.tensor(found_state["weights"][key]), torch.tensor(values), rtol=1e-3, atol=1e-4
            )


def test_all_ranks_end_with_the_same_weights(of_ranks: list[dict[str, Any]]) -> None:
    for name in (*CONFIGS, "dropout", "resumed"):
        assert of_ranks[0][name] == of_ranks[1][name]


def test_a_training_in_ranks_goes_on_from_its_state_exactly_with_dropout_too(of_ranks: list[dict[str, Any]]) -> None:
    assert of_ranks[0]["resumed"] == of_ranks[0]["dropout"]


def test_each_rank_draws_other_numbers_for_dropout_and_all_are_alike_afterwards(of_ranks: list[dict[str, Any]]) -> None:
    (inside, after), (other_inside, other_after) = (rank["draws"] for rank in of_ranks)
    assert inside != other_inside
    assert after == other_after


@pytest.mark.parametrize(("device", "number"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_rank_on_a_gpu_names_it_to_torch_by_its_number(
    device: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[int] = []
    backends: list[str] = []
    monkeypatch.setattr(torch._C, "_cuda_setDevice", chosen.append, raising=False)  # what `set_device` passes on
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda backend, **settings: backends.append(backend))
    data_parallel.join(0, 1, device, data_parallel.open_store(1))
    assert chosen == [number]
    assert backends == ["nccl"]


@pytest.mark.cuda
def test_a_process_joins_with_the_gpu_of_a_slot() -> None:
    try:
        data_parallel.join(0, 1, "cuda", data_parallel.open_store(1))
        assert data_parallel.is_on()
        assert torch.cuda.current_device() == 0
    finally:
        data_parallel.leave()
