from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.trainables import toys
from tests.trainables.fused.heads import (
    ABSENT,
    BINARY,
    CLASSES,
    DATA,
    HEADS,
    SKEWED,
    build,
    check_alike,
    check_equal,
    check_states,
    model,
    part,
)
from tests.trainables.states import identical
from trainables import fused
from trainables.data.dataset import SearchData
from trainables.fused import stacked_parameters
from trainables.models._head_dropout import LinearWithDropout
from trainables.own_metric import OwnMetric
from trainables.regimes import linear_probe
from trainables.training import checkpoints, gradient_descent
from trainables.training.gradient_descent import Training
from trainables.training.phases import Phase, Phases

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd"},
    "sgd with momentum and decay": {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01},
    "nag": {"optimizer": "nag", "weight_decay": 0.02},
    "adam": {"optimizer": "adam", "weight_decay": 0.01},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
}


@pytest.mark.parametrize("head", ["linear", "wide"])  # rows of which are updated together, and one by one
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_heads_side_by_side_report_what_each_does_alone(optimizer: dict[str, Any], head: str) -> None:
    configs = [{**optimizer, "lr": lr, "batch_size": size} for lr, size in ((0.05, 16), (0.01, 32), (0.002, 24))]
    members, alone = ([build(seed, head, **config) for seed, config in enumerate(configs)] for _ in range(2))
    assert (sum(each.numel() for each in members[0].model.parameters()) >= stacked_parameters.MIN_ROWWISE_SIZE) == (
        head == "wide"
    )
    check_alike(members, alone)


@pytest.mark.parametrize("head", [name for name in HEADS if name != "large"])
def test_any_chain_of_linear_layers_goes_side_by_side(head: str) -> None:
    members, alone = (
        [build(seed, head, BINARY if head == "zero first" else DATA, l2=0.01 * seed) for seed in range(3)]
        for _ in range(2)
    )
    check_alike(members, alone)


@pytest.mark.cuda
@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("config", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_on_cuda_members_report_what_each_does_alone_there(head: str, config: dict[str, Any]) -> None:
    members, alone = ([build(seed, head, device="cuda", **config) for seed in range(40)] for _ in range(2))
    check_alike(members, alone, n_epochs=2, tolerance=1e-4)


SETTINGS: dict[str, dict[str, Any]] = {
    "step": {"step_size": 2, "gamma": 0.3},
    "exponential": {"schedule": "exponential", "gamma": 0.5},
    "cosine": {"schedule": "cosine", "period": 3, "lr_min": 1e-4},
    "warmup": {"warmup": 2, "optimizer": "sgd"},
    "one cycle": {"schedule": "one_cycle", "schedule_epochs": 3, "warmup_steps": 5},
    "wsd, large": {"schedule": "wsd", "schedule_epochs": 3, "cooldown_share": 0.5, "batch_size": 40},
    "label smoothing": {"label_smoothing": 0.2},
    "l2": {"l2": 0.05, "optimizer": "sgd"},
    "clip": {"clip_norm": 0.05, "optimizer": "sgd"},
    "single samples": {"batch_size": 1},
    "all at once": {"batch_size": 1000},
}


@pytest.mark.parametrize("config", SETTINGS.values(), ids=SETTINGS)
def test_what_one_of_them_is_told_holds_for_it_alone(config: dict[str, Any]) -> None:
    members, alone = ([build(1, **config), build(2, optimizer="sgd"), build(3, "linear")] for _ in range(2))
    check_alike(members, alone)


def test_bfloat16_rounds_as_it_does_alone() -> None:
    members, alone = ([build(seed, "mlp", precision="bf16", lr=1e-3) for seed in range(3)] for _ in range(2))
    check_alike(members, alone, tolerance=5e-3)
    assert fused.key(members[0]) != fused.key(build(0, "mlp"))


configs = st.fixed_dictionaries(
    {
        "optimizer": st.sampled_from(["sgd", "nag", "adam", "adamw"]),
        "lr": st.floats(1e-4, 0.1),
        "batch_size": st.integers(1, 110),
        "weight_decay": st.floats(0, 0.1),
        "label_smoothing": st.sampled_from([0.0, 0.1]),
        "l2": st.sampled_from([0.0, 0.01]),
        "class_weights": st.sampled_from(["none", "balanced", "effective"]),
        "loss_function": st.sampled_from(["cross_entropy", "focal"]),
        "sampler": st.sampled_from(["shuffle", "balanced"]),
    },
    optional={
        "clip_norm": st.floats(0.1, 2),
        "focal_gamma": st.floats(0, 4),
        "schedule": st.sampled_from(["cosine", "one_cycle", "wsd"]),
        "warmup": st.floats(0, 1.9),
    },
)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.lists(configs, min_size=1, max_size=6), st.sampled_from([DATA, SKEWED, ABSENT]))
def test_any_mixture_reports_what_each_does_alone(drawn: list[dict[str, Any]], data: SearchData) -> None:
    members, alone = (
        [build(seed, data=data, schedule_epochs=2, **config) for seed, config in enumerate(drawn)] for _ in range(2)
    )
    check_alike(members, alone, n_epochs=2, tolerance=1e-4)


