from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from hpo.space import DatasetSpec, Task, Validation
from hpo.training.ranking import _ranked, faster_precision, rank


def measurement(correct: torch.Tensor, logme: float = 0.0, groups: torch.Tensor | None = None) -> Any:
    return SimpleNamespace(
        groups=groups,
        is_correct=correct,
        logme=logme,
        seconds_of_last_stages=(0.01,),
        n_parameters=1,
        n_features=2,
        image_size=(8, 8),
    )


def test_models_are_sorted_and_those_that_may_be_as_good_as_the_best_are_named() -> None:
    images = torch.arange(400)
    found = _ranked(
        {
            "bad": measurement(images % 2 == 0),
            "good": measurement(images % 10 > 0),
            "nearly": measurement((images % 10 > 0) & (images > 1)),
            "equal": measurement(images % 10 > 0, logme=1.0),
        }
    )
    assert [each.model for each in found] == ["equal", "good", "nearly", "bad"]
    assert [each.as_good for each in found] == [True, True, True, False]
    assert all(each.low < each.accuracy < each.high for each in found)


def test_groups_widen_the_intervals_and_more_models_may_be_as_good() -> None:
    images, groups = torch.arange(400), torch.arange(400) // 20
    single, grouped = (
        _ranked({"good": measurement(images >= 40, groups=of), "worse": measurement(images >= 80, groups=of)})
        for of in (None, groups)
    )
    assert [each.as_good for each in single] == [True, False]
    assert [each.as_good for each in grouped] == [True, True]
    assert grouped[0].high - grouped[0].low > 2 * (single[0].high - single[0].low)


def test_a_model_that_runs_out_of_memory_is_skipped_with_a_line(tmp_path: Path) -> None:
    task = Task("closed_form", dataset=DatasetSpec("digits"), validation=Validation(folds=2))
    lines: list[str] = []
    found = rank(task, ["tests.training.hungry_model", "softmax_regression"], tmp_path, notify=lines.append)
    assert [each.model for each in found.models] == ["softmax_regression"]
    assert lines == ["tests.training.hungry_model is skipped: it does not fit into the memory of the machine"]


def test_the_precision_is_measured_on_the_first_model_that_can_be_ranked(tmp_path: Path) -> None:
    task = Task("closed_form", weights="imagenet", dataset=DatasetSpec("digits"))
    assert faster_precision(task, ["tests.training.hungry_model", "resnet18"], tmp_path) == "fp32"
    task = Task("closed_form", dataset=DatasetSpec("digits"))
    names = ["tests.training.hungry_model", "softmax_regression"]
    assert faster_precision(task, names, tmp_path) in ("fp32", "bf16")
