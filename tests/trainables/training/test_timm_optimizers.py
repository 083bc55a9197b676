import importlib
import importlib.util
import sys
from typing import Any

import pytest

from tests.trainables import toys
from tests.trainables.states import identical, loaded, saved
from trainables import vision
from trainables.errors import SetupError, WrongValue
from trainables.hyperparameters import Config
from trainables.seeding import seed_everything
from trainables.training import gradient_descent, timm_optimizers
from trainables.training.gradient_descent import Training

needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is an extra")


def optim() -> Any:
    vision.torchvision()
    return importlib.import_module("timm.optim")


def build(name: str, config: Config | None = None) -> Training:
    seed_everything(1)
    model = toys.model()
    model.freeze(())
    settings: Config = {"optimizer": f"timm:{name}", "lr": 0.01, "weight_decay": 0.01, "batch_size": 48}
    return gradient_descent.build({**settings, **(config or {})}, model, toys.data(), "cpu")


def check_goes_on_exactly(name: str) -> None:
    """It trains, stage by stage, with rates of their own, and goes on bit for bit after each epoch."""
    config: Config = {"unfreeze_every": 1, "layer_decay": 0.7, "decay_norms": False, "clip_norm": 5.0, "warmup": 1}
    unbroken = build(name, config)
    before, files, epochs = loaded(saved(unbroken)), [], []
    for _ in range(4):
        epochs.append(unbroken.step())
        files.append(saved(unbroken))
    assert not identical(loaded(files[-1])["weights"]["head.1.weight"], before["weights"]["head.1.weight"])
    assert len(loaded(files[-1])["weights"]) > len(before["weights"])
    for done in (1, 3):
        resumed = build(name, config)
        resumed.load_state_dict(loaded(files[done - 1]))
        assert [resumed.step() for _ in epochs[done:]] == epochs[done:]
        assert identical(loaded(saved(resumed)), loaded(files[-1]))


def is_refused(name: str) -> bool:
    try:
        build(name)
    except WrongValue:
        return True
    return False


@needs_timm
@pytest.mark.parametrize("name", ["lion", "lamb", "muon"])
def test_it_takes_steps_and_goes_on_exactly(name: str) -> None:
    check_goes_on_exactly(name)


@needs_timm
@pytest.mark.slow
def test_each_optimizer_that_is_not_refused_takes_steps_and_goes_on_exactly() -> None:
    refused = []
    for name in optim().list_optimizers():
        if is_refused(name):
            refused.append(name)
        else:
            check_goes_on_exactly(name)
    assert {"adahessian", "kron", "bnbadam8bit", "fusedlamb"} <= set(refused)
    assert len(refused) < 25


@needs_timm
def test_the_settings_are_those_of_the_configuration_and_else_those_of_timm() -> None:
    group = build("nadamw", {"lr": 0.3, "weight_decay": 0.2}).optimization.optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.2)
    assert build("nadamw", {"weight_decay": None}).optimization.optimizer.param_groups[0]["weight_decay"] == 0
    assert [
        build("rmsproptf", {"momentum": momentum}).optimization.optimizer.param_groups[0]["momentum"]
        for momentum in (None, 0.5)
    ] == [0.9, 0.5]


@needs_timm
def test_a_group_that_begins_later_counts_its_steps_from_0() -> None:
    made = build("lamb", {"unfreeze_every": 1})
    for _ in range(3):
        made.step()
    first = made.trained_model.stages["first"][0].weight  # type: ignore[index]
    counts = {
        any(parameter is first for parameter in group["params"]): int(group["step"])
        for group in made.optimization.optimizer.param_groups
        if not any(parameter is made.trained_model.stages["second"][0].weight for parameter in group["params"])  # type: ignore[index]
    }
    n = 2  # batches of an epoch
    assert counts == {True: n, False: 3 * n}


@needs_timm
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lyon", r"`optimizer`: timm has no optimizer 'lyon' \(nearest: timm:lion"),
        ("qqqq", r"timm has no optimizer 'qqqq' \(`timm.optim.list_optimizers\(\)` lists all \d+\)$"),
        ("adahessian", "`optimizer` must not be 'timm:adahessian': it needs second derivatives"),
        ("bnbsgd", "`optimizer` must not be 'timm:bnbsgd': it needs the package bitsandbytes"),
        ("kron", "`optimizer` must not be 'timm:kron': it compiles code"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(name: str, message: str) -> None:
    with pytest.raises(WrongValue, match=message):
        build(name)


@needs_timm
def test_a_momentum_that_does_not_fit_is_refused() -> None:
    with pytest.raises(WrongValue, match="`optimizer`: timm:sgd cannot be used with these settings: Nesterov"):
        build("sgd", {"momentum": 0.0})


def test_without_timm_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # what Python calls a module that is not there
    with pytest.raises(SetupError, match=r"pip install 'hpo\[timm\]'"):
        timm_optimizers.build("lion", [], {}, lr=0.1, weight_decay=0.0)