def test_members_come_and_go_between_epochs_and_train_alone_too() -> None:
    members, alone = ([build(seed, batch_size=8 + 9 * seed) for seed in range(4)] for _ in range(2))
    group = fused.Group()
    for now in ([0, 1], [0, 1, 2], [2, 0], [3, 2], [0, 1, 2, 3]):
        for i, metrics in zip(now, group.step([members[i] for i in now]), strict=True):
            check_equal(metrics, alone[i].step())
        check_equal(members[now[0]].step(), alone[now[0]].step())
    for member, other in zip(members, alone, strict=True):
        check_states(member.state_dict(), other.state_dict(), 1e-4)
        check_equal(member.evaluate(DATA.validation), other.evaluate(DATA.validation))


@pytest.mark.parametrize("optimizer", ["nag", "adamw"])
def test_a_state_goes_from_side_by_side_to_alone_and_back(optimizer: str, tmp_path: Any) -> None:
    members, alone = ([build(seed, optimizer=optimizer) for seed in range(3)] for _ in range(2))
    group = fused.Group()
    for each in (alone[0], alone[0]):
        each.step()
    group.step(members)
    checkpoints.write(tmp_path / "0.pt", members[0].state_dict())
    fresh = build(0, optimizer=optimizer)
    fresh.load_state_dict(checkpoints.read(tmp_path / "0.pt") or {})
    fresh.step()
    check_states(fresh.state_dict(), alone[0].state_dict(), 1e-4)
    members[1].load_state_dict(alone[0].state_dict())  # amid the group's life
    check_equal(group.step(members)[1], alone[0].step())


def test_a_checkpoint_of_a_member_holds_none_of_the_others(tmp_path: Any) -> None:
    members, alone = ([build(seed, "wide") for seed in range(8)] for _ in range(2))
    fused.Group().step(members)
    alone[0].step()
    for name, each in (("ours", members[0]), ("alone", alone[0])):
        checkpoints.write(tmp_path / name, each.state_dict())
    assert (tmp_path / "ours").stat().st_size == pytest.approx((tmp_path / "alone").stat().st_size, rel=0.05)


def test_a_member_that_diverges_touches_no_other() -> None:
    members, alone = ([build(seed, "mlp", optimizer="sgd", clip_norm=100.0) for seed in range(3)] for _ in range(2))
    for each in (members[1], alone[1]):
        for parameter in each.model.head.parameters():
            parameter.data.fill_(math.nan)
    check_states(members[0].state_dict(), alone[0].state_dict(), 0)
    group = fused.Group()
    for _ in range(3):
        reports = group.step(members)
        for i in (0, 2):
            check_equal(reports[i], alone[i].step())
        assert math.isnan(reports[1]["val_loss"])
        assert math.isnan(reports[1]["train_loss"])


