"""The rules that a new space keeps: numbers in their ranges, settings with an effect, enough epochs."""

from pathlib import Path
from typing import Any

import pytest

from hpo import plugins, spacefile
from hpo.errors import UserError
from hpo.plugins.declared_rules import conditions, first_phase, ignored, ranges
from hpo.plugins.registry import find
from tests.plugins.rule_spaces import content, mistakes, notices


@pytest.mark.parametrize(
    ("fixed", "expected"),
    [
        ({"batch_size": 0}, "fixed.batch_size: must be a whole number of at least 1, but is 0"),
        ({"ema": 3}, "fixed.ema: must be a number above 0 and below 1, but is 3"),
        ({"weight_decay": "small"}, "fixed.weight_decay: must be a number of at least 0, but is 'small'"),
        ({"image_size": 224.0}, "fixed.image_size: must be a whole number of at least 1, but is 224.0"),
        ({"dropout": [0.1, 0.2]}, "fixed.dropout: must be a number of at least 0 and below 1, but is [0.1, 0.2]"),
        ({"patience": 0}, "fixed.patience: must be a whole number of at least 1, but is 0"),
    ],
)
def test_a_wrong_number_that_is_fixed_is_a_mistake_with_its_range(fixed: dict[str, Any], expected: str) -> None:
    assert mistakes(fixed=fixed) == [expected]


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ({"lr": {"low": 0, "high": 1}}, "space.lr.low: must be a number above 0, but is 0.0"),
        ({"ema": {"low": 0.5, "high": 1}}, "space.ema.high: must be a number above 0 and below 1, but is 1.0"),
        (
            {"batch_size": {"low": 8, "high": 64}},
            "space.batch_size: needs `type: int`: it must be a whole number of at least 1",
        ),
        (
            {"dropout": {"choices": [0.0, 1.0]}},
            "space.dropout.choices: each must be a number of at least 0 and below 1, but one is 1.0",
        ),
    ],
)
def test_a_searched_number_outside_its_range_is_a_mistake(space: dict[str, Any], expected: str) -> None:
    assert mistakes(space) == [expected]


def test_null_and_the_smallest_and_largest_numbers_are_allowed() -> None:
    space = {"dropout": {"choices": [None, 0, 0.5]}, "batch_size": {"low": 1, "high": 64, "type": "int"}}
    assert mistakes(space, fixed={"clip_norm": None, "layer_decay": 1, "label_smoothing": 0}) == []


def test_a_regime_may_narrow_a_range_and_another_one_that_is_searched_widens_it_again() -> None:
    task = {"regime": "contrastive", "model": "conv4"}
    (found,) = mistakes(task=task, fixed={"batch_size": 2})
    assert found == "fixed.batch_size: must be a whole number of at least 3, but is 2"
    assert mistakes(task={**task, "regime": ["contrastive", "from_scratch"]}, fixed={"batch_size": 2}) == []


def test_training_code_without_declarations_may_take_any_number_but_not_the_loop_around_it() -> None:
    task = {"regime": "tests.toy", "model": None, "dataset": None}
    assert mistakes(task=task, fixed={"batch_size": 0}) == []
    assert mistakes(task=task, fixed={"threshold": -1, "patience": 1}) == [
        "fixed.threshold: must be a number of at least 0, but is -1"
    ]


def test_training_code_without_a_data_set_may_give_names_of_preprocessing_another_meaning() -> None:
    task = {"regime": "tests.toy", "model": None, "dataset": None}
    assert mistakes({"image_size": {"choices": ["small", "large"]}}, task=task) == []


def test_a_wrong_number_among_the_options_of_a_data_set_is_a_mistake() -> None:
    data = {"name": "image_folder", "folder": "x", "held_out": 3, "seed": -1}
    assert mistakes(task={"dataset": data}) == [
        "task.dataset.held_out: must be a number above 0 and below 1, or none, but is 3",
        "task.dataset.seed: must be a whole number of at least 0, but is -1",
    ]
    assert mistakes(task={"dataset": {**data, "held_out": "none", "seed": 0}}) == []


def test_a_module_may_declare_a_name_of_a_module_that_it_uses_with_another_meaning(tmp_path: Any) -> None:
    path = tmp_path / "own.py"
    text = 'HYPERPARAMETERS = {"momentum": "that of the teacher"}\nREADS_ALSO = ("trainables.training",)\n'
    path.write_text(text + 'FIRST_PHASE = ["n_epochs"]\n')
    assert "momentum" not in ranges(str(path), find).keys() | conditions(str(path), find).keys()
    assert "lr" in ranges(str(path), find)
    assert first_phase(str(path), find) == ("n_epochs",)


