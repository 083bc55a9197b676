from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from hpo import spacefile
from hpo.runners._auto_runner import runner_for

PROBE: dict[str, Any] = {
    "task": {"regime": "linear_probe", "model": "resnet18", "weights": "imagenet", "dataset": "digits"},
    "space": {"lr": {"low": 1e-4, "high": 1e-1, "log": True}},
    "fidelity": {"low": 1, "high": 27},
}


def runner(task: dict[str, Any], space: dict[str, Any] | None = None, fixed: dict[str, Any] | None = None) -> str:
    content = {
        **PROBE,
        "task": {**PROBE["task"], **task},
        "space": {**PROBE["space"], **(space or {})},
        "fixed": fixed or {},
    }
    return runner_for(spacefile.parse(content, name="s"))


@pytest.mark.parametrize(
    "task",
    [
        {},
        {"model": ["resnet18", "alexnet"]},
        {"regime": "from_scratch", "model": "softmax_regression"},
        {"regime": ["linear_probe", "fine_tune"], "model": "softmax_regression"},
    ],
)
def test_where_only_heads_train_they_go_side_by_side(task: dict[str, Any]) -> None:
    assert runner(task) == "fused"
    assert runner(task, {}, {"augmentation": "none", "mixing": "none"}) == "fused"


@pytest.mark.parametrize(
    "task",
    [
        {"regime": "fine_tune"},
        {"regime": ["linear_probe", "fine_tune"]},
        {"regime": "from_scratch", "model": ["softmax_regression", "small_cnn"]},
        {"regime": "pretrain_then_head", "model": "softmax_regression"},
        {"regime": "tests.toy", "model": None},
        {"model": "vgg16"},
        {"validation": {"folds": 3}},
    ],
)
def test_where_more_trains_each_trial_has_a_process(task: dict[str, Any]) -> None:
    assert runner(task) == "processes"


@pytest.mark.parametrize("key", ["augmentation", "mixing"])
def test_images_that_change_need_a_process_each(key: str) -> None:
    other = {"augmentation": "flip_jitter", "mixing": "mixup"}[key]
    assert runner({}, {}, {key: other}) == "processes"
    assert runner({}, {key: {"choices": ["none", other]}}) == "processes"


def test_dropout_of_the_head_needs_a_process_each() -> None:
    assert runner({}, {"dropout": {"low": 0.0, "high": 0.5}}) == "processes"
    assert runner({}, {}, {"dropout": 0.2}) == "processes"
    assert runner({}, {}, {"dropout": 0.0}) == "fused"


def test_images_that_are_erased_at_random_need_a_process_each() -> None:
    assert runner({}, {}, {"random_erasing": 0.25}) == "processes"
    assert runner({}, {"random_erasing": {"low": 0.0, "high": 0.5}}) == "processes"
    assert runner({}, {"random_erasing": {"choices": [0, 0.25]}}) == "processes"
    assert runner({}, {}, {"random_erasing": 0}) == "fused"


def test_it_is_found_without_torch() -> None:
    script = (
        "import sys; from hpo import spacefile; from hpo.runners._auto_runner import runner_for\n"
        "print(runner_for(spacefile.read(spacefile.find('digits_softmax'))), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "fused False\n"
