"""Space files with several mistakes, and mistakes of several keys together."""

from pathlib import Path

import pytest

from tests.spacefile.spacefiles import mistakes, write


def test_all_mistakes_are_named_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, {
        4: "  regime: from_scrach",
        5: "  modl: small_cnn",
        9: "  optimizer: {choices: [sgd, sgd]}",
        10: "  lr: {low: 1, high: 0.1, log: maybe, default: x}",
        11: "  momentum: {low: 0.5, hgh: 0.99, when: {optimizr: [sgd]}}",
        12: "  lr: {low: 5, high: 30}",
        13: "fixed: {patience: .nan}",
        15: "objective: accuracy",
    })  # fmt: skip
    assert [mistake.removeprefix(f"{path}:").split(": ")[:2] for mistake in mistakes(path)] == [
        ["4", "task.regime"],
        ["5", "task.modl"],
        ["9", "space.optimizer.choices"],
        ["10", "space.lr.default"],
        ["10", "space.lr.log"],
        ["10", "space.lr.low"],
        ["11", "space.momentum.hgh"],
        ["11", "space.momentum.high"],
        ["11", "space.momentum.when.optimizr"],
        ["12", "space.lr"],
        ["13", "fixed.patience"],
        ["15", "objective"],
    ]


def test_a_condition_of_a_broken_domain_is_checked_too_and_one_on_a_broken_domain_is_not(tmp_path: Path) -> None:
    path = write(tmp_path, {
        9: "  optimizer: {choices: [sgd, sgd]}",
        12: "  step_size: {low: 9, high: 5, when: {optimzer: [sgd]}}",
    })  # fmt: skip
    assert [mistake.removeprefix(str(path)).split(":")[1:3] for mistake in mistakes(path)] == [
        ["9", " space.optimizer.choices"],
        ["12", " space.step_size.low"],
        ["12", " space.step_size.when.optimzer"],
    ]


def test_conditions_that_go_round_in_a_circle_are_named_with_the_circle(tmp_path: Path) -> None:
    path = write(tmp_path, {
        9: "  optimizer: {choices: [sgd, nag], when: {schedule: [step]}}",
        10: "  schedule: {choices: [step], when: {optimizer: [sgd]}}",
    })  # fmt: skip
    (mistake,) = mistakes(path)
    assert "goes round in a circle: " in mistake
    assert "optimizer -> schedule -> optimizer" in mistake or "schedule -> optimizer -> schedule" in mistake


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ({14: ""}, "fidelity: is missing; it says how long a trial trains"),
        ({8: "", 9: "", 10: "", 11: "", 12: ""}, "space: is empty; a search needs at least one hyperparameter"),
    ],
)
def test_a_missing_section_is_named_with_the_file(tmp_path: Path, lines: dict[int, str], words: str) -> None:
    path = write(tmp_path, lines)
    (mistake,) = mistakes(path)
    assert mistake.startswith(f"{path}: {words}")