def test_dropout_has_no_effect_where_a_head_is_computed() -> None:
    made = content(task={"regime": "closed_form"}, fixed={"dropout": 0.1})
    space = spacefile.parse(made | {"space": {"method": {"choices": ["lda"]}}})
    (found,) = plugins.notices(space)
    assert found == "fixed.dropout: has no effect with closed_form: the head is computed, and nothing is dropped"


def test_a_hyperparameter_whose_conditions_exclude_each_other_is_never_active() -> None:
    space = {
        "optimizer": {"choices": ["sgd", "adamw"]},
        "schedule": {"choices": ["constant", "cosine"], "when": {"optimizer": ["sgd"]}},
        "period": {"choices": [3], "when": {"schedule": ["cosine"], "optimizer": ["adamw"]}},
    }
    (found,) = mistakes(space)
    assert found == (
        "space.period.when: is never active: of optimizer, period needs ['adamw'] and schedule needs ['sgd']"
    )


@pytest.mark.parametrize(
    ("space", "fixed", "expected"),
    [
        (
            {},
            {"schedule": "cosine", "schedule_epochs": 9},
            "fixed.schedule_epochs: must be at least fidelity.high=27, but is 9; trials would go on after its end",
        ),
        (
            {},
            {"schedule": "cosine", "warmup": 30},
            "fixed.warmup: must be less than the 27 epochs of the training, with which the schedule 'cosine' ends, but "
            "is 30",
        ),
        (
            {},
            {"schedule": "cosine", "lr_min": 0.5},
            "fixed.lr_min: must be at most lr, but is at least 0.5, and lr is at most 0.1",
        ),
        (
            {"schedule": {"choices": ["step", "cosine"]}},
            {},
            "space.schedule: step needs `step_size`: the epochs from one step to the next, a whole number of at least "
            "1",
        ),
        (
            {},
            {"warmup": 1, "warmup_share": 0.1},
            "fixed.warmup_share: gives the warm-up a second time beside `warmup`; only one of warmup, warmup_steps, "
            "warmup_share may be given",
        ),
        (
            {},
            {"warmup_steps": 5, "schedule": "cosine", "schedule_interval": "epoch"},
            "fixed.warmup_steps: needs `schedule_interval` step, but it is epoch; give `warmup` in epochs",
        ),
    ],
)
def test_a_schedule_that_no_trial_can_keep_is_a_mistake(
    space: dict[str, Any], fixed: dict[str, Any], expected: str
) -> None:
    assert mistakes(space, fixed=fixed) == [expected]


@pytest.mark.parametrize(
    ("space", "fixed", "expected"),
    [
        ({}, {"schedule": "wsd", "lr_min": 0.01}, "fixed.lr_min: must be at most lr; trials with an lr_min of up to"),
        (
            {"schedule": {"choices": ["constant", "cosine"]}},
            {"lr_min": 0.5},
            "fixed.lr_min: must be at most lr, but is at least 0.5",
        ),
        (
            {"warmup": {"choices": [None, 2]}, "warmup_steps": {"choices": [None, 100]}},
            {},
            "space.warmup_steps: gives the warm-up a second time beside `warmup`",
        ),
        (
            {"schedule": {"choices": ["constant", "wsd"]}},
            {"schedule_epochs": 9},
            "fixed.schedule_epochs: must be at least fidelity.high=27, but is 9",
        ),
        (
            {"warmup": {"low": 1, "high": 30}},
            {"schedule": "cosine"},
            "space.warmup: must be less than the 27 epochs of the training, with which the schedule 'cosine' ends, "
            "but is up to 30",
        ),
    ],
)
def test_a_schedule_that_only_some_trials_can_keep_gets_a_notice(
    space: dict[str, Any], fixed: dict[str, Any], expected: str
) -> None:
    (found,) = notices(space, fixed=fixed)
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("space", "fixed"),
    [
        ({}, {"schedule": "wsd", "warmup": 2, "cooldown_share": 1.0}),
        ({}, {"schedule": "cosine", "schedule_epochs": 9, "period": 5}),
        (
            {
                "schedule": {"choices": ["constant", "cosine"]},
                "warmup": {"low": 20, "high": 40, "when": {"schedule": ["constant"]}},
            },
            {},
        ),
    ],
)
def test_a_schedule_that_trials_can_keep_is_sound(space: dict[str, Any], fixed: dict[str, Any]) -> None:
    assert notices(space, fixed=fixed) == []


PROBE = {"regime": "probe_then_fine_tune"}