@pytest.mark.parametrize("head", ["linear", "wide"])
def test_a_metric_of_the_user_is_that_of_each_alone_and_is_given_the_same_logits(head: str) -> None:
    given: list[torch.Tensor] = []

    def spread(logits: torch.Tensor, labels: torch.Tensor) -> float:
        given.append(logits.clone())
        assert (logits.dtype, labels.dtype, labels.tolist()) == (
            torch.float32,
            torch.int64,
            DATA.validation.labels.tolist(),
        )
        with torch.enable_grad():  # it may compute gradients
            (gradient,) = torch.autograd.grad(logits.requires_grad_().exp().mean(), logits)
        return float(gradient.sum())

    data = replace(DATA, own_metric=OwnMetric("spread", spread))
    configs: list[dict[str, Any]] = [
        {"lr": lr, "batch_size": size} for lr, size in ((0.05, 16), (0.01, 32), (0.002, 24))
    ]
    members, alone = ([build(seed, head, data, **each) for seed, each in enumerate(configs)] for _ in range(2))
    check_alike(members, alone, n_epochs=2)
    assert len(given) == 2 * 2 * 3
    assert {each.shape for each in given} == {(len(DATA.validation), len(CLASSES))}
    assert fused.key(members[0]) != fused.key(build(0, head))


def test_other_draws_in_the_process_change_nothing() -> None:
    one, other = build(0), build(0)
    first = fused.Group().step([one])
    torch.rand(5)
    assert fused.Group().step([other]) == first
    assert identical(one.state_dict(), other.state_dict())


def test_threads_change_nothing() -> None:
    before = torch.get_num_threads()
    members, alone = ([build(seed, "wide", momentum=0.5) for seed in range(5)] for _ in range(2))
    assert sum(each.numel() for each in members[0].model.head.parameters()) >= stacked_parameters.MIN_ROWWISE_SIZE
    torch.set_num_threads(2)
    try:
        check_alike(members, alone, n_epochs=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_trunks_of_one_fingerprint_lie_in_memory_once() -> None:
    members, alone = ([_probe(seed) for seed in range(3)] for _ in range(2))
    check_alike(members, alone, n_epochs=2)
    assert len({id(member.model.stages) for member in members}) == 1
    check_equal(members[2].evaluate(toys.part(30, seed=5)), alone[2].evaluate(toys.part(30, seed=5)))


TOYS = toys.data()


def _probe(seed: int) -> Training:
    made = toys.pretrained()
    torch.manual_seed(seed)
    nn.init.normal_(made.head.weight, std=0.1)  # type: ignore[arg-type]
    trainable = linear_probe.build({"lr": 0.01}, made, TOYS, "cpu")
    assert isinstance(trainable, Training)
    return trainable


def test_what_cannot_go_side_by_side_has_no_key() -> None:
    def made(**config: Any) -> Training:
        torch.manual_seed(0)
        return gradient_descent.build({"batch_size": 16, **config}, toys.model(), TOYS, "cpu")

    assert fused.key(made()) is None  # its stages train
    assert fused.key(build(0, mixing="mixup")) is None
    assert fused.key(build(0, micro_batches=2)) is None
    assert fused.key(build(0, augmentation="flip_jitter")) is None
    images = toys.pretrained()
    images.freeze(images.stages)
    head = images.head
    assert isinstance(head, nn.Linear)
    for dropping in (
        nn.Sequential(nn.Dropout(0.5), head),
        LinearWithDropout(head.in_features, head.out_features, 0.5),
    ):
        images.head = dropping
        assert fused.key(gradient_descent.build({}, images, TOYS, "cpu")) is None
    whole = model()
    assert fused.key(Phases(whole, [Phase(lambda: gradient_descent.build({}, whole, DATA, "cpu"))])) is None
    assert fused.key("no training") is None
    assert fused.key(build(0, "large")) is None


def test_only_what_sees_the_same_and_has_one_form_goes_side_by_side() -> None:
    other = SearchData(part(97, 1), part(300, 2), CLASSES)
    keys = [fused.key(each) for each in (build(0), build(1, lr=0.3, l2=0.1), build(0, "mlp"), build(0, data=other))]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
