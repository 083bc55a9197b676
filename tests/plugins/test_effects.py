"""Settings without effect in a space."""

import pytest

from tests.plugins.rule_spaces import mistakes, notices

NO_EFFECT = {
    "period": (3, "has no effect without `schedule` cosine; `schedule` is not given, so it is constant"),
    "magnitude": (9, "has no effect without `augmentation` rand_augment; `augmentation` is not given, so it is none"),
    "threshold": (0.1, "has no effect without `patience`; `patience` is not given"),
    "momentum": (
        0.9,
        "has no effect without `optimizer` sgd, nag or timm:NAME; `optimizer` is not given, so it is "
        "adamw",
    ),
    "gamma": (
        0.5,
        "has no effect without `schedule` step or exponential, or `step_size`; `schedule` is not given, so it is "
        "constant",
    ),
    "mixup_alpha": (1, "has no effect without `mixing` mixup or mixup_cutmix; `mixing` is not given, so it is none"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_EFFECT)
def test_a_setting_without_effect_is_a_mistake_if_what_it_needs_is_not_given(name: str) -> None:
    value, text = NO_EFFECT[name]
    assert mistakes(fixed={name: value}) == [f"fixed.{name}: {text}"]
    assert mistakes({name: {"choices": [value]}}) == [f"space.{name}: {text}"]


def test_a_fixed_setting_without_effect_gets_a_notice_if_the_space_says_otherwise() -> None:
    fixed = {"period": 3, "schedule": "constant"}
    text = "period: has no effect without `schedule` cosine; `schedule` is constant"
    assert mistakes(fixed=fixed) == []
    assert notices(fixed=fixed) == [f"fixed.{text}"]
    assert mistakes({"period": {"choices": [3]}}, fixed={"schedule": "constant"}) == [f"space.{text}"]


def test_a_setting_that_has_an_effect_in_some_trials_is_right() -> None:
    space = {"schedule": {"choices": ["constant", "cosine"]}, "optimizer": {"choices": ["adamw", "timm:lion"]}}
    fixed = {"period": 3, "momentum": 0.9, "step_size": None, "random_erasing": 0.5, "erasing_mode": "pixel"}
    assert mistakes(space, fixed=fixed) == []
    assert notices(space, fixed=fixed) == []
    assert mistakes(fixed={"step_size": 3, "gamma": 0.5}) == []


def test_a_condition_limits_the_trials_in_which_a_setting_may_have_an_effect() -> None:
    schedule = {"choices": ["constant", "cosine"]}
    period = {"choices": [3, 9], "when": {"schedule": ["constant"]}}
    (found,) = mistakes({"schedule": schedule, "period": period})
    assert found == "space.period: has no effect without `schedule` cosine; `schedule` is constant"
    assert mistakes({"schedule": schedule, "period": {**period, "when": {"schedule": ["cosine"]}}}) == []


def test_a_setting_has_an_effect_if_what_it_needs_has_its_default_in_some_trials() -> None:
    optimizer = {"optimizer": {"choices": ["sgd", "adam"]}}
    schedule = {"choices": ["constant", "cosine"], "when": {"optimizer": ["sgd"]}}
    optional = {"random_erasing": {"choices": [0.5], "when": {"optimizer": ["sgd"]}}}
    step_size = {"low": 2, "high": 9, "type": "int", "when": {"optimizer": ["adam"]}}
    assert mistakes({**optimizer, **optional, "schedule": schedule, "step_size": step_size}) == []
    (found,) = mistakes({**optimizer, "schedule": schedule, "step_size": {**step_size, "when": {"optimizer": ["sgd"]}}})
    assert found.startswith("space.step_size: has no effect without `schedule` step; `schedule` is constant or cosine")


def test_the_interval_of_a_schedule_has_an_effect_with_each_kind_of_warm_up() -> None:
    for name, value in {"warmup": 1, "warmup_steps": 9, "warmup_share": 0.1}.items():
        assert mistakes(fixed={name: value, "schedule_interval": "step"}) == []


def test_what_a_model_ignores_has_no_effect_though_the_regime_reads_it() -> None:
    task = {"model": "softmax_regression"}
    (found,) = notices(task=task, fixed={"layer_decay": 0.9})
    assert found.startswith("fixed.layer_decay: has no effect with softmax_regression: no stage has weights")


def test_a_condition_on_what_is_fixed_is_the_only_mistake_of_a_setting_without_effect() -> None:
    magnitude = {"low": 1, "high": 9, "type": "int", "when": {"augmentation": ["rand_augment"]}}
    (found,) = mistakes({"magnitude": magnitude}, fixed={"augmentation": "crop_flip"})
    assert found.endswith("always 'crop_flip'; leave this condition out, or name a searched one with choices")


def test_what_a_regime_ignores_has_no_effect_unless_another_regime_is_searched() -> None:
    fixed = {"unfreeze_every": 2}
    text = "unfreeze_every: has no effect with linear_probe: only the head trains"
    assert notices(task={"regime": "linear_probe"}, fixed=fixed) == [f"fixed.{text}"]
    assert notices(task={"regime": ["linear_probe", "fine_tune"]}, fixed=fixed) == []
    assert notices(task={"regime": ["linear_probe", "closed_form"]}, fixed=fixed) == [f"fixed.{text}"]
    searched = {"unfreeze_every": {"choices": [1, 2]}}
    assert mistakes(searched, task={"regime": "linear_probe"}) == [f"space.{text}"]
    limited = {"unfreeze_every": {"choices": [1, 2], "when": {"regime": ["linear_probe"]}}}
    assert mistakes(limited, task={"regime": ["linear_probe", "fine_tune"]}) == [f"space.{text}"]