def test_a_warm_up_as_long_as_a_phase_is_a_mistake_that_names_the_phase() -> None:
    fixed = {"schedule": "cosine", "warmup": 6}
    (found,) = mistakes(task=PROBE, fixed={**fixed, "probe_epochs": 1})
    assert found == (
        "fixed.warmup: must be less than the 1 epoch of the first phase (`probe_epochs`), with which the schedule "
        "'cosine' ends, but is 6"
    )
    (found,) = mistakes(task=PROBE, fixed={**fixed, "probe_epochs": 22})
    assert "the 5 epochs of the second phase, after the first (`probe_epochs`)" in found
    assert mistakes(task=PROBE, fixed={**fixed, "probe_epochs": 7}) == []
    either = {"regime": ["probe_then_fine_tune", "fine_tune"]}
    assert mistakes(task=either, fixed={**fixed, "probe_epochs": 5}) == []


def test_a_training_no_longer_than_the_first_phase_of_its_regime_gets_a_notice() -> None:
    assert notices(task=PROBE, fidelity={"high": 9}) == [
        "fidelity.high: the first phase of probe_then_fine_tune takes 10 epochs (`probe_epochs`, by default), and a "
        "trial has 9 (fidelity.high), so the second phase never begins"
    ]
    (found,) = notices(task=PROBE, fidelity={"high": 1}, fixed={"probe_epochs": 1})
    assert found.startswith("fixed.probe_epochs: the first phase of probe_then_fine_tune takes 1 epoch (`probe_")
    (found,) = notices(task=PROBE, fidelity={"high": 9}, fixed={"probe_epochs": 10, "probe_patience": 2})
    assert "takes 2 to 10 epochs (`probe_patience`, `probe_epochs`)" in found
    assert found.endswith("so the second phase may never begin")


def test_a_first_phase_that_is_compared_by_itself_gets_a_notice_if_all_trials_have_it() -> None:
    assert notices(task=PROBE) == [
        "fidelity.low: trials are compared from epoch 1 on, but the first phase of probe_then_fine_tune takes 10 "
        "epochs (`probe_epochs`, by default); 11 compares them in the second"
    ]
    assert notices(task=PROBE, fidelity={"low": 11, "high": 27}) == []
    assert notices(task={"regime": ["linear_probe", "probe_then_fine_tune"]}) == []


def test_a_regime_with_schedules_of_its_own_has_no_rules_of_ours(tmp_path: Path) -> None:
    own = tmp_path / "own_regime.py"
    own.write_text('HYPERPARAMETERS = {"lr": "rate", "schedule": ["step", "cosine"], "warmup": "epochs"}\n')
    task, fixed = {"regime": str(own)}, {"schedule": "step", "warmup": 99}
    assert not [each for each in mistakes(task=task, fixed=fixed) if "step_size" in each or "warmup" in each]


def test_the_rules_are_not_checked_in_a_study_that_was_begun_before_them() -> None:
    old = content(fixed={"period": 3, "batch_size": 0})
    assert spacefile.parse(old, is_new=False).fixed == {"period": 3, "batch_size": 0}


def test_what_nothing_reads_says_where_it_belongs_or_what_reads_it() -> None:
    fixed = {"drop_path": 0.1, "model": "vgg16", "pretrained": True, "lora_rank": 4}
    assert mistakes(fixed=fixed) == [
        "fixed.drop_path: the model resnet18 has no `drop_path`: rate of drop path (stochastic depth) in the last "
        "block; models that have it: timm:NAME",
        "fixed.model: is no hyperparameter; it stands under `task.model`",
        "fixed.pretrained: is no hyperparameter; `task.weights: imagenet` trains from pretrained weights",
        "fixed.lora_rank: the regime fine_tune has no `lora_rank`: rank of the update of each weight; regimes that "
        "have it: lora",
    ]


def test_null_where_a_name_is_needed_says_what_the_default_is() -> None:
    (found,) = mistakes(fixed={"schedule": None})
    assert found.startswith("fixed.schedule: null is none of its values; constant is the default (allowed:")


@pytest.mark.parametrize(
    ("text", "read", "expected"),
    [
        ('RANGES = {"lr": "above 0"}', ranges, "RANGES: lr: 'above 0' is no range such as"),
        ("RANGES = [1]", ranges, "RANGES must be a dictionary"),
        ('WHEN = {"a": {"b": 3}}', conditions, "WHEN: a: must be as"),
        ('IGNORES = {"a": 3}', ignored, "IGNORES must map names of hyperparameters to a line of text"),
        ('FIRST_PHASE = "a"', first_phase, "FIRST_PHASE must be a tuple of names of hyperparameters"),
    ],
)
def test_a_declaration_of_another_form_is_an_error_with_its_file(
    tmp_path: Any, text: str, read: Any, expected: str
) -> None:
    path = tmp_path / "own.py"
    path.write_text(f"HYPERPARAMETERS = {{}}\n{text}\n")
    with pytest.raises(UserError, match=r"own\.py: ") as caught:
        read(str(path), find)
    assert expected in str(caught.value)
